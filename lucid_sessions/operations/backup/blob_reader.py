"""What a stored blob says of its chunk: keyless what its signed header says, opened what was recorded."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from lucid_sessions import archive
from lucid_sessions.errors import Tampered
from lucid_sessions.recordings import leaves
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State
from lucid_sessions.recordings.models import SessionKey
from lucid_sessions.recordings.proven import ProvenLog
from recorder.errors import RecorderError
from recorder.export import split_init
from recorder.probe import probe

# Where a blob cannot be opened, its end is taken to be this far behind its beginning.
ASSUMED_US = 4_000_000


@dataclass
class BlobReader:
    """Reads blobs of one installation, in the order of each track; opens them where it is given the key."""

    world: Installation
    unlock: Callable[[], archive.Identity | None]
    opened: int = 0
    _keys: dict[tuple[UUID, str], archive.Identity] = field(default_factory=dict)
    _epochs: dict[tuple[UUID, str, int], tuple[int, bytes, int]] = field(default_factory=dict)
    _began: dict[UUID, int] = field(default_factory=dict)

    @cached_property
    def identity(self) -> archive.Identity | None:
        """Unlocked only when there is something to open: it takes a second."""
        return self.unlock()

    @cached_property
    def _log(self) -> ProvenLog:
        return ProvenLog(self.world, fresh=True)

    def stored(self, leaf: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """The blob of this leaf, and the columns that it proves; Tampered if it is gone or another."""
        blob = self.world.blobs.get(leaf["blob"])
        if hashlib.sha256(blob).hexdigest() != leaf["blob"] or len(blob) != leaf["length"]:
            raise Tampered(f"blob {leaf['blob']} holds other bytes than its name says")
        header = archive.verify_blob(blob, place=self._place(leaf), writers=self._writers(leaf))
        return blob, {
            "state": State.STORED,
            "codec": header.codec,
            "raw_length": header.plain_length,
            "packed_length": header.inner_length - 32,
            "blob": leaf["blob"],
            "blob_length": leaf["length"],
            "leaf": leaves.hash_of(leaf).hex(),
            "timestamp_ms": header.timestamp_ms,
        }

    def place_in_time(self, leaf: dict[str, Any], blob: bytes, facts: dict[str, Any]) -> dict[str, Any]:
        """Where on the timeline it belongs, and its epoch: exactly when it opens, else by its clock."""
        if self.identity is not None:
            raw = archive.open_blob(
                blob, place=self._place(leaf), identity=self._key(leaf), writers=self._writers(leaf)
            )
            self.opened += 1
            try:
                return self._probed(leaf, raw)
            except RecorderError:
                pass  # no video: its clock will do
        began = self._began.setdefault(UUID(leaf["session"]), facts["timestamp_ms"])
        start = max(0, facts["timestamp_ms"] - began) * 1000
        return {"start_us": start, "end_us": start + ASSUMED_US, "epoch": 1}

    def _probed(self, leaf: dict[str, Any], raw: bytes) -> dict[str, Any]:
        found, init = probe(raw), split_init(raw)[0]
        end = found.start_us + found.duration_us
        return {
            "raw_sha256": hashlib.sha256(raw).hexdigest(),
            "start_us": found.start_us,
            "end_us": end,
            "frames": found.frames,
            "init_length": len(init),
            "epoch": self._epoch(leaf, init, start=found.start_us, end=end),
        }

    def _epoch(self, leaf: dict[str, Any], init: bytes, *, start: int, end: int) -> int:
        """A new epoch begins where the picture's description changes, or the timeline jumps."""
        take = (UUID(leaf["session"]), leaf["track"], leaf["sequence"] >> 32)
        number, before, until = self._epochs.get(take, (1, init, start))
        if before != init or until != start:
            number += 1
        self._epochs[take] = (number, init, end)
        return number

    def _key(self, leaf: dict[str, Any]) -> archive.Identity:
        which = (UUID(leaf["session"]), leaf["track"])
        if which not in self._keys:
            row = SessionKey.objects.filter(session=which[0], track=which[1]).first()
            if row is None or self.identity is None:
                raise Tampered(f"session {which[0]} has no key for track {which[1]}: it cannot be opened")
            statement = archive.Statement.from_bytes(bytes(row.statement))
            self._keys[which] = self.world.keys.session_identity(statement, by=self.identity)
        return self._keys[which]

    def _writers(self, leaf: dict[str, Any]) -> archive.Writers:
        """Whose signature counts, by the record that anchors the leaf, or now if there is none yet."""
        return self._log.writers(leaf.get("record"))

    def _place(self, leaf: dict[str, Any]) -> archive.Place:
        session, track, sequence = UUID(leaf["session"]), leaf["track"], leaf["sequence"]
        return archive.Place(self.world.keys.repository, session, track, sequence)
