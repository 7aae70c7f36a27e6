"""Who is told to stop while a server is connected to does not wait for the server."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.clock import Timeline
from recorder.spool import Spool
from recorder.supervisor import Event, Policy
from recorder.take import Take
from tests.programs import descendants
from tests.waiting import until

from .remote import ALLOWED, PASSWORD, Server, shadow
from .stage import MemoryView, gaps_of, supervising
from .test_rdp import SHARP, address, either, private, program

__all__ = ["either", "private"]

POLICY = Policy(first_backoff=0.1, longest_backoff=0.1, allowed_targets=ALLOWED)


@contextmanager
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(None)
        yield server


def desk_of(server: socket.socket) -> str:
    return f"vnc://127.0.0.1:{server.getsockname()[1]}"


def told(view: MemoryView, session: Any) -> Event:
    """How it ended."""
    return until(lambda: view.last(session, "failed") or view.last(session, "ended"))  # type: ignore[no-any-return]


def stopped(view: MemoryView, session: Any, *, spool: Spool, server: socket.socket) -> Event:
    """How it ends when it is stopped while its recorder waits for the server's first word."""
    with supervising(spool, view, policy=POLICY):
        connection, _ = server.accept()
        with connection:
            view.desire(session, "stop")
            return told(view, session)


def test_a_session_that_is_stopped_before_its_server_answers_was_stopped(
    spool: Spool, view: MemoryView
) -> None:
    with silent() as server:
        session = view.want(desk_of(server))
        ended = stopped(view, session, spool=spool, server=server)
    assert (ended.kind, ended.reason) == ("ended", "stopped")
    (closed,) = spool.closed(spool.take_directory(session, 1)).values()
    assert (closed.track, closed.ending, closed.reason, closed.end_us) == ("screen", "ended", "stopped", 0)
    assert gaps_of(spool, session) == []


def test_a_session_that_is_stopped_while_its_server_is_looked_for_again_says_what_is_missing(
    spool: Spool, view: MemoryView
) -> None:
    with silent() as server:
        session = view.want(desk_of(server))
        take = Take(spool, session, take=1)
        view.takes[session] = 1
        take.begin(Timeline.starting_now(), host="here")
        take.close(0, reason="the server broke off", ending="interrupted")
        ended = stopped(view, session, spool=spool, server=server)
    assert (ended.kind, ended.reason) == ("ended", "stopped; not recorded at last: the server broke off")
    (gap,) = gaps_of(spool, session)
    assert (gap.track, gap.from_us, gap.reason) == ("screen", 0, "the server broke off")


def test_a_recorder_that_is_shut_down_while_it_connects_does_not_call_the_session_over(
    spool: Spool, view: MemoryView
) -> None:
    with silent() as server, supervising(spool, view, policy=POLICY):
        session = view.want(desk_of(server))
        connection, _ = server.accept()
    connection.close()
    (closed,) = spool.closed(spool.take_directory(session, 1)).values()
    assert (closed.ending, closed.reason) == ("interrupted", "the recorder was shut down")
    assert view.last(session, "failed") is None
    assert view.last(session, "ended") is None


@pytest.mark.usefixtures("either")
def test_a_logon_that_hangs_ends_with_its_client_and_its_display(tmp_path: Path, private: Path) -> None:
    spool, view = Spool(tmp_path / "spool"), MemoryView(secret=PASSWORD)
    with shadow(tmp_path) as server, supervising(spool, view, policy=POLICY) as supervisor:
        session = view.want(address(server), settings=SHARP)
        _hang(server)
        child = until(lambda: supervisor.children.get(session))
        until(lambda: any("freerdp" in program(pid) for pid in descendants(child)), every=0.005)
        family = descendants(child)
        view.desire(session, "stop")
        ended = told(view, session)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    assert (ended.kind, ended.reason) == ("ended", "stopped")
    (closed,) = spool.closed(spool.take_directory(session, 1)).values()
    assert (closed.ending, closed.reason) == ("ended", "stopped")
    assert list(private.iterdir()) == []


def _hang(server: Server) -> None:
    """From when its certificate is known."""
    until(lambda: list(Path(tempfile.gettempdir()).glob("lucid-display-*")), every=0.001)
    server.freeze()
