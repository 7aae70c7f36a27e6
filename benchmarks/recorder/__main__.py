"""`python -m benchmarks.recorder [--quick] [--only NAME ...]`: what recording costs on this machine.

Every scene is recorded by ours and by `ffmpeg -f x11grab`, one after the other on an X server of its own, at
1920x1080, 30 frames a second, quality high. Rows come as they are measured: all of it within ten minutes.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recorder.settings import Settings

from .. import machine
from ..figures import Figure, percentile, show
from . import latency, live, many, rdp, scenes
from .cost import Meter, cpu_seconds, pss_megabytes
from .quiet import Quiet
from .recorders import Running, ffmpeg, ours
from .similarity import Alike, best_near

Recorder = Callable[..., AbstractContextManager[Running]]
HOLD = 0.45  # seconds that the screen is held still for each comparison
PLAIN = Settings(quality="high", cursor=False, segment_seconds=4, quiet_segment_seconds=300)
WHOLE = replace(PLAIN, cursor=True, poster_width=320, input="masked")
MOTION = "full motion"
LESS_CPU = {"idle, a clock ticks": 0.1, "office typing": 1 / 3, MOTION: 1.1}
# Their segments are drawn out: measured over the whole length of one, by `quiet`, beside everything else.
LONG = {"wholly idle": 5.0, "idle, a clock ticks": 41.4}


@dataclass(frozen=True)
class Measured:
    """One recorder in one scene."""

    share: float
    pictures: float  # that differ from the one before, a second; only of full motion
    megabytes_an_hour: float
    alike: Alike


def main(arguments: list[str]) -> int:
    """Measure what was asked for; 0 even when a target is missed, since the machine decides that too."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorder", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter scenes: a rough picture")
    parser.add_argument(
        "--only", choices=[*PARTS, "quiet"], nargs="+", default=[*PARTS, "quiet"], help="these parts"
    )
    parser.add_argument("--sessions", type=int, default=20, help="how many office-like sessions at once")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="lucid-bench-") as place:
        home = Path(place)
        for what, which in machine.facts(home):
            print(f"{what:12} {which}")
        with (
            closing(Quiet(home, settings=PLAIN, scenes=list(LONG)))
            if "quiet" in asked.only
            else nullcontext() as quiet
        ):
            for name in (one for one in asked.only if one != "quiet"):
                title, part = PARTS[name]
                print(f"\n{title}\n", flush=True)
                show(part(home, asked))
            if quiet is not None:
                print("\nA desktop on which nothing happens, drawn out\n", flush=True)
                show(quiet.figures(LONG))
    return 0


def side_by_side(home: Path, asked: argparse.Namespace) -> Iterator[Figure]:
    """Each scene by both recorders."""
    seconds = 6.0 if asked.quick else 12.0
    for scene in scenes.SCENES:
        mine = _measure(scene, ours, home, seconds=seconds)
        theirs = _measure(scene, ffmpeg, home, seconds=seconds)
        part = LESS_CPU.get(scene)
        yield Figure(
            f"{scene}: CPU of a core, ours",
            f"{mine.share:.1f} %",
            f"<= {part:.2f} of ffmpeg's" if part else "",
            mine.share <= part * theirs.share if part else None,
        )
        yield Figure(f"{scene}: CPU of a core, ffmpeg", f"{theirs.share:.1f} %")
        if scene == MOTION:
            yield from _pictures(mine, theirs)
        if scene not in LONG:
            yield Figure(f"{scene}: MB an hour, ours", f"{mine.megabytes_an_hour:,.1f}")
        yield Figure(f"{scene}: MB an hour, ffmpeg", f"{theirs.megabytes_an_hour:,.1f}")
        one, other = mine.alike, theirs.alike
        yield _similar(f"{scene}: SSIM of luma, ours", one.luma, other.luma)
        yield _similar(f"{scene}: SSIM of brightness (BT.601), ours", one.brightness, other.brightness)
        yield _similar(f"{scene}: SSIM of red, green and blue, ours", one.colours, other.colours)


def _pictures(mine: Measured, theirs: Measured) -> Iterator[Figure]:
    """What a picture costs: one thread has no more than a core, so who cannot keep up leaves pictures out."""
    yield Figure(f"{MOTION}: pictures a second, ours", f"{mine.pictures:.1f}")
    yield Figure(f"{MOTION}: pictures a second, ffmpeg", f"{theirs.pictures:.1f}")
    ours_ms, ffmpegs_ms = (10 * one.share / max(one.pictures, 0.1) for one in (mine, theirs))
    part = LESS_CPU[MOTION]
    yield Figure(
        f"{MOTION}: CPU of each, ours",
        f"{ours_ms:.1f} ms",
        f"<= {part} of ffmpeg's",
        ours_ms <= part * ffmpegs_ms,
    )
    yield Figure(f"{MOTION}: CPU of each, ffmpeg", f"{ffmpegs_ms:.1f} ms")


def _similar(what: str, mine: float, theirs: float) -> Figure:
    return Figure(what, f"{mine:.4f}", f">= {theirs:.4f}, ffmpeg's", round(mine, 4) >= round(theirs, 4))


def _measure(scene: str, recorder: Recorder, home: Path, *, seconds: float) -> Measured:
    """CPU and bytes over a stretch; then the screen is held three times, and compared."""
    with scenes.desktop(scene) as shown, recorder(shown, home, settings=PLAIN) as running:
        time.sleep(2)
        meter, began = Meter(running.pid), time.time() - running.began
        time.sleep(seconds)
        share, ended = meter.share(), time.time() - running.began
        held = [_held(shown, running) for _ in range(3)]
    found = [best_near(running.files_around(moment), moment, source=source) for moment, source in held]
    pictures = running.pictures(began, ended) / (ended - began) if scene == MOTION else 0.0
    size = running.megabytes_an_hour
    for path in running.files:
        path.unlink()
    return Measured(share, pictures, size, Alike.mean(found))


def _held(shown: scenes.Desktop, running: Running) -> tuple[float, Any]:
    shown.hold()
    time.sleep(HOLD)
    moment, source = time.time() - running.began, shown.picture()
    shown.signal(signal.SIGCONT)
    time.sleep(0.7)
    return moment, source


def delay(home: Path, asked: argparse.Namespace) -> Iterator[Figure]:
    """Pixel to encoded, while the desktop is otherwise still, and while it scrolls."""
    for scene in ("idle, a clock ticks", "scrolling"):
        with scenes.desktop(scene) as shown:
            found = latency.latencies(shown, home, count=20 if asked.quick else 60, settings=PLAIN)
        worst = percentile(found, 0.95)
        yield Figure(f"{scene}: pixel to encoded, p50", f"{percentile(found, 0.5):.0f} ms")
        yield Figure(f"{scene}: pixel to encoded, p95", f"{worst:.0f} ms", "< 120 ms", worst < 120)


def sixty(home: Path, asked: argparse.Namespace) -> Iterator[Figure]:
    """The whole screen moves sixty times a second."""
    with scenes.desktop("full motion", rate=60) as shown:
        settings = replace(PLAIN, frame_rate=60)
        with ours(shown, home, settings=settings) as running:
            meter, server = Meter(running.pid), Meter(shown.server.pid)
            time.sleep(5 if asked.quick else 12)
            shares = meter.share(), server.share()
        facts = running.facts
    rate = facts["frames"] / running.seconds
    yield Figure(
        "1920x1080, all of it moving, at 60: frames recorded", f"{rate:.1f} a second", ">= 59", rate >= 59
    )
    yield Figure(
        "dropped frames, times the rate was lowered", f"{facts['dropped_frames']}, {facts['rate_lowered']}"
    )
    yield Figure("CPU of a core: recorder, X server", f"{shares[0]:.0f} %, {shares[1]:.0f} %")


def memory(home: Path, asked: argparse.Namespace) -> Iterator[Figure]:
    """What one session's process takes, with small pictures and input."""
    with scenes.desktop("office typing") as shown, ours(shown, home, settings=WHOLE) as running:
        time.sleep(5 if asked.quick else 10)
        size = pss_megabytes(running.pid)
        used = cpu_seconds([running.pid])
    yield Figure("a session's process at 1920x1080, PSS", f"{size:.0f} MB", "< 100 MB", size < 100)
    yield Figure("CPU from its start until then", f"{used:.1f} s")
    for count, size_of in ((1, (1280, 720)), (1, (1920, 1080)), (4, (1280, 720))):
        by_name = rdp.memory(home, size=size_of, count=count, seconds=4 if asked.quick else 8)
        whole, parts = sum(by_name.values()), ", ".join(f"{n} {mb:.0f}" for n, mb in by_name.items())
        title = f"RDP at {size_of[0]}x{size_of[1]}, {count} at once, PSS each ({parts})"
        yield Figure(title, f"{whole:.0f} MB", "< 100 MB", whole < 100)


def office(home: Path, asked: argparse.Namespace) -> Iterator[Figure]:
    """Many sessions at once."""
    found = many.record(asked.sessions, home, seconds=8 if asked.quick else 20)
    title = f"{found.sessions} office-like sessions at 1280x720"
    yield Figure(f"{title}: frames dropped", f"{found.dropped} of {found.frames}", "0", not found.dropped)
    yield Figure("times a rate was lowered", str(found.lowered), "0", not found.lowered)
    yield Figure("CPU of a core: all recorders", f"{found.recorder_share:.0f} %")
    yield Figure("CPU of a core: their desktops", f"{found.desktops_share:.0f} %")
    yield Figure(
        "PSS of a session's process", f"{found.pss_megabytes:.0f} MB", "< 100 MB", found.pss_megabytes < 100
    )


def watching(_home: Path, asked: argparse.Namespace) -> Iterator[Figure]:
    """A viewer of a running session."""
    found = live.lags(seconds=15 if asked.quick else 40)
    yield Figure("live view in Chromium, 4 s segments: behind, p50", f"{percentile(found, 0.5):.1f} s")
    yield Figure("live view: behind, at most", f"{max(found):.1f} s", "<= 8 s", max(found) <= 8)


PARTS: dict[str, tuple[str, Callable[[Path, argparse.Namespace], Iterator[Figure]]]] = {
    "scenes": ("1920x1080, high, 30 frames a second, beside ffmpeg -f x11grab", side_by_side),
    "latency": ("From a painted pixel to its encoded frame", delay),
    "sixty": ("Sixty frames a second", sixty),
    "memory": ("Memory", memory),
    "live": ("Live view, through the whole stack", watching),
    "office": ("Many sessions on this machine", office),
}

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
