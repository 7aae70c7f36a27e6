"""From a recorded segment to a stored blob, one function per stage. Start reading here.

    capture -> compress -> encrypt -> store -> anchor

`run` claims the chunks, does each step, and commits each chunk's facts by one conditional update.
Steps that run in one call pass their bytes in memory, and are committed together, since nothing
durable lies between; alone, a step leaves its output in the spool's scratch directory, from which
anything may vanish: then the chunk starts again from its segment.
"""

import contextlib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from django.db import Error as DatabaseFailure
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.errors import LucidError, Refused, Retryable, Tampered

from . import content, failpoints, leases, leaving, observation, setbacks, spool_files
from .installation import Installation
from .lifecycle import STAGES, Stage, State
from .models import Chunk, Session

log = structlog.get_logger(__name__)

# The longest segment that the archive format takes.
MOST_RAW_BYTES = 64 * 1024 * 1024


@dataclass
class Work:
    """One claimed chunk, what the steps have found out about it, and the bytes still in memory."""

    chunk: Chunk
    world: Installation
    want: str = "zstd"
    facts: dict[str, Any] = field(default_factory=dict)
    took: dict[str, int] = field(default_factory=dict)
    raw: bytes | None = None
    packed: Any = None
    blob: Any = None

    def fact(self, name: str) -> Any:
        """What this run, or an earlier one, established."""
        return self.facts.get(name, getattr(self.chunk, name))

    @property
    def place(self) -> archive.Place:
        chunk = self.chunk
        return archive.Place(self.world.keys.repository, chunk.session_id, chunk.track, chunk.sequence)


def run(stages: Sequence[str], chunk_ids: Sequence[UUID], *, world: Installation) -> int:
    """How many of the chunks now stand behind the last of `stages`; the others have their reason on the row.

    Chunks that do not wait for the first of `stages`, or that another worker holds, are left alone.
    """
    first, last = STAGES[stages[0]], STAGES[stages[-1]]
    chunks = _claimed(first, chunk_ids, world=world)
    failpoints.reach("claimed")
    done = 0
    with leases.kept(chunks):
        sessions = _sessions_of(chunks)
        for chunk in chunks:
            if leaving.is_announced():
                break  # what is left of the lot goes back at once
            session = sessions.get(chunk.session_id)
            if session and session.processing_paused:
                leases.settle(chunk)
                continue
            want = str(session.recording_config.get("compression", "zstd")) if session else "zstd"
            done += _advance(Work(chunk, world, want=want), stages=stages, state=last.gives)
    return done


def _claimed(stage: Stage, chunk_ids: Sequence[UUID], *, world: Installation) -> list[Chunk]:
    if not chunk_ids:
        return []
    return leases.claim(stage, chunk_ids, spool=world.spool.identity, worker=world.presence.name())


def _sessions_of(chunks: list[Chunk]) -> dict[UUID, Session]:
    if not chunks:
        return {}
    rows = Session.objects.filter(pk__in={chunk.session_id for chunk in chunks})
    return {row.pk: row for row in rows.only("pk", "processing_paused", "recording_config")}


def _advance(work: Work, *, stages: Sequence[str], state: State) -> bool:
    """True when all of `stages` were done for this chunk and the result counted."""
    stage = stages[0]
    try:
        _require_survivable(work.chunk)
        for stage in stages:
            _timed(stage, work)
        _keep_between(work, state)
        failpoints.reach("before-commit")
        won = leases.commit(work.chunk, state=state, facts=work.facts)
        failpoints.reach("committed")
    except DatabaseFailure:
        raise  # no fault of the chunk: the lot goes back, or its lease runs out
    except Exception as error:  # noqa: BLE001 - see _as_ours
        failpoints.reach("setback")
        setbacks.record(work.chunk, stage=stage, error=_as_ours(error))
        failpoints.reach("setback-recorded")
        return False
    if won:
        _tell(work)
    if won and state == State.STORED:
        work.world.scratch.forget(work.chunk.pk)
    if not won:
        leave_nothing_of_expired(work)
    return won


def leave_nothing_of_expired(work: Work) -> None:
    """A chunk that expired while it was worked on keeps neither the blob nor the scratch of this attempt."""
    if not Chunk.objects.filter(pk=work.chunk.pk, state=State.EXPIRED).exists():
        return
    work.world.scratch.forget(work.chunk.pk)
    if work.fact("blob"):
        # A store that is away: then the blob is an orphan, and goes as one.
        with contextlib.suppress(Retryable):
            work.world.blobs.delete(work.fact("blob"))


def _require_survivable(chunk: Chunk) -> None:
    if chunk.losses > setbacks.MOST_ATTEMPTS:
        raise setbacks.Final(f"{chunk.losses} workers in a row died over this chunk.")


def _as_ours(error: Exception) -> LucidError:
    """What a decoder or codec may throw at one chunk counts against it, or it would come back for ever."""
    if isinstance(error, LucidError):
        return error
    if isinstance(error, MemoryError):
        return Retryable("This worker has too little memory for it. Give it more, or run fewer at a time.")
    log.exception("a defect, or a chunk that nobody foresaw", exc_info=error)
    return Refused(f"unexpected {type(error).__name__}: {error}")


def _timed(stage: str, work: Work) -> None:
    began = time.perf_counter_ns()
    failpoints.reach(f"{stage}.begin")
    STEPS[stage](work)
    failpoints.reach(f"{stage}.done")
    work.took[stage] = (time.perf_counter_ns() - began) // 1000
    work.facts["timings"] = {**work.chunk.timings, **work.took}


def _tell(work: Work) -> None:
    # Also those that were done by other workers: the chunk has brought their times along.
    whole = sum(work.facts["timings"].values()) / 1e6
    for stage, took in work.took.items():
        last = {"chunk_seconds": whole} if stage == "store" else {}
        observation.tell(observation.StageDone(stage, took / 1e6, "success", work.chunk.raw_length, **last))


def _keep_between(work: Work, state: State) -> None:
    if state == State.COMPRESSED:
        work.world.scratch.keep(work.chunk.pk, "packed", work.packed.payload)
    elif state == State.ENCRYPTED:
        work.world.scratch.keep(work.chunk.pk, "sealed", work.blob)


def capture(work: Work) -> None:
    """Take over a closed segment: it decodes, begins with a key frame, and from now on has a hash."""
    work.raw = _segment(work)
    if len(work.raw) != work.chunk.raw_length:
        raise Tampered(
            f"{work.chunk.path} does not have the {work.chunk.raw_length} bytes that were acknowledged."
        )
    work.facts |= content.facts_of(work.chunk, work.raw)
    work.facts["raw_sha256"] = hashlib.sha256(work.raw).hexdigest()


def compress(work: Work) -> None:
    """Pack with the codec that pays for this content."""
    raw = captured(work)
    work.packed = packed = archive.compress(
        raw, want=work.want, raw_sha256=bytes.fromhex(work.fact("raw_sha256"))
    )
    same = packed.codec == "none"
    work.facts |= {
        "codec": packed.codec,
        "packed_length": len(packed.payload),
        "packed_sha256": work.fact("raw_sha256") if same else hashlib.sha256(packed.payload).hexdigest(),
    }


def encrypt(work: Work) -> None:
    """Seal to the session's public key, under a fresh random key for every attempt."""
    chunk = work.chunk
    work.blob, digest = archive.seal_named(
        _packed(work),
        place=work.place,
        timestamp_ms=chunk.timestamp_ms,
        recipient=work.world.recipient(chunk.session_id, chunk.track),
        writer=work.world.keys.writer,
    )
    leaf = archive.chunk_leaf(
        session=chunk.session_id,
        track=chunk.track,
        sequence=chunk.sequence,
        blob_sha256=digest,
        length=len(work.blob),
    )
    work.facts |= {"blob": digest.hex(), "blob_length": len(work.blob), "leaf": leaf.hex()}


def store(work: Work) -> None:
    """Write the blob durably under its hash, and read it back."""
    work.world.blobs.put(_sealed(work), name=work.fact("blob"))
    # It was read back: that was its first verification.
    work.facts["stored_at"] = work.facts["verified_at"] = timezone.now()


STEPS = {"capture": capture, "compress": compress, "encrypt": encrypt, "store": store}


def _segment(work: Work) -> bytes:
    chunk = work.chunk
    path = spool_files.segment_of(chunk, root=work.world.spool_root)
    if chunk.raw_length > MOST_RAW_BYTES:
        raise setbacks.Final(f"{chunk.path} has {chunk.raw_length} bytes; {MOST_RAW_BYTES} are the most.")
    try:
        with path.open("rb") as file:
            return file.read(chunk.raw_length + 1)
    except FileNotFoundError:
        _require_spool(work)
        raise Tampered(f"The acknowledged segment {chunk.path} is gone from the spool.") from None
    except IsADirectoryError:
        raise setbacks.Final(f"{chunk.path} is a directory, not a segment.") from None
    except OSError as error:
        raise Retryable(f"The segment {chunk.path} cannot be read: {error.strerror}.") from error


def _require_spool(work: Work) -> None:
    """Retryable unless the chunk's spool is mounted: the bare mount point is a directory, too."""
    mark = work.world.spool_root / "id"
    try:
        mounted = mark.read_text().strip() == work.chunk.spool
    except OSError:
        mounted = False
    if not mounted:
        raise Retryable(f"The spool {work.world.spool_root} is not mounted: {mark} does not name it.")


def captured(work: Work) -> bytes:
    """The segment's bytes, as they were captured; Tampered when it is gone, or not those."""
    if work.raw is None:
        work.raw = _segment(work)
        if hashlib.sha256(work.raw).hexdigest() != work.fact("raw_sha256"):
            raise Tampered(f"The segment {work.chunk.path} is not what was captured.")
    return work.raw


def _packed(work: Work) -> archive.Packed:
    if work.packed is None:
        chunk = work.chunk
        payload = work.world.scratch.take(chunk.pk, "packed", sha256=chunk.packed_sha256)
        work.packed = archive.Packed(chunk.codec, chunk.raw_length, bytes.fromhex(chunk.raw_sha256), payload)
    packed: archive.Packed = work.packed
    return packed


def _sealed(work: Work) -> bytes:
    if work.blob is None:
        work.blob = work.world.scratch.take(work.chunk.pk, "sealed", sha256=work.chunk.blob)
    blob: bytes = work.blob
    return blob
