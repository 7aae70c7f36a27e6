"""Two recorders of a display, measured alike: ours as the supervisor starts it, and ffmpeg's x11grab."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import av
import numpy as np

from recorder.keeper import Keeper
from recorder.orders import Orders
from recorder.quality import PRESETS
from recorder.settings import Settings
from recorder.sources import NO_ACCESS
from recorder.sources.target import Access
from recorder.spool import Spool

from .scenes import Desktop

PRESET = PRESETS["high"]
HIGH = ("-preset", PRESET.options["preset"], "-crf", PRESET.options["crf"], "-tune", "zerolatency")
SEARCH = ("-x264-params", PRESET.search)
SEGMENT_SECONDS = 4
# One pixel of eight by eight; where all of a picture has moved it differs by 10 in the mean, one that is
# encoded again by 0.02.
EVERY, MOVED = 8, 1.0


@dataclass
class Running:
    """A recorder at work: its process; after its end what it wrote of the screen, and what it counted.

    `begins` says when each file begins, in seconds of the recording; `stretches` how long each of ours is,
    and its bytes.
    """

    pid: int
    began: float
    files: list[Path] = field(default_factory=list)
    begins: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    size: int = 0
    stretches: list[tuple[float, int]] = field(default_factory=list)

    @property
    def megabytes_an_hour(self) -> float:
        """By the size of all files; 10^6 bytes."""
        return self.size * 3600 / self.seconds / 1e6

    def files_around(self, moment: float) -> list[Path]:
        """Those that hold what was shown half a second around a moment of the recording."""
        ends = [*self.begins[1:], float("inf")]
        spans = zip(self.files, self.begins, ends, strict=True)
        return [path for path, begin, end in spans if begin <= moment + 0.6 and end >= moment - 0.6]

    def pictures(self, first: float, last: float) -> int:
        """How many pictures of full motion the files hold of this stretch of the recording, in seconds.

        Those that differ from the one before: who cannot keep up encodes that one again, a little finer.
        """
        found, before = 0, None
        for moment, pixels in _seen(self.files):
            is_new = before is None or float(np.abs(pixels - before).mean()) > MOVED
            found, before = found + (is_new and first <= moment < last), pixels
        return found


def _seen(files: list[Path]) -> Iterator[tuple[float, "np.ndarray[Any, Any]"]]:
    """Each picture's moment in seconds and a part of its luma."""
    for path in files:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                plane: Any = frame.planes[0]
                rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                assert frame.time is not None
                yield frame.time, rows[: frame.height : EVERY, : frame.width : EVERY].astype(np.int16)


@contextmanager
def ours(
    shown: Desktop, home: Path, *, settings: Settings, source: str = "", access: Access = NO_ACCESS
) -> Iterator[Running]:
    """Our recorder, of the display or of a source that shows it; files and counts are there at the end."""
    spool, source = Spool(home / f"spool-{uuid4()}"), source or f"x11://{shown.name}"
    keeper = Keeper(Orders(uuid4(), 1, str(spool.root), source, settings, "bench", access=access))
    running = Running(keeper.pid, 0.0)
    try:
        while not running.began:
            for news in keeper.news():
                if news.kind == "recording":
                    running.began = time.time()
            if keeper.exit_code is not None:
                raise RuntimeError(f"the recorder ended with {keeper.exit_code}")
            time.sleep(0.02)
        yield running
        running.seconds = time.time() - running.began
        keeper.say("stop")
        while keeper.exit_code is None:
            time.sleep(0.05)
        keeper.bury()
        for news in keeper.news():
            running.facts |= news.facts
        screen = [(path, name) for path, name in spool.segments() if name.track == "screen"]
        running.files = [path for path, _ in screen]
        running.begins = [name.start_us / 1e6 for _, name in screen]
        running.stretches = [((n.end_us - n.start_us) / 1e6, path.stat().st_size) for path, n in screen]
        running.size = sum(path.stat().st_size for path, _ in spool.segments())
    finally:
        keeper.kill()


@contextmanager
def ffmpeg(shown: Desktop, home: Path, *, settings: Settings) -> Iterator[Running]:
    """ffmpeg at the settings of quality high: encoder, preset, rate, key frames, one thread."""
    target, rate = home / f"{uuid4()}.mp4", settings.frame_rate
    argv = ["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "x11grab", "-framerate", str(rate)]
    argv += ["-video_size", "{}x{}".format(*shown.size), "-draw_mouse", str(int(settings.cursor))]
    argv += [
        "-i",
        shown.name,
        "-c:v",
        "libx264",
        *HIGH,
        *SEARCH,
        "-g",
        str(rate * SEGMENT_SECONDS),
        "-threads",
        "1",
    ]
    argv += ["-pix_fmt", "yuv420p", str(target)]
    process = subprocess.Popen(argv)
    try:
        while not target.exists() and process.poll() is None:
            time.sleep(0.02)
        running = Running(process.pid, time.time())
        yield running
        running.seconds = time.time() - running.began
        process.terminate()
        process.wait(30)
        running.files, running.begins, running.size = [target], [0.0], target.stat().st_size
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
