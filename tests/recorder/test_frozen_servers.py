"""A server that freezes is noticed within ten seconds, whatever it speaks; one that is idle is left alone."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from typing import Any

from recorder.errors import SourceLost
from recorder.sources import open_source
from recorder.sources.target import Access
from recorder.sources.watchdog import ANSWER, QUIET
from recorder.spool import Spool
from tests.waiting import stalls, until

from . import test_rdp as rdp
from . import test_rtsp as rtsp
from . import test_vnc as vnc
from .remote import shadow, xrdp, xvnc
from .stage import Child


class Watched:
    """A source that somebody looks at until it is lost."""

    def __init__(self, source: Any) -> None:
        self.lost: SourceLost | None = None
        self._over, self._source = Event(), source
        self._thread = Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        try:
            while not self._over.is_set():
                if self._source.wait(0.1):
                    self._source.grab(0)
        except SourceLost as lost:
            self.lost = lost

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._source.close()


@contextmanager
def watched(url: str, access: Access) -> Iterator[Watched]:
    one = Watched(open_source(url, rdp.SHARP, access=access))
    try:
        yield one
    finally:
        one.close()


def test_frozen_servers_are_noticed_within_ten_seconds_and_idle_ones_are_not(
    tmp_path: Path, film: Path
) -> None:
    with ExitStack() as stack:
        desktops = [stack.enter_context(start(tmp_path / start.__name__)) for start in (shadow, xrdp, xvnc)]
        port, player = stack.enter_context(rtsp.sending(film))
        addresses = [(rdp.address(one), rdp.ACCESS) for one in desktops[:2]]
        addresses.append((vnc.address(desktops[2]), vnc.ACCESS))
        viewers = [stack.enter_context(watched(*address)) for address in addresses]
        stream = stack.enter_context(rtsp.child_of(port, Spool(tmp_path / "spool")))
        until(lambda: stream.heard("recording"))
        time.sleep(QUIET + ANSWER + 0.5)
        assert [one.lost for one in viewers] == [None] * 3
        stalled = stack.enter_context(stalls())
        for server in desktops:
            server.freeze()
        player.send_signal(signal.SIGSTOP)
        until(lambda: all(one.lost for one in viewers))
        stream.end(None)
    for one in viewers:
        silent = re.search(r"hangs or is cut off: it did not answer for (\d+) s", str(one.lost))
        assert silent, one.lost
        assert int(silent[1]) <= 10 + stalled()
    interrupted = stream.heard("interrupted")
    assert interrupted is not None
    assert "hangs or is cut off: nothing came for 8 s" in interrupted["reason"]
    assert interrupted["facts"]["lost"] is True


def test_from_when_a_server_was_last_heard_the_recording_says_that_it_may_lack_something(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path / "spool")
    with ExitStack() as stack:
        desktops = [stack.enter_context(start(tmp_path / start.__name__)) for start in (shadow, xvnc)]
        wanted = [(rdp.address(desktops[0]), rdp.ACCESS), (vnc.address(desktops[1]), vnc.ACCESS)]
        children = [
            stack.enter_context(Child(spool, url, settings=rdp.SHARP, access=asdict(access)))
            for url, access in wanted
        ]
        until(lambda: all(list(spool.segments(child.directory)) for child in children))
        for server in desktops:
            server.freeze()
        for child in children:
            child.end(None)
    for child in children:
        closed = spool.closed(child.directory)["screen"]
        (gap,) = [gap for gap in spool.gaps(child.directory) if gap.track == "screen"]
        assert (gap.to_us, gap.reason, gap.uncertain) == (closed.end_us, closed.reason, True)
        assert 0 <= gap.from_us <= gap.to_us - (QUIET + ANSWER) * 1_000_000
