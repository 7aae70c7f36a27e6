"""One small repository with fixed keys, and the question that most tests ask."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from lucid_sessions.archive import Identity, Place, SlotCost, Writer, compress, open_blob, seal, verify_blob
from lucid_sessions.errors import Tampered

REPOSITORY = bytes(range(16))
SESSION = UUID("5e551001-0000-4000-8000-000000000001")
PLACE = Place(REPOSITORY, SESSION, "screen", (1 << 32) + 7)
CHEAP = SlotCost(memory_kib=64 << 10, passes=1, lanes=4)


def noise(length: int, *, seed: int = 1) -> bytes:
    """Bytes that do not compress, the same every time."""
    return random.Random(seed).randbytes(length)


def is_tampered(call: Callable[[], object]) -> bool:
    """Whether the call sounds the alarm. Any other exception fails the test that asks."""
    try:
        call()
    except Tampered:
        return True
    return False


@dataclass
class Scene:
    """The keys on both sides, and what one side expects of the other."""

    place: Place = PLACE
    identity: Identity = field(default_factory=lambda: Identity.from_private(bytes([7]) * 32))
    writer: Writer = field(default_factory=lambda: Writer.from_private(bytes([9]) * 32))

    @property
    def writers(self) -> dict[bytes, bytes]:
        return {self.writer.key_id: self.writer.public}

    def seal(self, raw: bytes, *, want: str = "zstd") -> bytes:
        packed = compress(raw, want=want)
        keys = {"recipient": self.identity.recipient, "writer": self.writer}
        return bytes(seal(packed, place=self.place, timestamp_ms=1_790_000_000_000, **keys))

    def open(self, blob: bytes) -> bytes:
        return open_blob(blob, place=self.place, identity=self.identity, writers=self.writers)

    def verify(self, blob: bytes) -> object:
        return verify_blob(blob, place=self.place, writers=self.writers)

    def elsewhere(self, **change: object) -> "Scene":
        """The same keys, expecting another repository, session, track or sequence."""
        return replace(self, place=replace(self.place, **change))
