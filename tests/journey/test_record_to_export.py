"""The whole way, as its users go it: record, archive, verify, play, export. With real workers and Redis."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import pytest

from lucid_sessions.recordings import playback, progress, sealing, sessions, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import QUEUES, State, Status
from lucid_sessions.recordings.models import Chunk, Gap, Session
from tests import servers
from tests.programs import needed
from tests.tasks.workers import end, environment, workers
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stack(world: Installation, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A recorder and a worker at work; the environment they run in."""
    with servers.redis_server() as redis_url:
        env = environment(world, redis_url)
        log = tmp_path / "recorder.log"
        # Both start at once.
        with _recorder(env, log) as recorder, workers(",".join(QUEUES), env=env, logs=tmp_path):
            until(lambda: b"recorder is ready" in log.read_bytes() or recorder.poll() is not None)
            yield env


@contextmanager
def _recorder(env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        argv = [sys.executable, "manage.py", "recorder"]
        process = subprocess.Popen(argv, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, log.read_text()[-2000:]
    finally:
        end(process)


def test_a_recorded_session_verifies_plays_and_exports_and_a_flipped_byte_is_found(
    world: Installation, stack: dict[str, str], tmp_path: Path
) -> None:
    session = record_verify_play_export(world, tmp_path)
    victim = playback.archived(session)[0]
    path = world.blobs_root / victim.blob[:2] / victim.blob[2:4] / victim.blob
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (finding,) = verification.verify(session, deep=True, world=replace(world)).findings
    assert finding.chunk == victim.pk
    assert "chunk 1 of take 1" in finding.where
    told = subprocess.run(
        [sys.executable, "manage.py", "verify", str(session.pk), "--json"],
        env=stack | {name: os.environ[name] for name in ("ENCRYPTION_PASSWORD", "ENCRYPTION_SALT")},
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert told.returncode == 1
    assert [one["chunk"] for one in json.loads(told.stdout)["reports"][0]["findings"]] == [str(victim.pk)]


def record_verify_play_export(world: Installation, tmp_path: Path) -> Session:
    """Five seconds of a desktop, found whole at every step of the way; also where blobs lie in a bucket."""
    session = _record("synthetic://320x240", maximum_seconds=5.0, frame_rate=10)
    _await_end(session, world)
    report = verification.verify(session, deep=True)
    assert (report.findings, report.complete, report.gaps) == ([], True, [])

    chunks = playback.archived(session)
    assert [chunk.start_us for chunk in chunks[1:]] == [chunk.end_us for chunk in chunks[:-1]]
    listing = playback.playlist(session, address=lambda chunk: f"{chunk.pk}.mp4")
    assert listing.endswith("#EXT-X-ENDLIST\n")
    assert [listing.count(f"\n{chunk.pk}.mp4\n") for chunk in chunks] == [1] * len(chunks)

    (out,) = playback.export(session, tmp_path / "out.mp4")
    frames, seconds = _decoded(out)
    assert frames == sum(chunk.frames for chunk in chunks)
    assert abs(seconds - chunks[-1].end_us / 1e6) < 0.001
    return session


def test_pausing_makes_a_gap_and_a_new_epoch(
    world: Installation, stack: dict[str, str], tmp_path: Path
) -> None:
    session = _record("synthetic://320x240", frame_rate=10)
    until(lambda: _status(session) == Status.RECORDING)
    until(lambda: progress.of(session).total >= 1)
    sessions.pause(session)
    until(lambda: _status(session) == Status.PAUSED)
    epoch = Chunk.objects.filter(session=session).order_by("-sequence").values_list("epoch", flat=True)[0]
    sessions.resume(session)
    until(lambda: _status(session) == Status.RECORDING)
    until(lambda: Chunk.objects.filter(session=session, epoch__gt=epoch).exists())
    sessions.stop(session)
    _await_end(session, world)

    gap = Gap.objects.get(session=session)
    assert (gap.reason, gap.uncertain) == ("paused", False)
    assert gap.to_us > gap.from_us
    report = verification.verify(session, deep=True)
    assert (report.findings, report.complete, len(report.gaps)) == ([], True, 1)
    assert "#EXT-X-DISCONTINUITY" in playback.playlist(session, address=lambda chunk: str(chunk.pk))
    assert len(playback.export(session, tmp_path / "out.mp4")) == 2


def test_an_imported_video_comes_out_with_the_same_packets_and_its_sound(
    world: Installation, stack: dict[str, str], tmp_path: Path
) -> None:
    source = tmp_path / "source.mp4"
    _make_video(source, seconds=6)
    session = _record(source.as_uri())
    _await_end(session, world)
    (out,) = playback.export(session, tmp_path / "out.mp4")
    assert _packets(out) == _packets(source)
    with av.open(str(out)) as exported, av.open(str(source)) as original:
        lengths = [
            float(one.streams.audio[0].duration * one.streams.audio[0].time_base)
            for one in (exported, original)
        ]
    assert abs(lengths[0] - lengths[1]) < 0.1


def test_a_source_that_dies_keeps_what_it_gave_and_says_why(
    world: Installation, stack: dict[str, str]
) -> None:
    session = _record("synthetic://320x240?dies_after=1", frame_rate=10)
    _await_end(session, world, status=Status.FAILED)
    assert session.status == Status.FAILED
    assert session.reason
    assert verification.verify(session, deep=True).findings == []
    assert Chunk.objects.filter(session=session, state=State.ANCHORED).exists()


def _record(source: str, **config: object) -> Session:
    session = sessions.create(source, name="journey", recording_config=config)
    return sessions.start(session)


def _status(session: Session) -> str:
    return str(Session.objects.values_list("status", flat=True).get(pk=session.pk))


def _await_end(session: Session, world: Installation, *, status: Status = Status.COMPLETED) -> None:
    """Wait for the seal; there is no beat here, so what it would ask for is asked for by us."""

    def ended() -> bool:
        if _status(session) == Status.PROCESSING:
            sealing.seal(world)
        return _status(session) == status

    until(ended, every=0.5)
    session.refresh_from_db()


def _decoded(path: Path) -> tuple[int, float]:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0)), (container.duration or 0) / av.time_base


def _packets(path: Path) -> list[tuple[bytes, bool]]:
    with av.open(str(path)) as container:
        return [(bytes(one), one.is_keyframe) for one in container.demux(video=0) if one.size]


def _make_video(path: Path, *, seconds: int) -> None:
    argv = [needed("ffmpeg"), "-v", "error"]
    argv += ["-f", "lavfi", "-i", f"testsrc2=size=320x240:rate=25:duration={seconds}"]
    argv += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}", "-c:a", "aac"]
    argv += ["-c:v", "libx264", "-g", "50", "-bf", "2", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(argv, check=True, timeout=PATIENCE)
