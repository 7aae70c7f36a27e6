"""A pause is the operator's: whatever befalls the recorder meanwhile, it stays one."""

import json
import os
import signal
from uuid import UUID

from recorder.continuation import orders_for
from recorder.names import ClosedMarker
from recorder.spool import Spool
from recorder.supervisor import Supervisor, Tenure, Wanted
from recorder.take import Stamp
from tests.waiting import until

from .stage import QUICK, SMALL, MemoryView, gaps_of, segments, supervising

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
