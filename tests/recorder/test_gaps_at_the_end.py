"""What is missing when a session ends is a gap with its reason, as it is anywhere else in the session."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from recorder.clock import boot_id
from recorder.continuation import account_for_the_end
from recorder.names import ClosedMarker, GapMarker
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.supervisor import Policy, Tenure, Wanted
from recorder.take import Stamp
from tests.waiting import until

from .remote import ALLOWED, Server, xvnc
from .stage import QUICK, SMALL, MemoryView, gaps_of, segments, supervising

SECOND = 1_000_000
SESSION = UUID(int=7)
STOPPED = Wanted(SESSION, "stop", SMALL, QUICK, take=1)
# Nobody comes back before the operator stops.
PATIENT = Policy(first_backoff=60, longest_backoff=60, allowed_targets=ALLOWED)
PLAIN = Settings(frame_rate=10, quality="low", segment_seconds=0.5, poster_width=160)


def address(server: Server) -> str:
    return f"vnc://127.0.0.1:{server.port}"


def interrupted(spool: Spool, *, tracks: tuple[str, ...] = ("screen",), end_us: int = 4 * SECOND) -> None:
    """A take that began ten seconds ago on this machine and was lost after four."""
    folder = spool.make_take(SESSION, 1)
    Stamp(boot_id(), time.monotonic_ns() - 10_000_000_000, 1_000, "here").write(folder)
    for track in tracks:
        spool.write_closed(ClosedMarker(SESSION, track, 1, 1, end_us, "it was lost", "interrupted"))


def test_a_session_that_is_stopped_after_its_server_died_has_a_gap_to_the_end(
    spool: Spool, view: MemoryView, tmp_path: Path
) -> None:
    with supervising(spool, view, policy=PATIENT), xvnc(tmp_path, password=False) as server:
        session = view.want(address(server), settings=PLAIN)
        until(lambda: list(spool.segments()))
        server.kill()
        closed = until(lambda: spool.closed(spool.take_directory(session, 1)).get("screen"))
        time.sleep(1)
        view.desire(session, "stop")
        ended = until(lambda: view.last(session, "ended"))
    (gap,) = gaps_of(spool, session)
    assert (gap.track, gap.from_us, gap.reason) == ("screen", closed.end_us, closed.reason)
    assert gap.to_us - gap.from_us > SECOND
    assert not gap.uncertain
    assert ended.reason == f"stopped; not recorded at last: {closed.reason}"
    lost = view.last(session, "statistics")
    assert lost is not None
    assert lost.facts["lost"] is True
    assert lost.facts["frames"] > 0


def test_a_session_that_is_given_up_has_a_gap_to_the_end(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view, policy=Policy(restarts=1, first_backoff=0.5)) as supervisor:
        session = view.want(SMALL)
        until(lambda: list(spool.segments()))
        os.kill(supervisor.children[session], signal.SIGKILL)
        until(lambda: view.takes[session] == 2 and supervisor.children)
        os.kill(supervisor.children[session], signal.SIGKILL)
        until(lambda: view.last(session, "failed"))
    first = segments(spool, spool.take_directory(session, 1))
    assert gaps_of(spool, session)[0].from_us == first[-1][1].end_us
    assert gaps_of(spool, session)[-1].reason == "the recorder was killed by SIGKILL"


def test_a_session_that_is_refused_when_it_would_go_on_has_a_gap_to_the_end(
    spool: Spool, view: MemoryView, tmp_path: Path
) -> None:
    """The one that records nothing ends the session: its own end is not where the recording ended."""
    policy = replace(PATIENT, first_backoff=0.5)
    with supervising(spool, view, policy=policy):
        with xvnc(tmp_path, password=False) as server:
            session = view.want(address(server), settings=PLAIN)
            until(lambda: list(spool.segments()))
            server.kill()
        with xvnc(tmp_path, port=server.port, password=True):
            failed = until(lambda: view.last(session, "failed"))
    assert "asks for a password" in failed.reason
    (gap,) = gaps_of(spool, session)
    assert gap.from_us == segments(spool, spool.take_directory(session, 1))[-1][1].end_us
    assert gap.to_us > gap.from_us


def test_a_session_whose_recorder_died_in_a_pause_and_that_is_stopped_was_paused_to_the_end(
    spool: Spool, view: MemoryView
) -> None:
    with supervising(spool, view, policy=PATIENT) as supervisor:
        session = view.want(SMALL)
        until(lambda: view.last(session, "recording"))
        view.desire(session, "pause")
        until(lambda: view.last(session, "paused"))
        os.kill(supervisor.children[session], signal.SIGKILL)
        closed = until(lambda: spool.closed(spool.take_directory(session, 1)).get("screen"))
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    (gap,) = gaps_of(spool, session)
    assert (gap.from_us, gap.reason) == (closed.end_us, "paused")
    assert "SIGKILL" in closed.reason


def test_a_server_that_is_dead_when_its_session_goes_on_is_missing_to_the_end(
    spool: Spool, view: MemoryView, tmp_path: Path
) -> None:
    with supervising(spool, view, policy=PATIENT), xvnc(tmp_path, password=False) as server:
        session = view.want(address(server), settings=PLAIN)
        until(lambda: view.last(session, "recording"))
        view.desire(session, "pause")
        until(lambda: view.last(session, "paused"))
        server.kill()
        view.desire(session, "record")
        closed = until(lambda: spool.closed(spool.take_directory(session, 1)).get("screen"))
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    paused, lost = gaps_of(spool, session)
    assert (paused.reason, lost.reason) == ("paused", closed.reason)
    assert paused.to_us == lost.from_us == closed.end_us


def test_all_that_a_session_has_beside_the_screen_is_missing_too(spool: Spool) -> None:
    interrupted(spool, tracks=("screen", "input", "thumb"))
    spool.write_gap(GapMarker(SESSION, "audio", 1, 1, 0, SECOND, "there was no sound server"))
    assert account_for_the_end(spool, STOPPED, take=1) == "it was lost"
    last = [gap for gap in gaps_of(spool, SESSION) if gap.to_us > SECOND]
    # Of the sound nothing is left after its gap: that went on.
    since = [("audio", SECOND), ("input", 4 * SECOND), ("screen", 4 * SECOND)]
    assert [(gap.track, gap.from_us) for gap in last] == since
    assert {gap.to_us // SECOND for gap in last} == {10}


def test_each_track_is_missing_from_where_a_crash_left_it(spool: Spool) -> None:
    """Lines are written a second after they were typed at most: those are lost with their recorder."""
    interrupted(spool)
    spool.write_closed(ClosedMarker(SESSION, "input", 1, 1, 2 * SECOND, "it was lost", "interrupted"))
    spool.write_closed(ClosedMarker(SESSION, "audio", 1, 1, 5 * SECOND, "it was lost", "interrupted"))
    account_for_the_end(spool, STOPPED, take=1)
    found = gaps_of(spool, SESSION)
    since = [("audio", 5 * SECOND), ("input", 2 * SECOND), ("screen", 4 * SECOND)]
    assert [(gap.track, gap.from_us) for gap in found] == since
    assert {gap.to_us // SECOND for gap in found} == {10}


def test_a_session_that_is_stopped_before_its_first_picture_lacks_nothing(
    spool: Spool, view: MemoryView, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = view.claim

    def and_think_better_of_it(session: UUID) -> Tenure | None:
        tenure = claim(session)
        view.desire(session, "stop")
        return tenure

    monkeypatch.setattr(view, "claim", and_think_better_of_it)
    with supervising(spool, view):
        session = view.want(SMALL)
        ended = until(lambda: view.last(session, "ended"))
    assert (ended.reason, gaps_of(spool, session)) == ("stopped", [])


def test_a_supervisor_that_dies_in_between_writes_no_gap_twice(spool: Spool) -> None:
    interrupted(spool, tracks=("screen", "input"))
    account_for_the_end(spool, STOPPED, take=1)
    before = gaps_of(spool, SESSION)
    lost = spool.take_directory(SESSION, 1) / before[1].filename
    lost.unlink()  # it died before this one
    assert account_for_the_end(spool, STOPPED, take=1) == "it was lost"
    assert gaps_of(spool, SESSION) == before


def test_what_ended_as_wished_has_no_gap_to_its_end(spool: Spool) -> None:
    interrupted(spool)
    folder = spool.make_take(SESSION, 2)
    Stamp(boot_id(), time.monotonic_ns() - 10_000_000_000, 1_000, "here").write(folder)
    spool.write_closed(ClosedMarker(SESSION, "screen", 2, 1, 8 * SECOND, "stopped"))
    assert account_for_the_end(spool, replace(STOPPED, take=2), take=2) == ""
    assert gaps_of(spool, SESSION) == []


def test_after_a_reboot_or_on_another_host_the_gap_to_the_end_is_uncertain(spool: Spool) -> None:
    """This host was to go on with what another had recorded, and never could."""
    spool.write_closed(ClosedMarker(SESSION, "screen", 3, 0, 9 * SECOND, "no way there", "interrupted"))
    began = time.time_ns() // 1_000_000 - 60_000
    wanted = replace(STOPPED, take=3, started_wall_ms=began)
    assert account_for_the_end(spool, wanted, take=3)
    (gap,) = gaps_of(spool, SESSION)
    assert (gap.from_us, gap.to_us // SECOND, gap.uncertain) == (9 * SECOND, 60, True)


def test_a_file_has_no_gap_by_the_clock(spool: Spool) -> None:
    interrupted(spool)
    assert account_for_the_end(spool, replace(STOPPED, source="file:///film.mp4"), take=1) == ""


def test_what_another_host_recorded_is_in_no_gap_of_a_take_that_died_before_it_began(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = MemoryView(takes={SESSION: 1})
    claim = view.claim

    def with_what_the_other_recorded(session: UUID) -> Tenure | None:
        tenure = claim(session)
        return tenure and replace(tenure, known_end_us=7 * SECOND)

    monkeypatch.setattr(view, "claim", with_what_the_other_recorded)
    interrupted(spool)
    with supervising(spool, view, policy=PATIENT) as supervisor:
        view.want(f"{SMALL}?freezes_after=0", session=SESSION)  # its first picture never comes
        child = until(lambda: supervisor.children.get(SESSION))
        os.kill(child, signal.SIGKILL)
        folder = spool.take_directory(SESSION, 2)
        closed = until(lambda: spool.closed(folder).get("screen"))
        view.desire(SESSION, "stop")
        until(lambda: view.last(SESSION, "ended"))
    assert Stamp.read(folder) is None
    assert (closed.last_counter, closed.end_us) == (0, 7 * SECOND)
    (gap,) = gaps_of(spool, SESSION)
    assert (gap.from_us, gap.to_us > 9 * SECOND) == (7 * SECOND, True)
