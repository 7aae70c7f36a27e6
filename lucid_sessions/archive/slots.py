"""LSK1: the repository's private key under a password. A change of password rewrites only these 120 bytes."""

import os
import struct
import threading
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from lucid_sessions.archive.keys import Identity
from lucid_sessions.archive.place import check_bytes
from lucid_sessions.errors import Refused, Retryable, Tampered

SLOT_LENGTH: Final = 120
_HEAD: Final = struct.Struct(">4sBBHIII16s16s8s12s")
_MAGIC: Final = b"LSK1"
_VERSION: Final = 1
_ARGON2ID: Final = 1
_LABEL: Final = b"lucid/1 slot"
# OpenSSL's Argon2id shares one pool of threads: two derivations at once wait for each other for ever.
_one_at_a_time = threading.Lock()


class WrongPassword(Tampered):
    """The slot does not open. A changed slot looks the same as a wrong password or salt, so this is both."""


@dataclass(frozen=True)
class SlotCost:
    """What one guess costs: memory in KiB (64 MiB to 1 GiB), passes and lanes (1 to 16 each)."""

    memory_kib: int = 256 * 1024
    passes: int = 3
    lanes: int = 4

    def is_allowed(self) -> bool:
        """Whether it is neither too cheap to guess at nor large enough to exhaust the machine."""
        in_memory = 64 << 10 <= self.memory_kib <= 1 << 20
        return in_memory and 1 <= self.passes <= 16 and 1 <= self.lanes <= 16


def make_slot(
    identity: Identity, *, password: bytes, salt: bytes, repository: bytes, cost: SlotCost | None = None
) -> bytes:
    """The identity's private key under the password (120 bytes).

    `salt` is the installation's ENCRYPTION_SALT, a second secret; the slot draws its own random salt too.
    Refused: an empty password, or a cost out of bounds.
    """
    cost = cost or SlotCost()
    if not cost.is_allowed():
        raise Refused(f"{cost} is out of bounds: memory 64 MiB to 1 GiB, passes and lanes 1 to 16")
    if not password:
        raise Refused("an empty password protects nothing: set ENCRYPTION_PASSWORD")
    check_bytes(repository, 16, what="a repository id")
    own_salt, nonce = os.urandom(16), os.urandom(12)
    costs = (cost.memory_kib, cost.passes, cost.lanes)
    names = (repository, own_salt, identity.recipient.key_id, nonce)
    head = _HEAD.pack(_MAGIC, _VERSION, _ARGON2ID, 0, *costs, *names)
    key = _stretch(password, salt=salt, own_salt=own_salt, repository=repository, cost=cost)
    return head + AESGCM(key).encrypt(nonce, identity.private_bytes, head)


def open_slot(slot: bytes, *, password: bytes, salt: bytes, repository: bytes) -> Identity:
    """The identity in the slot. WrongPassword if it does not open; Tampered if it is no slot of ours."""
    if len(slot) != SLOT_LENGTH:
        raise Tampered(f"a key slot is {SLOT_LENGTH} bytes, not {len(slot)}")
    head, sealed = bytes(slot[: _HEAD.size]), bytes(slot[_HEAD.size :])
    magic, version, kdf, reserved, memory, passes, lanes, owner, own_salt, kid, nonce = _HEAD.unpack(head)
    if (magic, version, kdf, reserved) != (_MAGIC, _VERSION, _ARGON2ID, 0):
        raise Tampered("this is not a key slot of version 1")
    if owner != repository:
        raise Tampered("the key slot belongs to another repository")
    cost = SlotCost(memory, passes, lanes)
    if not cost.is_allowed():
        raise Tampered(f"the key slot asks for a cost out of bounds: {cost}")
    key = _stretch(password, salt=salt, own_salt=own_salt, repository=owner, cost=cost)
    try:
        identity = Identity.from_private(AESGCM(key).decrypt(nonce, sealed, head))
    except InvalidTag as error:
        raise WrongPassword(
            "the key slot does not open: wrong ENCRYPTION_PASSWORD or ENCRYPTION_SALT, or a changed slot"
        ) from error
    if identity.recipient.key_id != kid:
        raise Tampered("the key slot holds another key than it names")
    return identity


def _stretch(password: bytes, *, salt: bytes, own_salt: bytes, repository: bytes, cost: SlotCost) -> bytes:
    argon2 = Argon2id(
        salt=own_salt,
        length=32,
        iterations=cost.passes,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
        ad=_LABEL + repository,
        secret=salt or None,
    )
    try:
        with _one_at_a_time:
            return argon2.derive(password)
    except MemoryError as error:
        raise Retryable(f"opening a key slot needs {cost.memory_kib >> 10} MiB of free memory") from error
