"""The installation's backup key: signs manifests and nothing else, so a backup host needs no other key.

Ed25519, in keys/private/backup.key, made on first use. Its public half is pinned in keys/backup.json, and
stands in every directory of backups: an installation believes only manifests of the key that it pins.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lucid_sessions import archive
from lucid_sessions.durable import blaming, create_durably, write_durably
from lucid_sessions.errors import Refused, Tampered

LABEL = b"lucid/1 backup\0"
PIN = "backup.json"


def backup_key(keys_root: Path) -> archive.Writer:
    """The key that signs this installation's backups; made, and pinned, when there is none yet."""
    path = keys_root / "private" / "backup.key"
    if not path.exists():
        create_durably(path, archive.Writer.generate().private_bytes.hex().encode())
    with blaming("read", path):
        key = archive.Writer.from_private(bytes.fromhex(path.read_text(encoding="ascii")))
    if pinned(keys_root) != key.public.hex():
        content = {"format": "lucid/1 backup key", "public": key.public.hex()}
        write_durably(keys_root / PIN, json.dumps(content).encode() + b"\n")
    return key


def pinned(keys_root: Path) -> str | None:
    """The public half (hexadecimal) that this installation believes; None before its first backup."""
    path = keys_root / PIN
    with blaming("read", path):
        try:
            return str(json.loads(path.read_bytes())["public"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError) as error:
            raise Refused(f"{path} is damaged: bring it back from the key backup, or remove it") from error


def write_signed(path: Path, content: dict[str, Any], *, key: archive.Writer) -> None:
    """The content as canonical JSON at path, its signature beside it under `.sig`; the content last."""
    text = archive.canonical_json(content, limit=None)
    write_durably(path.with_suffix(".sig"), key.sign(_message(text)).hex().encode())
    write_durably(path, text)


def read_signed(path: Path, *, public: str) -> dict[str, Any]:
    """What stands at path, signed by this key. Tampered: missing, cut off, or not what was signed."""
    with blaming("read", path):
        try:
            text, signature = path.read_bytes(), path.with_suffix(".sig").read_bytes()
        except FileNotFoundError as error:
            raise Tampered(f"{error.filename} is missing: this backup is not whole") from None
    try:
        known = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        known.verify(bytes.fromhex(signature.decode()), _message(text))
        content: dict[str, Any] = json.loads(text)
    except (InvalidSignature, ValueError) as error:
        raise Tampered(
            f"{path} is not what backup key {public[:16]}… signed: it was changed or cut off"
        ) from error
    return content


def _message(text: bytes) -> bytes:
    return LABEL + hashlib.sha256(text).digest()
