"""Checkpoints that somebody else has vouched for, beside the log, each with what they said.

    anchors/<log>/<size>/checkpoint        the signed note, byte for byte as it was vouched for
    anchors/<log>/<size>/<name>.tsr        a time-stamp response over it (RFC 3161)
    anchors/<log>/<size>/<name>.cosigned   the note with a witness's cosignature below it (C2SP)
    anchors/<log>/<size>/<name>.evm.json   a transaction that names it, and the block of a chain it is in
    anchors/<log>/<size>/<name>.sent       not a proof yet: the transactions that were sent

<log> is the beginning of the SHA-256 of the log's verifier key: a log that continues another has its own.
Files, not rows: a database that is lost or changed takes none of them along.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lucid_sessions.archive import Checkpoint, open_checkpoint
from lucid_sessions.durable import blaming, make_directory, write_durably
from lucid_sessions.errors import Retryable, Tampered

NOTE, STAMP, COSIGNED, IN_A_BLOCK, SENT = "checkpoint", ".tsr", ".cosigned", ".evm.json", ".sent"
PROOFS = (STAMP, COSIGNED, IN_A_BLOCK)


@dataclass(frozen=True)
class Anchor:
    """What authority `name` said about the checkpoint `note`, which covers `size` records."""

    size: int
    name: str
    note: bytes
    proof: bytes
    kind: str = STAMP

    @property
    def file(self) -> str:
        """The proof's file name."""
        return f"{self.name}{self.kind}"

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
        """The anchor is kept durably: first what was vouched for, then the proof. What was sent goes."""
        folder = self.root / str(anchor.size)
        write_durably(folder / NOTE, anchor.note)
        write_durably(folder / anchor.file, anchor.proof)
        with blaming("remove", folder):
            (folder / f"{anchor.name}{SENT}").unlink(missing_ok=True)

    def send(self, anchor: Anchor) -> None:
        """Kept durably, in place of a proof: what is about to be sent for it, in `proof`."""
        folder = self.root / str(anchor.size)
        write_durably(folder / NOTE, anchor.note)
        write_durably(folder / f"{anchor.name}{SENT}", anchor.proof)
        with blaming("remove", folder):
            (folder / anchor.file).unlink(missing_ok=True)

    def sent(self, name: str) -> Anchor | None:
        """What was sent in this name and is no proof yet; the smallest checkpoint's."""
        for size in sorted(self._sizes()):
            if found := self._read(size, name, SENT):
                return found
        return None

    def bring(self, source: "Anchors") -> None:
        """What another copy of this log has, and this one does not, is here too."""
        for size in source._sizes():
            missing = set(source._proofs(size)) - set(self._proofs(size))
            for name, kind in sorted(missing):
                if anchor := source._read(size, name, kind):
                    self.add(anchor)

    def all(self) -> Iterator[Anchor]:
        """Every anchor, the largest checkpoint first."""
        for size in sorted(self._sizes(), reverse=True):
            yield from self.at(size)

    def newest(self, name: str, kind: str = STAMP) -> Anchor | None:
        """The anchor of this authority that covers most records."""
        for size in sorted(self._sizes(), reverse=True):
            if found := self._read(size, name, kind):
                return found
        return None

    def covering(self, index: int) -> list[Anchor]:
        """The anchors of a checkpoint that covers the record at this index.

        Of those, the one that was vouched for in the most different ways; the first such.
        """
        sizes = [size for size in sorted(self._sizes()) if size > index]
        ways = {size: len({kind for _, kind in self._proofs(size)}) for size in sizes}
        return self.at(max(sizes, key=ways.__getitem__)) if any(ways.values()) else []

    def at(self, size: int) -> list[Anchor]:
        """The anchors of the checkpoint of this size, by name."""
        found = (self._read(size, name, kind) for name, kind in self._proofs(size))
        return [one for one in found if one is not None]

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Retryable if another process is asking for anchors of this log; else none can begin."""
        make_directory(self.root)
        with blaming("lock", self.root):
            descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise Retryable("Another process is asking for anchors now: try again in a moment.") from error
        finally:
            os.close(descriptor)

    def _read(self, size: int, name: str, kind: str) -> Anchor | None:
        folder = self.root / str(size)
        with blaming("read", folder):
            try:
                proof = (folder / f"{name}{kind}").read_bytes()
                return Anchor(size, name, (folder / NOTE).read_bytes(), proof, kind)
            except FileNotFoundError:
                return None

    def _proofs(self, size: int) -> list[tuple[str, str]]:
        """The names and kinds of the proofs for the checkpoint of this size."""
        folder = self.root / str(size)
        with blaming("read", folder):
            names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        parts = [name.partition(".") for name in names if (folder / NOTE).exists()]
        return [(name, f".{kind}") for name, _, kind in parts if name and f".{kind}" in PROOFS]

    def _sizes(self) -> list[int]:
        with blaming("read", self.root):
            if not self.root.is_dir():
                return []
            return [int(path.name) for path in self.root.iterdir() if path.name.isdecimal()]
