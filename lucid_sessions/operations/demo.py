"""What `make demo` shows: one recording through the whole chain, verified, exported, and a forgery caught."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lucid_sessions.durable import make_directory
from lucid_sessions.errors import Retryable, Tampered
from lucid_sessions.recordings import playback, progress, sessions, verification
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.lifecycle import STAGES, Status
from lucid_sessions.recordings.models import Chunk, Session
from lucid_sessions.recordings.progress import Progress

SOURCE = "synthetic://1280x720"
SECONDS = 10.0
CONFIG = {"resolution": "1280x720", "frame_rate": 30, "maximum_seconds": SECONDS}
# Beyond this something is broken, and waiting longer would hide it.
PATIENCE_SECONDS = 180.0
EVERY_SECONDS = 0.2


@dataclass(frozen=True)
class Forgery:
    """A stored chunk of which one byte was flipped in a copy, and what verification said of the copy."""

    chunk: Chunk
    offset: int
    findings: list[verification.Finding]


def record() -> Session:
    """A new session that the recorder is about to take."""
    sessions.check(SOURCE)
    session = sessions.create(SOURCE, name="demo", recording_config=CONFIG)
    return sessions.start(session)


def follow(session: Session, *, tend: Callable[[], None], show: Callable[[Progress], None]) -> None:
    """Return when the session is sealed, every chunk of it anchored; Retryable when that does not happen."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (now := progress.of(session)).over:
        tend()
        show(now)
        if time.monotonic() > deadline:
            raise Retryable(
                f"After {PATIENCE_SECONDS:.0f} s the recording is not sealed: {now}. See the logs."
            )
        time.sleep(EVERY_SECONDS)
    show(now)
    if now.status != Status.COMPLETED or now.anchored != now.total or not now.total:
        raise Retryable(f"The recording ended without being complete: {now}. {now.reason}")


def verify(session: Session) -> verification.Report:
    """The deep report; Tampered unless it finds everything intact and complete."""
    report = verification.verify(session, deep=True)
    if not (report.integrity and report.complete):
        raise Tampered(report.verdict)
    return report


def export(session: Session, out: Path) -> Path:
    """The MP4 that everything recorded makes."""
    return playback.export(session, out)[0]


def forge(session: Session, copy: Path) -> Forgery:
    """Flip one byte of one blob in a copy of the store, and verify the copy: that is named, or Tampered.

    The archive itself is not touched.
    """
    world = installation()
    make_directory(copy.parent)
    shutil.copytree(world.blobs_root, copy)
    try:
        return _forge_in(session, copy)
    finally:
        shutil.rmtree(copy)


def _forge_in(session: Session, copy: Path) -> Forgery:
    chunks = playback.archived(session)
    victim = chunks[len(chunks) // 2]
    offset = victim.blob_length // 2
    path = next(copy.rglob(victim.blob))
    forged = bytearray(path.read_bytes())
    forged[offset] ^= 0x01
    path.write_bytes(forged)
    report = verification.verify(session, deep=True, world=replace(installation(), blobs_root=copy))
    if [finding.chunk for finding in report.findings] != [victim.pk]:
        raise Tampered(
            f"The flipped byte in chunk {victim} was not what verification named: {report.findings}"
        )
    return Forgery(victim, offset, report.findings)


def stage_times(session: Session) -> dict[str, list[float]]:
    """Milliseconds that each stage took, chunk by chunk."""
    timings = [chunk.timings for chunk in Chunk.objects.filter(session=session)]
    times = {stage: [one[stage] / 1000 for one in timings if stage in one] for stage in STAGES}
    return {stage: found for stage, found in times.items() if found}


def anchoring_seconds(session: Session) -> list[float]:
    """How long after it was stored each chunk was anchored."""
    times = Chunk.objects.filter(session=session).values_list("stored_at", "anchored_at")
    return [(anchored - stored).total_seconds() for stored, anchored in times if stored and anchored]


def sizes(session: Session) -> Counter[str]:
    """Bytes as recorded and as stored."""
    total: Counter[str] = Counter()
    for recorded, stored in Chunk.objects.filter(session=session).values_list("raw_length", "blob_length"):
        total["recorded"] += recorded
        total["stored"] += stored
    return total
