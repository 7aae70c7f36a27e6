"""A live recording says that it lives whatever it waits for, as long as something is done."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from recorder import screen
from recorder.live import LiveRecording
from recorder.orders import Mailbox, Orders, Reporter
from recorder.sources import open_source
from recorder.sources.synthetic import SyntheticSource
from recorder.spool import Spool
from recorder.take import Take
from tests.waiting import PATIENCE, until

from .stage import QUICK, SMALL

# So many pictures wait, and each takes so many seconds: for all of them the recording itself says nothing.
WAITING = 3
SLOW = 1.1


def heard(lines: list[bytes], kind: str) -> list[dict[str, Any]]:
    return [one for one in map(json.loads, lines) if one["kind"] == kind]


def test_who_waits_for_a_slow_encoder_is_not_silent_and_has_time_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, plain = threading.Event(), screen.Segmenter._encode_into
    lines: list[bytes] = []
    stops: list[int] = []

    def encode(*args: Any, **options: Any) -> None:
        time.sleep(SLOW if slow.is_set() else 0)
        plain(*args, **options)

    monkeypatch.setattr(screen.Segmenter, "_encode_into", encode)
    monkeypatch.setattr(screen, "AHEAD", WAITING)
    orders = Orders(uuid4(), 1, str(tmp_path), SMALL, QUICK, "here")
    take = Take(Spool(tmp_path), orders.session, take=1)
    source = open_source(SMALL, QUICK)
    assert isinstance(source, SyntheticSource)
    reading, writing = os.pipe()
    with open(reading) as said, open(writing, "w", buffering=1) as say:  # noqa: PTH123 -- a pipe's ends
        mailbox = Mailbox(said, on_stop=lambda: stops.append(len(lines)))
        reporter = Reporter(lines.append, on_broken=lambda: None)
        recording = LiveRecording(take, orders, source=source, mailbox=mailbox, reporter=reporter)
        thread = threading.Thread(target=recording.run)
        thread.start()
        until(lambda: heard(lines, "heartbeat"))
        slow.set()
        begun = recording._segmenter._encoding._begun
        until(lambda: [one.done() for one in list(begun)] == [False] * WAITING, every=0.01)
        print("stop", file=say)
        thread.join(PATIENCE)
        recording.finish()
    # The stop itself, and then each picture that waited.
    assert len(stops) >= 1 + WAITING
    assert heard(lines, "heartbeat")[-1]["facts"] == {}
    take.close(0, reason="", ending="ended")
