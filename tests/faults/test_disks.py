"""Disks that are full, fail, or rot: nothing is lost, the reason is shown, nothing wrong is believed."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lucid_sessions import archive
from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import pipeline, playback, sealing, verification
from lucid_sessions.recordings.lifecycle import STAGES
from lucid_sessions.recordings.models import Chunk
from tests import factories
from tests.faults.forks import run_forked
from tests.faults.ground import FULL, Ground, trials
from tests.programs import lacking

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [name for name in STAGES if name != "anchor"]
ROOM = 400 * 1024
# Every call that may answer "input/output error", on files of ours or SQLite's.
FAILING = [
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "openat",
    "read",
    "pread64",
    "mkdir",
    "unlink",
]
# Those of them that may answer "no space left on device".
NEEDING_ROOM = ["write", "pwrite64", "fsync", "fdatasync", "rename", "openat", "mkdir"]


@pytest.fixture
def small_disk(ground: Ground) -> Iterator[Path]:
    """The blob store on a disk whose size the test sets; mounting it needs root."""
    blobs = ground.world.blobs_root
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", blobs], check=False)
    if made.returncode:
        lacking("no right to mount a small disk here: the row needs root.")
    from lucid_sessions.blobs import FileBlobs

    FileBlobs.create(blobs)
    yield blobs
    subprocess.run(["umount", "-l", blobs], check=True)


def _long_segment(ground: Ground) -> bytes:
    """A real segment that grew by a box of bytes that nothing compresses: 16 pages of blob."""
    padding = ground.rng.randbytes(60_000)
    return factories.segment_bytes() + (len(padding) + 8).to_bytes(4, "big") + b"free" + padding


def _resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


@pytest.mark.fault(6, "the blob store's disk is full after each of so many bytes")
def test_a_full_disk_keeps_chunks_waiting_with_the_reason(ground: Ground, small_disk: Path) -> None:
    told = 0
    for number in range(trials(200, 20)):
        used = shutil.disk_usage(small_disk).used
        session = ground.session(content=_long_segment(ground))
        # tmpfs counts pages: from none left to more than a blob takes.
        _resize(small_disk, max(4096, used + 4096 * (number % 20)))
        run_forked(lambda s=session: pipeline.run(STEPS, ground.ids(s), world=ground.world))
        row = Chunk.objects.get(session=session)
        if row.state != "stored":
            told += "disk" in row.reason.lower() or "space" in row.reason.lower()
            assert row.quarantined_at is None
        ground.strike(session)
    assert told > ground.trials // 4, "the disk was full, and the rows say so"
    _resize(small_disk, 64 * 1024 * 1024)
    # Until now nothing could recover.
    ground.struck = dict.fromkeys(ground.struck, time.monotonic())
    ground.finish()


@pytest.mark.fault(7, "EIO at each write, sync, rename, open, read of capture to store and of the seal")
def test_an_input_output_error_at_any_call_costs_nothing_but_time(ground: Ground, strace: str) -> None:
    _fail_each_call(ground, FAILING, error="EIO")


@pytest.mark.fault(6, "ENOSPC at each write, sync, rename, open, mkdir of capture to store and of the seal")
def test_no_room_at_any_call_costs_nothing_but_time(ground: Ground, strace: str) -> None:
    _fail_each_call(ground, NEEDING_ROOM, error="ENOSPC")


def _fail_each_call(ground: Ground, kinds: list[str], *, error: str) -> None:
    for calls in kinds:
        for number in range(1, 500 if FULL else 2):
            session = ground.session()

            def work(session: object = session) -> None:
                pipeline.run(STEPS, ground.ids(session), world=ground.world)
                sealing.seal(ground.world)

            inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={number}"]
            log = ground.home / "failed"
            ended = run_forked(work, straced=[*inject, "-o", str(log)])
            assert ended in (0, 1)
            ground.strike(session)
            if "(INJECTED)" not in log.read_text():
                break
            ground.remember_checkpoint()
            ground.tick()
    ground.finish()


@pytest.mark.fault(8, "bit rot: each byte of one blob")
def test_every_rotten_byte_of_a_chunk_is_noticed(ground: Ground) -> None:
    session = ground.session()
    ground.archive()
    row = Chunk.objects.get(session=session)
    good = ground.world.blobs.get(row.blob)
    key = playback.session_identity(session.pk, "screen", world=ground.world)
    place = archive.Place(ground.world.keys.repository, session.pk, "screen", row.sequence)
    writers = {
        bytes.fromhex(one["key_id"]): bytes.fromhex(one["public"])
        for one in ground.world.keys.public["writers"]
    }
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << ground.rng.randrange(8)
        ground.trials += 1
        try:
            archive.open_blob(bytes(bad), place=place, identity=key, writers=writers)
        except LucidError:
            continue
        ground.extra.undetected.append(f"byte {position} of {len(good)}")
    ground.finish()


@pytest.mark.fault(8, "bit rot: one byte in each of so many files")
def test_every_rotten_file_is_named_by_verification(ground: Ground) -> None:
    session = ground.session(segments=trials(1000, 50))
    while Chunk.objects.exclude(state="anchored").exists():
        ground.archive()
    rows = list(Chunk.objects.filter(session=session))
    for row in rows:
        path = next(ground.world.blobs_root.glob(f"*/*/{row.blob}"))
        content = bytearray(path.read_bytes())
        at = ground.rng.randrange(len(content))
        content[at] ^= 1 << ground.rng.randrange(8)
        path.write_bytes(content)
        ground.trials += 1
    report = verification.verify(session, deep=bool(ground.rng.getrandbits(1)))
    named = {finding.chunk for finding in report.findings}
    ground.extra.undetected += [f"{row}" for row in rows if row.pk not in named]
    ground.finish_damaged()
