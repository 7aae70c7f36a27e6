"""LUCID_SPOOL=s3: a segment is acknowledged only when a second copy of it is in the object store.

Recorders commit segments and markers under held names (see recorder.spool), which nobody files. The host's
own recorder process copies each, and then gives it its real name: that is the acknowledgement. Recording
never waits for the store; while it is away, held files wait in the spool. Children hold no credentials.

    <prefix>spool/<spool>/<session>/<take>/<file name>      sealed to the recorders' key

A host that is lost: `adopt` on another one takes over what its spool had acknowledged.
"""

from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

import structlog

from lucid_sessions import archive
from lucid_sessions.blobs import Bucket, Where
from lucid_sessions.errors import Retryable
from recorder.spool import HELD, Spool

from .installation import Installation
from .models import Chunk, RecorderHost, Take

log = structlog.get_logger(__name__)

FOLDER = "spool"
THREADS = 4


@dataclass(frozen=True)
class Copy:
    """One copied file: of which spool, session and take, under which name."""

    spool: str
    session: UUID
    take: str
    name: str

    @property
    def key(self) -> str:
        """Its object's key."""
        return f"{self.spool}/{self.session.hex}/{self.take}/{self.name}"

    @classmethod
    def of(cls, spool: Spool, path: Path) -> "Copy":
        """The copy of this file of the spool, whether it is held or acknowledged."""
        session, take, name = path.relative_to(spool.root / "takes").parts
        return cls(spool.identity, UUID(hex=session), take, name.removesuffix(HELD))

    @classmethod
    def parse(cls, key: str) -> "Copy":
        """The copy that a key tells of; ValueError for any other key."""
        spool, session, take, name = key.split("/")
        return cls(spool, UUID(hex=session), take, name)


@dataclass(frozen=True)
class SpoolMirror:
    """The second copies of an installation's spools."""

    world: Installation
    bucket: Bucket

    def acknowledge(self, spool: Spool, *, but: Container[UUID] = ()) -> int:
        """How many held files of all other sessions were copied and have their real names now.

        Retryable when one could not be copied: it stays held, with all behind it in its take. A track's end
        is never told before its segments.
        """
        done, trouble = 0, None
        with ThreadPoolExecutor(THREADS) as pool:
            for _, _, directory in spool.takes(but=but):
                try:
                    done += self._acknowledge_take(spool, directory, pool=pool)
                except OSError as error:
                    # This disk's, not the store's: other takes need not wait for it.
                    trouble = trouble or error
        if trouble is not None:
            raise Retryable(f"Not all of the spool could be copied: {trouble}. Look at its disk")
        return done

    def _acknowledge_take(self, spool: Spool, directory: Path, *, pool: ThreadPoolExecutor) -> int:
        done = 0
        for files in spool.held(directory):
            for start in range(0, len(files), THREADS):
                lot = files[start : start + THREADS]
                # When the store takes one of them not, the round is over: the rest would wait as long.
                list(pool.map(lambda path: self.put(Copy.of(spool, path), path.read_bytes()), lot))
                for path in lot:
                    spool.acknowledge(path)
                done += len(lot)
        return done

    def put(self, copy: Copy, content: bytes) -> None:
        """The copy is in the object store, its checksum verified there."""
        ring = self.world.keys
        sealed = archive.seal_copy(
            content, repository=ring.repository, session=copy.session, name=copy.name, to=ring.recorder_public
        )
        self.bucket.put(copy.key, sealed)

    def get(self, copy: Copy) -> bytes:
        """What was sealed under the copy's name; Tampered when nothing was. Needs the recorders' key.

        That a recorder sealed it, the copy does not show: see limit 16 of docs/threat-model.md.
        """
        ring = self.world.keys
        sealed = self.bucket.get(copy.key) or b""
        return archive.open_copy(
            sealed, repository=ring.repository, session=copy.session, name=copy.name, by=ring.recorder
        )

    def copies(self, spool: str = "", *, session: UUID | None = None) -> Iterator[Copy]:
        """Every copy of a spool (or of all), or of one session in it."""
        prefix = f"{spool}/" if spool else ""
        for one in self.bucket.objects(prefix + (f"{session.hex}/" if session else "")):
            try:
                yield Copy.parse(one.key)
            except ValueError:
                log.warning("strange object among the copies", key=one.key)

    def forget(self, copy: Copy) -> None:
        """The copy is gone."""
        self.bucket.delete(copy.key)

    def forget_path(self, spool: Spool, path: Path) -> None:
        """The copy of this file of the spool is gone."""
        self.forget(Copy.of(spool, path))

    def forget_session(self, session: UUID) -> int:
        """How many copies of the session were removed, whichever spool they were of."""
        found = [copy for spool in _spools_of(session) for copy in self.copies(spool, session=session)]
        for copy in found:
            self.forget(copy)
        return len(found)


def _spools_of(session: UUID) -> set[str]:
    """In whose names there may be copies: of a take that was adopted in part, also in its new host's."""
    takes, chunks = Take.objects.filter(session=session), Chunk.objects.filter(session=session)
    rows = takes.order_by(), chunks.order_by(), RecorderHost.objects.order_by()
    return {spool for found in rows for spool in found.values_list("spool", flat=True).distinct()}


@cache
def mirror_of(world: Installation) -> SpoolMirror | None:
    """Where the second copies are; None when nobody asked for them."""
    if not world.spool_url:
        return None
    return SpoolMirror(world, Bucket(Where.parse(world.spool_url).below(FOLDER), world.credentials))
