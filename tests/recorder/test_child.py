"""A child records one take; however it ends, what it recorded is there and the take is closed."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from recorder.clock import Timeline, boot_ms
from recorder.errors import SpoolBusy, SpoolUnwritable
from recorder.live import UNSEEN, UNSEEN_US
from recorder.orders import Missing
from recorder.part import Part
from recorder.recovery import recover, unclosed
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.take import Stamp, Take, lock_take
from tests.programs import needed_root
from tests.waiting import PATIENCE, until

from .stage import QUICK, SMALL, WHOLE, Child, assert_gapless, segments


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def names(child: Child) -> list:
    return [name for _, name in segments(child.spool, child.directory)]


def files(child: Child) -> set[str]:
    return {path.suffix for path in child.directory.iterdir()}


def test_a_stopped_recording_begins_at_zero_has_no_hole_and_is_closed(spool: Spool) -> None:
    began_ms = boot_ms()
    with Child(spool, SMALL) as child:
        until(lambda: child.frames() > 8)
        assert child.end("stop") == 0
    found = names(child)
    assert found[0].start_us == 0
    assert_gapless(found)
    closed = spool.closed(child.directory)["screen"]
    assert (closed.last_counter, closed.reason, closed.ending) == (len(found), "stopped", "ended")
    assert closed.end_us == found[-1].end_us
    said = child.heard("ended")["facts"]
    assert said["end_us"] == closed.end_us
    # After its last picture, and before now.
    assert 0 <= boot_ms() - said["ended_boot_ms"] <= boot_ms() - began_ms
    assert ".part" not in files(child)


def test_a_child_has_no_huge_pages_even_where_its_encoder_asks_for_them(spool: Spool) -> None:
    with Child(spool, "synthetic://1280x720") as child:
        until(lambda: child.frames() > 3)
        of_it = Path(f"/proc/{child.process.pid}")
        assert re.search(r"^THP_enabled:\s+0$", (of_it / "status").read_text(), re.MULTILINE)
        assert re.search(r"^AnonHugePages:\s+0 kB$", (of_it / "smaps_rollup").read_text(), re.MULTILINE)
        assert child.end("stop") == 0


def test_a_pause_closes_the_epoch_and_becomes_a_gap(spool: Spool) -> None:
    with Child(spool, SMALL) as child:
        until(lambda: child.frames() > 3)
        child.say("pause")
        until(lambda: child.heard("paused"))
        assert ".part" not in files(child)
        child.say("resume")
        until(lambda: [line["kind"] for line in child.lines].count("recording") == 2)
        assert child.end("stop") == 0
    found = names(child)
    assert (found[0].epoch, found[-1].epoch) == (1, 2)
    before = [name for name in found if name.epoch == 1][-1]
    after = next(name for name in found if name.epoch == 2)
    (gap,) = spool.gaps(child.directory)
    assert (gap.from_us, gap.to_us, gap.reason) == (before.end_us, after.start_us, "paused")
    assert_gapless(found)


def test_a_stop_during_a_pause_accounts_for_the_pause(spool: Spool) -> None:
    with Child(spool, SMALL) as child:
        until(lambda: child.frames())
        child.say("pause")
        until(lambda: child.heard("paused"))
        assert child.end("stop") == 0
    (gap,) = spool.gaps(child.directory)
    assert gap.from_us == names(child)[-1].end_us
    assert spool.closed(child.directory)["screen"].end_us >= gap.to_us


def test_the_maximum_duration_ends_a_recording_by_itself(spool: Spool) -> None:
    limited = Settings(frame_rate=10, quality="low", maximum_seconds=0.5)
    with Child(spool, SMALL, settings=limited) as child:
        assert child.end(None) == 0
    assert "maximum duration of 0.5 s" in child.heard("ended")["reason"]
    assert names(child)[-1].end_us >= 500_000


def test_a_source_that_dies_after_a_second_leaves_everything_recorded_until_then(spool: Spool) -> None:
    with Child(spool, SMALL + "?dies_after=1") as child:
        assert child.end(None) == 3
    found = names(child)
    assert found[-1].end_us >= 900_000
    assert_gapless(found)
    closed = spool.closed(child.directory)["screen"]
    assert "went away" in closed.reason
    assert closed.reason == child.heard("failed")["reason"]
    assert (closed.ending, closed.last_counter) == ("failed", len(found))


def test_the_end_of_input_means_that_the_supervisor_is_gone(spool: Spool) -> None:
    with Child(spool, SMALL) as child:
        until(lambda: child.frames() > 3)
        child.process.stdin.close()
        child.process.wait(PATIENCE)
    closed = spool.closed(child.directory)["screen"]
    assert (closed.reason, closed.ending) == ("the supervisor went away", "interrupted")
    assert names(child)


def test_an_interrupt_of_the_terminal_is_left_to_the_supervisor(spool: Spool) -> None:
    with Child(spool, SMALL) as child:
        until(lambda: child.frames())
        child.process.send_signal(signal.SIGINT)
        seen = child.frames()
        until(lambda: child.frames() > seen)
        child.process.send_signal(signal.SIGTERM)
        assert child.end(None) == 0
    assert spool.closed(child.directory)["screen"].ending == "interrupted"


def test_a_child_that_nobody_reads_goes_on_recording(spool: Spool) -> None:
    with Child(spool, SMALL) as child:
        until(lambda: child.frames())
        os.kill(child.process.pid, signal.SIGSTOP)
        os.kill(child.process.pid, signal.SIGCONT)
        seen = child.frames()
        until(lambda: child.frames() > seen)
        assert child.end("stop") == 0


@pytest.mark.parametrize("word", [None, "stop"], ids=["and goes on", "and is stopped meanwhile"])
def test_of_a_stretch_in_which_the_recorder_stood_still_nobody_knows_what_was_shown(
    spool: Spool, word: str | None
) -> None:
    with Child(spool, SMALL) as child:
        until(lambda: child.frames())
        child.process.send_signal(signal.SIGSTOP)
        until(lambda: stands_still(child.process.pid))
        time.sleep(UNSEEN_US / 1_000_000 + 0.5)
        if word is not None:
            child.say(word)
        seen = child.frames()
        child.process.send_signal(signal.SIGCONT)
        until(lambda: word is not None or child.frames() > seen)
        assert child.end("stop" if word is None else None) == 0
    (gap,) = spool.gaps(child.directory)
    assert (gap.track, gap.reason, gap.uncertain) == ("screen", UNSEEN, True)
    assert gap.to_us - gap.from_us > UNSEEN_US
    found = names(child)
    assert_gapless(found)
    assert found[0].start_us <= gap.from_us < gap.to_us <= found[-1].end_us


def test_a_take_has_one_recorder_only(spool: Spool) -> None:
    with Child(spool, SMALL) as child:
        until(lambda: child.frames())
        with pytest.raises(SpoolBusy, match="another program"):
            lock_take(child.directory)
        with pytest.raises(SpoolBusy):
            recover(spool, child.session, take=1, reason="impatience")
        with Child(spool, SMALL, session=child.session) as rival:
            assert rival.end(None) == 3
        assert "another program" in rival.heard("failed")["reason"]
        assert child.end("stop") == 0
    assert_gapless(names(child))


def test_a_killed_child_loses_about_a_second_and_its_take_is_recovered(spool: Spool) -> None:
    slow = Settings(frame_rate=10, quality="low", segment_seconds=30)
    with Child(spool, SMALL, settings=slow, session=WHOLE) as child:
        until(lambda: any(p.stat().st_size > 3000 for p in spool.parts(child.directory)))
        child.process.kill()
        child.process.wait()
    assert names(child) == []
    # Another session that cannot be listed (ELOOP) hides none.
    (spool.root / "takes" / ("1" * 32)).symlink_to("1" * 32)
    assert list(unclosed(spool)) == [(child.session, 1)]
    marker = recover(spool, child.session, take=1, reason="killed")
    (name,) = names(child)
    assert name.end_us > 900_000
    assert (marker.last_counter, marker.end_us, marker.ending) == (1, name.end_us, "interrupted")
    assert recover(spool, child.session, take=1, reason="again") == marker
    assert list(unclosed(spool)) == []


def test_a_take_whose_recorder_died_between_closing_its_tracks_is_recovered(spool: Spool) -> None:
    with Child(spool, SMALL, settings=Settings(frame_rate=10, segment_seconds=1, poster_width=64)) as child:
        until(lambda: len({name.track for _, name in spool.segments(child.directory)}) == 2)
        assert child.end() == 0
    assert list(unclosed(spool)) == []
    closed = spool.closed(child.directory)["thumb"]
    (child.directory / closed.filename).unlink()
    assert list(unclosed(spool)) == [(child.session, 1)]
    recover(spool, child.session, take=1, reason="the recorder stopped unexpectedly")
    assert spool.closed(child.directory)["thumb"].last_counter == closed.last_counter
    assert spool.closed(child.directory)["screen"].ending == "ended"
    assert list(unclosed(spool)) == []


def stopped_where(child: Child, here: Callable[[], bool]) -> bool:
    """Whether the child stands still at such a place; if not, it goes on."""
    child.process.send_signal(signal.SIGSTOP)
    until(lambda: stands_still(child.process.pid))
    if not here():
        child.process.send_signal(signal.SIGCONT)
        return False
    return True


def stands_still(pid: int) -> bool:
    """Whether each of its threads is stopped."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return {task.read_text().rpartition(")")[2].split()[0] for task in tasks} == {"T"}


def _is_noted(noted: Path, spool: Spool) -> bool:
    """Whether the note is of the last segment."""
    last = max(name.counter for _, name in spool.segments())
    return bool(json.loads(noted.read_text())["counter"] == last)


def test_a_recovered_take_counts_segments_that_the_archive_has_taken_already(spool: Spool) -> None:
    with Child(spool, SMALL) as child:
        noted = child.directory / "last_screen.json"
        until(lambda: len(list(spool.segments(child.directory))) > 1)
        # Noted just after the rename: the archive takes a segment long after that.
        until(lambda: stopped_where(child, lambda: _is_noted(noted, spool)))
        child.process.kill()
        child.process.wait()
    for part in spool.parts(child.directory):
        part.write_bytes(b"torn")
    last = names(child)[-1]
    for path, _ in list(spool.segments(child.directory)):
        path.unlink()
    marker = recover(spool, child.session, take=1, reason="killed")
    assert (marker.last_counter, marker.end_us) == (last.counter, last.end_us)


def test_a_later_take_continues_the_timeline_and_accounts_for_what_lies_between(spool: Spool) -> None:
    with Child(spool, SMALL) as first:
        until(lambda: first.frames() > 3)
        first.end("stop")
    end_us = names(first)[-1].end_us
    stamp = Stamp.read(first.directory)
    missing = Missing(end_us, "killed", uncertain=False)
    with Child(
        spool, SMALL, session=first.session, take=2, origin_ns=stamp.origin_ns, missing=missing
    ) as second:
        until(lambda: second.frames() > 3)
        second.end("stop")
    (gap,) = spool.gaps(second.directory)
    assert (gap.from_us, gap.to_us, gap.reason) == (end_us, names(second)[0].start_us, "killed")
    assert Stamp.read(second.directory).origin_ns == stamp.origin_ns


@contextmanager
def small_disk(path: Path, *, size: str) -> Iterator[Path]:
    needed_root("to mount a small disk")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("reserve", [96 * 1024, 0])
def test_a_full_disk_ends_the_recording_with_all_that_fitted(tmp_path: Path, reserve: int) -> None:
    with small_disk(tmp_path / "disk", size="320k") as disk:
        spool = Spool(disk / "spool", reserve_bytes=reserve)
        spool.hold_reserve()
        settings = Settings(frame_rate=30, quality="ultra", segment_seconds=0.5)
        with Child(spool, "synthetic://1280x720", settings=settings) as child:
            assert child.end(None) == 3
        reason = child.heard("failed")["reason"]
        assert reason.startswith(f"Disk is full at {child.directory}")
        assert "Free space" in reason
        found = names(child)
        assert found
        assert_gapless(found)
        if reserve:
            assert ".part" not in files(child)
            assert not spool.reserve_path.exists()
            assert spool.closed(child.directory)["screen"].reason == reason


@pytest.mark.parametrize("reserve", [96 * 1024, 0])
def test_a_disk_that_takes_no_further_file_is_full(tmp_path: Path, reserve: int) -> None:
    with small_disk(tmp_path / "disk", size="20m,nr_inodes=12") as disk:
        spool = Spool(disk / "spool", reserve_bytes=reserve)
        spool.hold_reserve()
        with Child(spool, SMALL, settings=QUICK) as child:
            assert child.end(None) == 3
        reason = child.heard("failed")["reason"]
        assert reason.startswith(f"Disk is full at {child.directory}")
        found = names(child)
        assert_gapless(found)
        assert found
        if reserve:
            assert spool.closed(child.directory)["screen"].last_counter == len(found)


def test_a_segment_that_cannot_be_begun_takes_no_number(spool: Spool) -> None:
    take = Take(spool, uuid4(), take=1)
    take.begin(Timeline.starting_now(), host="here")
    name = take.next_segment("screen", epoch=1, start_us=0)
    (take.directory / name.part_filename).mkdir()
    with pytest.raises(SpoolUnwritable):
        Part(take, name, init=b"")
    assert take.next_segment("screen", epoch=1, start_us=0).sequence == name.sequence


def test_an_unwritable_spool_is_named(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    session = uuid4()
    spool.take_directory(session, 1).parent.write_text("in the way")
    with Child(spool, SMALL, session=session) as child:
        assert child.end(None) == 3
    assert "Check its owner, mode and mount" in child.heard("failed")["reason"]


def test_the_frame_rate_is_a_limit_that_is_kept(spool: Spool) -> None:
    with Child(spool, SMALL, settings=QUICK) as child:
        until(lambda: child.frames() > 9)
        child.end("stop")
    end_us, frames = names(child)[-1].end_us, child.frames()
    assert frames <= end_us * QUICK.frame_rate / 1_000_000 + 2
