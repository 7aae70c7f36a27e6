"""The keys of one session in one file: each track's statement, and its private half sealed to recipients.

One file is synced once: with a file for each key and each statement, whoever made them waited for the disk
eight times. Earlier releases wrote `<track>-<recipient>.sealed` and `<track>.statement`; these are read for
ever.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lucid_sessions import archive
from lucid_sessions.errors import Tampered

FORMAT = "lucid/1 session keys"
SUFFIX = ".keys"


@dataclass(frozen=True)
class Born:
    """The key of one track: what says whose it is, and by recipient's key id what opens it."""

    statement: bytes
    sealed: Mapping[str, bytes]


def name_of(statements: Mapping[str, archive.Statement]) -> str:
    """The file for these tracks: those that a later release adds get one of their own."""
    return "+".join(sorted(statements)) + SUFFIX


def to_bytes(keys: list[Born]) -> bytes:
    """The file's content."""
    listed = [
        {"statement": one.statement.hex(), "sealed": {kid: key.hex() for kid, key in one.sealed.items()}}
        for one in keys
    ]
    return json.dumps({"format": FORMAT, "keys": listed}).encode() + b"\n"


def read(path: Path) -> list[Born]:
    """The keys in the file; Tampered when it is none that `to_bytes` made."""
    content = path.read_bytes()
    try:
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise Tampered(f"{path.name} of session {path.parent.name} is of an unknown format")
        return [
            Born(
                bytes.fromhex(one["statement"]),
                {kid: bytes.fromhex(key) for kid, key in one["sealed"].items()},
            )
            for one in found["keys"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Tampered(f"{path.name} of session {path.parent.name} holds no session keys") from error


def files(directory: Path) -> list[Path]:
    """The files that hold keys of the session whose directory this is, whichever release wrote them."""
    return sorted([*directory.glob(f"*{SUFFIX}"), *directory.glob("*.sealed")])


def sealed_for(directory: Path, statement: archive.Statement, recipient: archive.Recipient) -> bytes:
    """The private half that belongs to the statement; FileNotFoundError when it is not there."""
    wanted, kid = statement.to_bytes(), recipient.key_id.hex()
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        for one in read(path):
            if one.statement == wanted and kid in one.sealed:
                return one.sealed[kid]
    return (directory / f"{statement.track}-{kid}.sealed").read_bytes()


def statements(directory: Path) -> Iterator[bytes]:
    """What the files of a session's directory say of its keys; Tampered for a file that says nothing."""
    for path in sorted(directory.glob("*.statement")):
        yield path.read_bytes()
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        yield from (one.statement for one in read(path))
