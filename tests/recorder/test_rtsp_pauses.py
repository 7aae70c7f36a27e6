"""A pause is respected before the first key frame, too: nothing fails over it, and it stays a pause."""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

import pytest

from recorder import streaming
from recorder.errors import SourceLost
from recorder.orders import Mailbox, Missing, Orders, Reporter
from recorder.sources import open_source
from recorder.sources.rtsp import RtspSource
from recorder.spool import Spool
from recorder.streaming import StreamRecording
from recorder.take import Take, paused_since
from tests.waiting import PATIENCE, until

from .stage import segments
from .test_rtsp import ACCESS, ONE_SECOND, child_of, sending

SECOND = 1_000_000


class Later:
    """A clock by which more time passes in the next sleep than does."""

    passes = passed = 0.0
    monotonic_ns = staticmethod(time.monotonic_ns)

    def monotonic(self) -> float:
        return time.monotonic() + self.passed

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        passes, self.passes = self.passes, 0.0
        self.passed += passes


@dataclass
class Here:
    """A recording of a stream in this process, which does as it is told by `say`."""

    source: RtspSource
    mailbox: Mailbox
    take: Take
    recording: StreamRecording
    _orders: TextIO

    def say(self, word: str) -> None:
        print(word, file=self._orders)


@contextmanager
def recording_here(film: Path, spool: Spool, lines: list[bytes]) -> Iterator[Here]:
    reading, writing = os.pipe()
    with (
        sending(film) as (port, _),
        open(reading) as said,  # noqa: PTH123 -- a pipe's ends
        open(writing, "w", buffering=1) as say,  # noqa: PTH123
    ):
        orders = Orders(uuid4(), 1, str(spool.root), f"rtsp://127.0.0.1:{port}/live", ONE_SECOND, "here")
        source = open_source(orders.source, orders.settings, access=ACCESS)
        assert isinstance(source, RtspSource)
        with closing(source):
            mailbox, take = Mailbox(said, on_stop=lambda: None), Take(spool, orders.session, take=1)
            reporter = Reporter(lines.append, on_broken=lambda: None)
            recording = StreamRecording(take, orders, source=source, mailbox=mailbox, reporter=reporter)
            yield Here(source, mailbox, take, recording, say)


def test_a_stream_that_is_paused_before_it_began_waits_and_begins_when_it_goes_on(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Later()
    monkeypatch.setattr(streaming, "time", clock)
    spool, lines, ended = Spool(tmp_path / "spool"), list[bytes](), list[str]()

    def told() -> list[str]:
        kinds: list[Any] = [json.loads(line)["kind"] for line in list(lines)]
        return [kind for kind in kinds if kind != "heartbeat"]

    with recording_here(film, spool, lines) as here:
        here.say("pause")
        until(lambda: here.mailbox.command == "pause")
        thread = threading.Thread(target=lambda: ended.append(here.recording.run()))
        thread.start()
        until(lambda: told() == ["paused"])
        for _ in range(2):
            beats = len(lines)
            clock.passes = 2 * streaming.FIRST_PICTURE_WITHIN
            # It has gone round, and found that it is later.
            until(lambda beats=beats: (not clock.passes and len(lines) > beats) or not thread.is_alive())
        assert (told(), thread.is_alive()) == (["paused"], True)
        here.say("resume")
        until(lambda: list(spool.segments()))
        here.say("stop")
        thread.join(PATIENCE)
        here.take.close(here.recording.finish(), reason="stopped", ending="ended")
    assert (ended, told()) == (["stopped"], ["paused", "recording"])
    assert segments(spool, here.take.directory)[0][1].start_us == 0
    assert spool.gaps(here.take.directory) == []


def test_a_take_that_is_paused_before_it_went_on_tells_what_was_missing_and_what_was_paused(
    tmp_path: Path, film: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    lacks = {"from_us": 2 * SECOND, "reason": "the server broke off", "uncertain": False}
    more = {"take": 2, "origin_ns": time.monotonic_ns() - 4_000_000_000, "missing": Missing(**lacks)}
    with sending(film) as (port, _), child_of(port, spool, **more) as child:
        child.say("pause")
        paused = until(lambda: child.heard("paused"))
        assert paused_since(child.directory) == paused["facts"]["end_us"]
        time.sleep(1.5)  # a key frame that is on its way may come no later than the pause
        child.say("resume")
        until(lambda: segments(spool, child.directory))
        assert child.end() == 0
    first, second = [gap for gap in spool.gaps(child.directory) if gap.track == "screen"]
    assert (first.from_us, first.to_us) == (2 * SECOND, paused["facts"]["end_us"])
    assert (first.reason, first.uncertain) == ("the server broke off", False)
    assert (second.from_us, second.reason, second.uncertain) == (first.to_us, "paused", False)
    assert second.to_us == segments(spool, child.directory)[0][1].start_us


def test_a_take_that_is_stopped_in_a_pause_before_its_first_key_frame_ends_in_order(
    tmp_path: Path, film: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    with sending(film) as (port, _), child_of(port, spool) as child:
        child.say("pause")
        until(lambda: child.heard("paused"))
        assert child.end() == 0
    closed = spool.closed(child.directory)["screen"]
    assert (closed.ending, closed.last_counter, closed.end_us) == ("ended", 0, 0)


def test_what_came_in_a_pause_is_not_recorded_because_a_stop_ends_it(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, clock = Spool(tmp_path / "spool"), Later()
    monkeypatch.setattr(streaming, "time", clock)
    with recording_here(film, spool, []) as here:
        here.say("pause")
        until(lambda: here.mailbox.command == "pause")

        def stop_behind_a_key_frame(_seconds: float) -> None:
            until(
                lambda: [
                    one
                    for *_, one in list(here.source._waiting)
                    if one.stream.type == "video" and one.is_keyframe
                ]
            )
            here.mailbox.stop("stopped", ending="ended")

        monkeypatch.setattr(clock, "sleep", stop_behind_a_key_frame)
        assert here.recording.run() == "stopped"
        assert here.recording.finish() == 0
    assert list(spool.segments()) == []


def test_a_stream_that_sends_no_key_frame_after_a_pause_is_lost_and_tried_again(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool")
    with recording_here(film, spool, []) as here, ThreadPoolExecutor() as pool:
        ran = pool.submit(here.recording.run)
        until(lambda: list(spool.segments()))
        here.say("pause")
        until(lambda: paused_since(here.take.directory))
        monkeypatch.setattr(streaming, "FIRST_PICTURE_WITHIN", 0.1)  # an epoch begins half a second after one
        here.say("resume")
        try:
            with pytest.raises(SourceLost, match="No key frame"):
                ran.result(PATIENCE)
        finally:
            here.say("stop")
        here.take.close(here.recording.finish(), reason="lost", ending="interrupted")
    (gap,) = [gap for gap in spool.gaps(here.take.directory) if gap.track == "screen"]
    assert (gap.reason, gap.to_us) == ("paused", spool.closed(here.take.directory)["screen"].end_us)
