"""An RDP server that sends its clients on to another address has nothing of that one recorded."""

import os
from pathlib import Path

import pytest

from recorder.errors import BadSource
from recorder.settings import Settings
from recorder.sources import open_source
from recorder.sources.target import Access
from recorder.spool import Spool
from recorder.supervisor import Policy
from tests.programs import fetched
from tests.waiting import until

from .redirecting import Redirecting, redirecting
from .remote import PASSWORD, USER, Server, client_name, xrdp
from .stage import MemoryView, supervising

FENCE = ("127.0.0.1/32",)
SETTINGS = Settings(frame_rate=10, quality="low", segment_seconds=0.5, width=800, height=600)
SENT_ON = r"sends its clients on to another server \(127\.0\.0\.2, port \d+\)"


def address(relay: Redirecting, server: Server) -> str:
    return f"rdp://{USER}@127.0.0.1:{relay.port}?fingerprint={server.fingerprint}"


def test_a_client_that_is_sent_on_while_it_logs_on_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{fetched('freerdp3') / 'bin'}:{os.environ['PATH']}")
    assert client_name() == "xfreerdp3"
    with xrdp(tmp_path) as server, redirecting(server.port, certificate=tmp_path / "cert.pem") as relay:
        relay.redirect()
        with pytest.raises(BadSource, match=SENT_ON):
            open_source(address(relay, server), SETTINGS, access=Access(PASSWORD, FENCE))


def test_a_recording_whose_client_is_sent_on_fails_and_is_not_tried_again(
    tmp_path: Path, spool: Spool
) -> None:
    view, policy = MemoryView(secret=PASSWORD), Policy(first_backoff=0.2, allowed_targets=FENCE)
    with (
        xrdp(tmp_path) as server,
        redirecting(server.port, certificate=tmp_path / "cert.pem") as relay,
        supervising(spool, view, policy=policy),
    ):
        session = view.want(address(relay, server), settings=SETTINGS)
        until(lambda: view.last(session, "failed") or list(spool.segments()))
        assert view.last(session, "failed") is None
        relay.redirect()
        failed = until(lambda: view.last(session, "failed"))
    assert relay.followed
    assert "127.0.0.2" in failed.reason
    assert view.takes[session] == 1
