"""The supervisor keeps recordings as they are wanted, through the death of children, views and itself."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from recorder import supervisor as supervising_module
from recorder.clock import boot_id
from recorder.continuation import orders_for
from recorder.errors import SpoolBusy
from recorder.names import ClosedMarker, SegmentName, sequence_of
from recorder.recovery import recover
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.supervisor import Policy, Supervisor, Tenure, Wanted
from recorder.take import Stamp
from tests.waiting import until

from .stage import QUICK, ROOT, SMALL, WHOLE, MemoryView, assert_gapless, segments, supervising


def takes(spool: Spool, session: UUID) -> list[Path]:
    return [directory for _, _, directory in spool.takes_of(session)]


def names(spool: Spool, session: UUID) -> list:
    return [name for directory in takes(spool, session) for _, name in segments(spool, directory)]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_session_is_recorded_paused_resumed_and_stopped_as_wanted(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view):
        session = view.want(SMALL, session=WHOLE)
        until(lambda: view.last(session, "recording"))
        view.desire(session, "pause")
        until(lambda: view.last(session, "paused"))
        view.desire(session, "record")
        until(lambda: view.kinds(session).count("recording") == 2)
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    assert view.last(session, "ended").reason == "stopped"
    recorded = names(spool, session)
    assert list(dict.fromkeys(name.epoch for name in recorded)) == [1, 2]
    assert_gapless(recorded)
    assert view.takes[session] == 1
    assert view.beats > 0
    assert spool.reserve_path.exists()


class Clock:
    """Time that passes only as somebody sleeps, and in which something happens."""

    def __init__(self) -> None:
        self.began = self._now = 1_000.0
        self._happens: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, happens: Callable[[], object]) -> None:
        """What is to happen so long after the beginning."""
        self._happens.append((self.began + seconds, happens))

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        while self._happens and self._happens[0][0] <= self._now:
            self._happens.pop(0)[1]()
        time.sleep(0.001)  # a child that ends is waited for


def test_the_database_is_asked_seldom_and_a_start_is_taken_up_within_a_second(
    spool: Spool, view: MemoryView, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer, clock = [], view.wanted, Clock()
    monkeypatch.setattr(view, "wanted", lambda: asked.append(clock.monotonic()) or answer())
    monkeypatch.setattr(supervising_module, "time", clock)
    supervisor = Supervisor(spool, view, host="test-host")
    clock.at(2, lambda: view.want(SMALL, session=WHOLE))
    clock.at(3, supervisor.stop)
    supervisor.run()
    assert 2 <= len([at for at in asked if at < clock.began + 2]) <= 6
    assert view.takes == {WHOLE: 1}


def test_a_killed_child_is_followed_by_a_take_that_continues_the_timeline(
    spool: Spool, view: MemoryView
) -> None:
    with supervising(spool, view) as supervisor:
        session = view.want(SMALL)
        until(lambda: names(spool, session))
        os.kill(supervisor.children[session], signal.SIGKILL)
        until(lambda: view.takes[session] == 2 and view.kinds(session).count("recording") == 2)
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    first, second = takes(spool, session)
    before, after = segments(spool, first)[-1][1], segments(spool, second)[0][1]
    (gap,) = spool.gaps(second)
    assert (gap.from_us, gap.to_us) == (before.end_us, after.start_us)
    assert gap.reason == "the recorder was killed by SIGKILL"
    assert not gap.uncertain
    assert spool.closed(first)["screen"].ending == "interrupted"
    assert Stamp.read(first).origin_ns == Stamp.read(second).origin_ns
    assert_gapless([name for _, name in segments(spool, first)])


def test_a_frozen_child_is_noticed_killed_and_replaced(spool: Spool, view: MemoryView) -> None:
    # A child that begins on a busy machine is silent, too: for some seconds.
    with supervising(spool, view) as supervisor:
        session = view.want(SMALL)
        until(lambda: view.last(session, "recording"))
        os.kill(supervisor.children[session], signal.SIGSTOP)
        until(lambda: view.takes[session] == 2 and view.kinds(session).count("recording") == 2)
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    assert "of silence" in spool.gaps(takes(spool, session)[1])[0].reason


def test_a_supervisor_that_stood_still_with_its_child_does_not_blame_it(spool: Spool) -> None:
    """Both stand still, as on a machine that was paused, while the supervisor renews its lease."""
    session = uuid4()
    argv = [sys.executable, "-m", "tests.recorder.host", str(spool.root), str(session), SMALL, "stands still"]
    host = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with host, ExitStack() as at_last:
        at_last.callback(host.kill)
        pid = int(host.stdout.readline())
        until(lambda: Path(f"/proc/{host.pid}/stat").read_text().split(")")[1].split()[0] == "T")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(Policy().stale_after + 1)
        os.kill(host.pid, signal.SIGCONT)
        time.sleep(1)
        os.kill(pid, signal.SIGCONT)
        before = len(names(spool, session))
        until(lambda: len(names(spool, session)) >= before + 4)
    until(lambda: is_gone(pid))
    assert len(takes(spool, session)) == 1


def test_a_child_that_does_not_end_is_killed_and_its_take_closed(
    spool: Spool, view: MemoryView, caplog: pytest.LogCaptureFixture
) -> None:
    with supervising(spool, view, policy=Policy(stop_within=1)) as supervisor:
        session = view.want(SMALL)
        until(lambda: names(spool, session))
        os.kill(supervisor.children[session], signal.SIGSTOP)
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    assert "does not end and is killed" in caplog.text
    assert view.takes[session] == 1
    assert spool.closed(takes(spool, session)[0])["screen"].ending == "interrupted"


def test_a_child_that_always_dies_is_given_up_with_the_reason(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view, policy=Policy(restarts=1, first_backoff=0.1)) as supervisor:
        session = view.want(SMALL)
        for take in (1, 2):
            until(lambda: view.takes.get(session) == take and supervisor.children)  # noqa: B023
            os.kill(supervisor.children[session], signal.SIGKILL)
        failed = until(lambda: view.last(session, "failed"))
    assert "Recording failed 2 times in a row; last: the recorder was killed by SIGKILL" in failed.reason
    assert all(spool.closed(directory) for directory in takes(spool, session))


def test_a_bad_source_fails_at_once_and_is_not_tried_again(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view):
        session = view.want("file:///nowhere/video.mp4")
        failed = until(lambda: view.last(session, "failed"))
    assert "/nowhere/video.mp4 does not exist" in failed.reason
    assert view.takes[session] == 1


def test_a_source_that_dies_is_reported_with_everything_kept(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view):
        session = view.want(SMALL + "?dies_after=1")
        failed = until(lambda: view.last(session, "failed"))
    assert "went away" in failed.reason
    assert failed.facts["end_us"] == names(spool, session)[-1].end_us


def test_a_recording_that_ends_by_itself_is_reported_once(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view):
        session = view.want(SMALL, settings=Settings(frame_rate=10, maximum_seconds=0.3))
        until(lambda: view.last(session, "ended"))
    assert view.kinds(session).count("ended") == 1
    assert view.takes[session] == 1


def test_recording_goes_on_while_the_view_is_out_of_order(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view) as supervisor:
        session = view.want(SMALL)
        until(lambda: view.last(session, "recording"))
        view.broken = True
        before = len(names(spool, session))
        pid = supervisor.children[session]
        until(lambda: len(names(spool, session)) > before + 1)
        assert supervisor.children[session] == pid
        view.broken = False
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))


def test_a_report_that_could_not_be_made_is_made_later(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view):
        session = view.want(SMALL + "?dies_after=1")
        until(lambda: view.last(session, "recording"))
        view.broken = True
        until(lambda: [d for d in takes(spool, session) if spool.closed(d)])
        view.broken = False
        until(lambda: view.last(session, "failed"))
    assert view.takes[session] == 1


def test_a_host_that_is_full_says_so_and_admits_when_there_is_room(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view, policy=Policy(maximum_sessions=1)):
        first = view.want(SMALL)
        until(lambda: view.last(first, "recording"))
        second = view.want(SMALL)
        refused = until(lambda: view.last(second, "failed"))
        assert refused.facts["refused"] is True
        assert "already records 1 sessions" in refused.reason
        assert second not in view.takes
        view.desire(first, "stop")
        until(lambda: view.last(second, "recording"))
    assert view.kinds(second).count("failed") == 1


def test_a_session_whose_directory_cannot_be_listed_ends_no_other_and_is_tried_again(
    spool: Spool, view: MemoryView, caplog: pytest.LogCaptureFixture
) -> None:
    folder = spool.root / "takes" / WHOLE.hex
    folder.symlink_to(folder)  # in place of a bad disk, it leads nowhere
    with supervising(spool, view):
        view.want(SMALL, session=WHOLE)
        until(lambda: f"Session {WHOLE} cannot be seen to now" in caplog.text)
        other = view.want(SMALL)
        until(lambda: view.last(other, "recording"))
        folder.unlink()
        until(lambda: view.last(WHOLE, "recording"))
        view.desire(other, "stop")
        until(lambda: view.last(other, "ended"))
    assert view.takes[other] == 1


def test_a_disk_below_its_minimum_admits_nothing(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view, policy=Policy(minimum_free_bytes=1 << 60)):
        session = view.want(SMALL)
        assert "GiB are needed" in until(lambda: view.last(session, "failed")).reason


def test_an_orderly_stop_closes_the_tails_and_another_supervisor_continues(
    spool: Spool, view: MemoryView
) -> None:
    with supervising(spool, view) as supervisor:
        session = view.want(SMALL)
        until(lambda: view.last(session, "recording"))
        pid = supervisor.children[session]
    assert is_gone(pid)
    first = takes(spool, session)[0]
    assert spool.closed(first)["screen"].reason == "the recorder was shut down"
    assert view.last(session, "ended") is None
    with supervising(spool, view):
        until(lambda: view.kinds(session).count("recording") == 2)
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    second = takes(spool, session)[1]
    assert spool.gaps(second)[0].from_us == segments(spool, first)[-1][1].end_us


def test_a_spool_has_one_supervisor(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view):
        until(lambda: view.beats)
        with pytest.raises(SpoolBusy, match="Another recorder supervisor"):
            Supervisor(spool, view, host="rival").run()


def test_the_children_of_a_killed_supervisor_close_their_takes_and_go(spool: Spool, view: MemoryView) -> None:
    session = uuid4()
    host = subprocess.Popen(
        [sys.executable, "-m", "tests.recorder.host", str(spool.root), str(session), SMALL],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with host:
        pid = int(host.stdout.readline())
        host.kill()
        host.wait()
    until(lambda: is_gone(pid))
    (first,) = takes(spool, session)
    assert spool.closed(first)["screen"].ending == "interrupted"
    assert segments(spool, first)
    view.rows[session] = Wanted(session, "record", SMALL, QUICK, take=1)
    view.takes[session] = 1
    with supervising(spool, view):
        until(lambda: view.last(session, "recording"))
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    assert_gapless([name for _, name in segments(spool, takes(spool, session)[1])])


def test_a_report_lost_with_its_supervisor_is_made_by_the_next(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view):
        session = view.want(SMALL, settings=Settings(frame_rate=10, maximum_seconds=0.3))
        until(lambda: view.last(session, "ended"))
    view.events.clear()
    view.rows[session] = Wanted(session, "record", SMALL, QUICK, take=1)
    with supervising(spool, view):
        assert "maximum duration" in until(lambda: view.last(session, "ended")).reason
    assert view.takes[session] == 1


def test_a_child_shows_no_secret_and_inherits_none(
    spool: Spool, view: MemoryView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCRYPTION_PASSWORD", "not for children")
    with supervising(spool, view) as supervisor:
        session = view.want(SMALL)
        until(lambda: view.last(session, "recording"))
        pid = supervisor.children[session]
        assert b"not for children" not in Path(f"/proc/{pid}/environ").read_bytes()
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert argv[1:3] == [b"-m", b"recorder.child"]
        assert SMALL.encode() not in b"".join(argv)


def test_a_committed_segment_is_hinted(spool: Spool, view: MemoryView) -> None:
    hints: list[tuple[UUID, int]] = []

    def committed(session: UUID, take: int) -> None:
        hints.append((session, take))
        raise ConnectionError("nobody listens")

    supervisor = Supervisor(spool, view, host="h", committed=committed)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    session = view.want(SMALL)
    until(lambda: len(hints) > 1)
    supervisor.stop()
    thread.join()
    assert set(hints) == {(session, 1)}


def test_after_a_reboot_the_timeline_goes_on_by_wall_clock_and_says_so(
    spool: Spool,
) -> None:
    session = uuid4()
    Stamp("another boot", 5, 1_000, "here").write(spool.make_take(session, 1))
    wanted = Wanted(session, "record", SMALL, QUICK, take=1)
    orders = orders_for(spool, wanted, tenure=Tenure(2, 0, known_end_us=7_000_000), host="here")
    assert orders.missing.from_us == 7_000_000
    assert orders.missing.uncertain
    assert "restarted" in orders.missing.reason


def test_the_gap_begins_where_the_screen_ends_although_its_small_picture_was_already_kept(
    spool: Spool,
) -> None:
    session = uuid4()
    directory = spool.make_take(session, 1)
    Stamp(boot_id(), 5, 1_000, "here").write(directory)
    for track, counter, end_us in (
        ("screen", 1, 4_000_000),
        ("thumb", 1, 4_000_000),
        ("thumb", 2, 8_000_000),
    ):
        name = SegmentName(session, track, sequence_of(1, counter), 1, end_us - 4_000_000, end_us, 1_000)
        part = directory / name.part_filename
        part.write_bytes(b"content")
        spool.commit(part, name)
    marker = recover(spool, session, take=1, reason="killed")
    assert (marker.end_us, spool.closed(directory)["thumb"].end_us) == (4_000_000, 8_000_000)
    wanted = Wanted(session, "record", SMALL, QUICK, take=1)
    assert orders_for(spool, wanted, tenure=Tenure(2, 0), host="here").missing.from_us == 4_000_000


def test_a_take_on_another_host_never_goes_back_before_what_is_known(spool: Spool) -> None:
    wanted = Wanted(uuid4(), "record", SMALL, QUICK, take=3)
    future = time.time_ns() // 1_000_000 + 60_000
    orders = orders_for(spool, wanted, tenure=Tenure(4, future, known_end_us=9_000_000), host="here")
    assert (time.monotonic_ns() - orders.origin_ns) // 1000 >= 9_000_000
    assert "another host" in orders.missing.reason


@pytest.mark.parametrize("ahead_us", [0, 3_600_000_000])
def test_a_host_that_goes_on_after_another_never_goes_back_before_what_that_one_recorded(
    spool: Spool, ahead_us: int
) -> None:
    session, ago_us = uuid4(), 60_000_000
    began_ns = time.monotonic_ns() - ago_us * 1000
    Stamp(boot_id(), began_ns, 1_000, "here").write(spool.make_take(session, 1))
    spool.write_closed(ClosedMarker(session, "screen", 1, 1, 4_000_000, "cut off", "interrupted"))
    known_us = 30_000_000 + ahead_us  # by the other host's clock
    wanted = Wanted(session, "record", SMALL, QUICK)
    orders = orders_for(spool, wanted, tenure=Tenure(3, 0, known_end_us=known_us), host="here")
    now_us = (time.monotonic_ns() - orders.origin_ns) // 1000
    assert (orders.missing.from_us, orders.missing.uncertain) == (known_us, True)
    assert now_us >= known_us
    assert (orders.origin_ns == began_ns) is not bool(ahead_us)


def test_a_first_take_begins_its_own_timeline(spool: Spool) -> None:
    wanted = Wanted(uuid4(), "record", SMALL, QUICK)
    orders = orders_for(spool, wanted, tenure=Tenure(1, 5), host="here")
    assert (orders.origin_ns, orders.missing, orders.resume_us) == (None, None, {})
