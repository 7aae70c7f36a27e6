"""A second copy of a segment or marker, sealed to the recorders: whoever stores it reads nothing.

It is not signed. Whoever has the recorders' public key, and knows where a copy belongs, can seal another.
"""

from typing import Final
from uuid import UUID

from lucid_sessions.archive.keys import Identity, Recipient, open_sealed, seal_secret
from lucid_sessions.archive.place import check_bytes
from lucid_sessions.errors import Tampered

_LABEL: Final = b"lucid/1 spool copy\0"


def seal_copy(content: bytes, *, repository: bytes, session: UUID, name: str, to: Recipient) -> bytes:
    """The content of the file of that name, sealed for that session (48 bytes more)."""
    return seal_secret(content, to=to, info=_info(repository, session, name=name, to=to))


def open_copy(sealed: bytes, *, repository: bytes, session: UUID, name: str, by: Identity) -> bytes:
    """What was sealed under that name for that session, by whomever; Tampered for anything else."""
    try:
        return open_sealed(sealed, by=by, info=_info(repository, session, name=name, to=by.recipient))
    except Tampered as error:
        raise Tampered(f"the copy of {name} is not what a recorder sealed under that name") from error


def _info(repository: bytes, session: UUID, *, name: str, to: Recipient) -> bytes:
    where = check_bytes(repository, 16, what="a repository id") + session.bytes
    return _LABEL + where + to.key_id + name.encode()
