"""C2SP cosignatures of checkpoints (tlog-cosignature, Ed25519): a witness saw this log grow from its past."""

from datetime import UTC, datetime
from typing import Final

from lucid_sessions.archive.checkpoint import key_hash_of, parse_vkey, signatures_of
from lucid_sessions.archive.keys import check_signature
from lucid_sessions.errors import Tampered

_COSIGNATURE: Final = b"\x04"
_TIME: Final = 8
# What `datetime` can say; no witness's clock is there.
_LAST: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


def parse_witness_key(vkey: str) -> str:
    """The name of a witness by its C2SP verifier key. Refused: it is none for cosignatures (type 4)."""
    return parse_vkey(vkey, kind=_COSIGNATURE)[0]


def check_cosignature(text: str, lines: str, vkey: str) -> datetime:
    """When, by the witness's clock, it saw the checkpoint with this text, as one of the lines below it says.

    Tampered: none of the lines is its cosignature, or one is that does not hold. Refused: `vkey` is no
    witness's key.
    """
    name, public = parse_vkey(vkey, kind=_COSIGNATURE)
    key_hash = key_hash_of(name, public, kind=_COSIGNATURE)
    found = signatures_of(lines.removesuffix("\n").split("\n"), origin=name, key_hash=key_hash)
    if not found:
        raise Tampered(f"it holds no cosignature by the key of {name}")
    return min(_time(one, text, public) for one in found)


def _time(signature: bytes, text: str, public: bytes) -> datetime:
    seconds = int.from_bytes(signature[:_TIME], "big")
    if len(signature) != _TIME + 64 or not 0 < seconds < _LAST:
        raise Tampered("a cosignature is cut short, or names no time")
    check_signature(public, signature[_TIME:], f"cosignature/v1\ntime {seconds}\n{text}".encode())
    return datetime.fromtimestamp(seconds, UTC)
