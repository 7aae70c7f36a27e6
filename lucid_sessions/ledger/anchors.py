"""Checkpoints that somebody else has vouched for, beside the log, each with what they said.

    anchors/<log>/<size>/checkpoint     the signed note, byte for byte as it was vouched for
    anchors/<log>/<size>/<name>.tsr     a time-stamp response over it (RFC 3161)

<log> is the beginning of the SHA-256 of the log's verifier key: a log that continues another has its own.
Files, not rows: a database that is lost or changed takes none of them along.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lucid_sessions.archive import Checkpoint, open_checkpoint
from lucid_sessions.durable import blaming, write_durably
from lucid_sessions.errors import Tampered

NOTE, STAMP = "checkpoint", ".tsr"


@dataclass(frozen=True)
class Anchor:
    """What authority `name` said about the checkpoint `note`, which covers `size` records."""

    size: int
    name: str
    note: bytes
    proof: bytes

    def checkpoint(self, vkey: str) -> Checkpoint:
        """The checkpoint that was anchored; Tampered unless the log's key signed it."""
        try:
            found = open_checkpoint(self.note.decode(), vkey)
        except UnicodeDecodeError as error:
            raise Tampered(f"the anchored checkpoint of size {self.size} is not text") from error
        if found.size != self.size:
            raise Tampered(f"the anchored checkpoint of size {self.size} is one of size {found.size}")
        return found


class Anchors:
    """The anchors of one log. Adding the same twice changes nothing."""

    def __init__(self, root: Path, *, vkey: str) -> None:
        self.root = root / hashlib.sha256(vkey.encode()).hexdigest()[:16]

    def add(self, anchor: Anchor) -> None:
        """The anchor is kept durably: first what was vouched for, then the proof."""
        folder = self.root / str(anchor.size)
        write_durably(folder / NOTE, anchor.note)
        write_durably(folder / f"{anchor.name}{STAMP}", anchor.proof)

    def bring(self, source: "Anchors") -> None:
        """What another copy of this log has, and this one does not, is here too."""
        for size in sorted(set(source._sizes()) - set(self._sizes())):
            for anchor in source.at(size):
                self.add(anchor)

    def all(self) -> Iterator[Anchor]:
        """Every anchor, the largest checkpoint first."""
        for size in sorted(self._sizes(), reverse=True):
            yield from self.at(size)

    def newest(self, name: str) -> Anchor | None:
        """The anchor of this authority that covers most records."""
        return next((one for one in self.all() if one.name == name), None)

    def covering(self, index: int) -> list[Anchor]:
        """The anchors of the first anchored checkpoint that covers the record at this index."""
        for size in sorted(self._sizes()):
            if size > index and (found := self.at(size)):
                return found
        return []

    def at(self, size: int) -> list[Anchor]:
        """The anchors of the checkpoint of this size, by name."""
        folder = self.root / str(size)
        with blaming("read", folder):
            if not (folder / NOTE).exists():
                return []
            note = (folder / NOTE).read_bytes()
            paths = sorted(folder.glob(f"*{STAMP}"))
            return [Anchor(size, path.name.removesuffix(STAMP), note, path.read_bytes()) for path in paths]

    def _sizes(self) -> list[int]:
        with blaming("read", self.root):
            if not self.root.is_dir():
                return []
            return [int(path.name) for path in self.root.iterdir() if path.name.isdecimal()]
