"""A pause is the operator's: whatever befalls the recorder meanwhile, it stays one."""

import json
import os
import signal
import time
from dataclasses import asdict
from uuid import UUID

from recorder.continuation import orders_for
from recorder.names import ClosedMarker
from recorder.orders import Missing
from recorder.spool import Spool
from recorder.supervisor import Supervisor, Tenure, Wanted
from recorder.take import Stamp, paused_since
from tests.waiting import until

from .stage import QUICK, SMALL, Child, MemoryView, gaps_of, segments, supervising

SECOND = 1_000_000


def paused(view: MemoryView) -> UUID:
    session = view.want(SMALL)
    until(lambda: view.last(session, "recording"))
    view.desire(session, "pause")
    until(lambda: view.last(session, "paused"))
    return session


def resume(view: MemoryView, session: UUID) -> None:
    view.desire(session, "record")
    until(lambda: view.kinds(session).count("recording") == 2)
    view.desire(session, "stop")
    until(lambda: view.last(session, "ended"))


def kill(supervisor: Supervisor, spool: Spool, session: UUID, *, take: int = 1) -> None:
    os.kill(supervisor.children[session], signal.SIGKILL)
    until(lambda: spool.closed(spool.take_directory(session, take)))


def test_a_pause_in_which_the_recorder_is_killed_is_a_pause(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view) as supervisor:
        session = paused(view)
        kill(supervisor, spool, session)
        resume(view, session)
    (gap,) = gaps_of(spool, session)
    first, second = (segments(spool, folder) for *_, folder in spool.takes_of(session))
    assert (gap.from_us, gap.to_us) == (first[-1][1].end_us, second[0][1].start_us)
    assert (gap.reason, gap.uncertain) == ("paused", False)


def test_a_pause_over_an_orderly_restart_is_a_pause(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view):
        session = paused(view)
    with supervising(spool, view):
        resume(view, session)
    before, after = gaps_of(spool, session)
    assert (before.reason, after.reason) == ("paused", "paused")
    assert before.to_us == after.from_us


def test_what_dies_after_a_pause_is_no_pause(spool: Spool, view: MemoryView) -> None:
    with supervising(spool, view) as supervisor:
        session = paused(view)
        view.desire(session, "record")
        until(lambda: view.kinds(session).count("recording") == 2)
        until(lambda: {name.epoch for _, name in spool.segments()} == {1, 2})
        kill(supervisor, spool, session)
        until(lambda: view.kinds(session).count("recording") == 3)
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    assert [gap.reason for gap in gaps_of(spool, session)] == ["paused", "the recorder was killed by SIGKILL"]


def test_what_is_paused_before_its_first_picture_shows_none_until_it_goes_on(spool: Spool) -> None:
    with Child(spool, SMALL) as child:
        child.say("pause")
        until(lambda: child.heard("paused") or child.heard("recording"))
        assert child.heard("recording") is None
        assert paused_since(child.directory) == 0
        assert list(spool.segments(child.directory)) == []
        child.say("resume")
        until(lambda: segments(spool, child.directory))
        assert child.end() == 0
    (gap,) = gaps_of(spool, child.session)
    begun_us = segments(spool, child.directory)[0][1].start_us
    assert (gap.from_us, gap.to_us, gap.reason, gap.uncertain) == (0, begun_us, "paused", False)


def test_a_take_that_is_paused_before_it_went_on_tells_what_was_missing_and_what_was_paused(
    spool: Spool,
) -> None:
    missing = Missing(2 * SECOND, "the server broke off", uncertain=False)
    origin_ns = time.monotonic_ns() - 4_000_000_000
    with Child(spool, SMALL, take=2, origin_ns=origin_ns, missing=asdict(missing)) as child:
        child.say("pause")
        paused = until(lambda: child.heard("paused"))
        assert child.heard("recording") is None
        end_us = paused["facts"]["end_us"]
        assert paused_since(child.directory) == end_us
        assert child.end() == 0
    first, second = gaps_of(spool, child.session)
    assert (first.from_us, first.to_us, first.reason) == (2 * SECOND, end_us, "the server broke off")
    assert (second.from_us, second.reason) == (end_us, "paused")
    assert second.to_us == spool.closed(child.directory)["screen"].end_us
    assert list(spool.segments(child.directory)) == []


def test_what_cannot_go_on_after_a_pause_says_both(spool: Spool) -> None:
    session = UUID(int=7)
    folder = spool.make_take(session, 1)
    (folder / "paused.json").write_text(json.dumps({"from_us": 4 * SECOND}))
    for take, reason in ((1, "killed"), (2, "no such host"), (3, "still none")):
        spool.write_closed(ClosedMarker(session, "screen", take, 0, 4 * SECOND, reason, "interrupted"))
    Stamp("another boot", 5, 1_000, "here").write(folder)
    wanted = Wanted(session, "record", SMALL, QUICK, take=3)
    missing = orders_for(spool, wanted, tenure=Tenure(4, 0), host="here").missing
    assert missing is not None
    assert (missing.from_us, missing.reason) == (4 * SECOND, "paused; then: no such host")
    assert missing.uncertain
