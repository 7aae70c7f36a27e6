"""The bodies of records: files named by their SHA-256, written once, before the record that names them."""

import hashlib
import re
from pathlib import Path

from lucid_sessions.durable import blaming, create_durably
from lucid_sessions.errors import Refused, Tampered

_NAME = re.compile(r"[0-9a-f]{64}")


def write_body(folder: Path, body: bytes) -> str:
    """The body's name, once it is stored durably under folder/ab/<name>. Again: the same."""
    name = hashlib.sha256(body).hexdigest()
    if not create_durably(_path(folder, name), body):
        read_body(folder, name)
    return name


def read_body(folder: Path, name: str) -> bytes:
    """The body of that name, its hash verified. Tampered: it is missing, or another."""
    path = _path(folder, name)
    with blaming("read", path):
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            raise Tampered(
                f"Body {name} is missing from {folder}: restore the ledger from a backup"
            ) from None
    if hashlib.sha256(body).hexdigest() != name:
        raise Tampered(f"{path} is not the body of its name: restore the ledger from a backup")
    return body


def _path(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise Refused(f"{name!r} is no body's name: 64 lower-case hexadecimal digits were expected")
    return folder / name[:2] / name
