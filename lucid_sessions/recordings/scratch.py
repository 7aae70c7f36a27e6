"""What lies between two stages that run in different processes: recomputable, so never fsynced.

A file here may be lost, torn or stale at any time. Its row says which bytes it should hold; anything
else is as good as nothing, and the chunk starts again from its segment.
"""

import hashlib
import secrets
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from lucid_sessions.durable import Bytes, blaming
from lucid_sessions.errors import LucidError

KINDS = ("packed", "sealed")


class Recompute(LucidError):
    """What lay between the stages is gone or not what its row says; the segment itself still is there."""


class Scratch:
    """Files named by chunk and kind under `root`, on the spool's disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, chunk: UUID, kind: str, content: Bytes) -> None:
        """The next stage finds these bytes, if nothing happens to them."""
        path = self._path(chunk, kind)
        temporary = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        with blaming("write", path):
            self.root.mkdir(mode=0o700, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)

    def take(self, chunk: UUID, kind: str, *, sha256: str) -> bytes:
        """The bytes that the stage before left; Recompute unless they have this hash."""
        try:
            content = self._path(chunk, kind).read_bytes()
        except OSError as error:
            raise Recompute(f"the {kind} bytes are not in scratch ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Recompute(f"the {kind} bytes in scratch are not what the row says")
        return content

    def forget(self, chunk: UUID) -> None:
        """Nothing of this chunk is kept any more; what cannot be removed now, `sweep` removes."""
        for kind in KINDS:
            with suppress(OSError):
                self._path(chunk, kind).unlink(missing_ok=True)

    def sweep(self, *, older_than_seconds: float) -> int:
        """How many files that nobody came back for were removed."""
        limit = time.time() - older_than_seconds
        gone = 0
        for path in self.root.glob("*"):
            with suppress(OSError):
                if path.stat().st_mtime < limit:
                    path.unlink()
                    gone += 1
        return gone

    def _path(self, chunk: UUID, kind: str) -> Path:
        return self.root / f"{chunk}.{kind}"
