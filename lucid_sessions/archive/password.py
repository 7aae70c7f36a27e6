"""A desktop's password, sealed to the recorders: their key opens such passwords and nothing else."""

import struct
from typing import Final
from uuid import UUID

from lucid_sessions.archive.keys import Identity, Recipient, open_sealed, seal_secret
from lucid_sessions.archive.place import check_bytes
from lucid_sessions.errors import Refused, Tampered

LONGEST_PASSWORD: Final = 510  # bytes of UTF-8
_ROOM: Final = 512  # every sealed password is as long as every other
_LABEL: Final = b"lucid/1 target password\0"


def seal_password(password: str, *, repository: bytes, session: UUID, to: Recipient) -> bytes:
    """A password sealed for one session (560 bytes); Refused when it is longer than 510 bytes."""
    plain = password.encode()
    if len(plain) > LONGEST_PASSWORD:
        raise Refused(f"the password has more than {LONGEST_PASSWORD} bytes")
    room = (struct.pack(">H", len(plain)) + plain).ljust(_ROOM, b"\0")
    return seal_secret(room, to=to, info=_info(repository, session, to))


def open_password(sealed: bytes, *, repository: bytes, session: UUID, by: Identity) -> str:
    """The password that was sealed for this session; Tampered when it was not, or by none of us."""
    room = open_sealed(sealed, by=by, info=_info(repository, session, by.recipient))
    (length,) = struct.unpack_from(">H", room) if len(room) == _ROOM else (_ROOM,)
    if length > LONGEST_PASSWORD or any(room[2 + length :]):
        raise Tampered("the sealed password is not laid out as one")
    return room[2 : 2 + length].decode()


def _info(repository: bytes, session: UUID, to: Recipient) -> bytes:
    return _LABEL + check_bytes(repository, 16, what="a repository id") + session.bytes + to.key_id
