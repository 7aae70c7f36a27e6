"""From a painted pixel to its encoded frame: the recorder's own loop, in this process, beside a painter."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from recorder.live import LiveRecording
from recorder.orders import Mailbox, Orders, Reporter
from recorder.settings import Settings
from recorder.sources.x11 import X11Source
from recorder.spool import Spool
from recorder.take import Take

from .scenes import Desktop


class Watched(X11Source):
    """The display, noting which number each grabbed picture shows."""

    shown = 0

    def grab(self, at_us: int) -> Any:
        """As ever; the square at the corner says a number."""
        picture = super().grab(at_us)
        blue, green, red = (int(value) for value in picture[4, 4, :3])
        self.shown = red << 16 | green << 8 | blue
        return picture


def latencies(shown: Desktop, home: Path, *, count: int, settings: Settings) -> list[float]:
    """Milliseconds from paint to the end of encoding, one for each square that was seen."""
    take = Take(Spool(home / f"spool-{uuid4()}"), uuid4(), take=1)
    orders = Orders(take.session, 1, str(take.spool.root), f"x11://{shown.name}", settings, "bench")
    commands, told = os.pipe()
    source, mailbox = Watched(shown.name, cursor=False), Mailbox(os.fdopen(commands), on_stop=lambda: None)
    reporter = Reporter(lambda _line: None, on_broken=lambda: None)
    recording = LiveRecording(take, orders, source=source, mailbox=mailbox, reporter=reporter)
    encoded: dict[int, int] = {}
    push = recording._segmenter.push

    def noting(picture: Any, at_us: int, **more: Any) -> bool:
        pushed = push(picture, at_us, **more)
        encoded.setdefault(source.shown, time.monotonic_ns())
        return pushed

    recording._segmenter.push = noting  # type: ignore[method-assign]
    thread = threading.Thread(target=recording.run)
    thread.start()
    argv = [sys.executable, "-m", "benchmarks.recorder.motion", "paint", shown.name, str(count)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    time.sleep(0.5)
    os.close(told)
    thread.join()
    take.close(recording.finish(), reason="measured", ending="ended")
    painted = {int(number): int(ns) for number, ns in (line.split() for line in said)}
    return [(encoded[number] - ns) / 1e6 for number, ns in painted.items() if number in encoded]
