"""A desktop on which nothing happens is not recorded for ever, when that is wanted."""

import itertools
import os
import signal
import time
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from recorder.idle import Idle
from recorder.recovery import recover
from recorder.samples import Samples
from recorder.settings import Settings
from recorder.spool import Spool
from tests.waiting import until

from . import test_vnc as vnc
from .displays import display, program
from .remote import xvnc
from .stage import WHOLE, Child, shown_at

SECOND = 1_000_000
USED = Settings(frame_rate=10, quality="low", segment_seconds=1, idle_seconds=5, cursor=False, input="masked")
MOST_TITLES = 100
STILL = 17  # pictures: some that are finer where each segment begins, and one a second


def screen() -> np.ndarray:
    return np.zeros((1080, 1920, 4), dtype=np.uint8)


def test_a_clock_that_ticks_is_nothing_and_text_that_grows_is_something() -> None:
    idle, picture, samples = Idle(10), screen(), Samples()
    idle.begin(0)
    for second in range(9):
        picture[8:24, 1800:1880, :3] = 40 + second  # the clock
        idle.shown(samples.look(picture), second * SECOND)
    assert not idle.is_over(9 * SECOND)
    assert idle.is_over(10 * SECOND)
    for letter in range(60):
        picture[500:518, 100 + letter * 10 : 110 + letter * 10, :3] = 255
        idle.shown(samples.look(picture), 20 * SECOND + letter * SECOND // 5)
    assert not idle.is_over(33 * SECOND)
    assert not Idle(None).is_over(10**15)


def test_a_desktop_on_which_nothing_happens_ends_its_recording(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    settings = Settings(frame_rate=10, quality="low", segment_seconds=1, idle_seconds=2)
    with display() as shown, Child(spool, f"x11://{shown.name}", settings=settings) as child:
        assert child.end(None) == 0
    ended = child.heard("ended")
    assert ended is not None
    assert ended["reason"] == "nothing happened for 2 s"
    with Child(spool, "synthetic://320x180", settings=replace(settings, idle_seconds=1)) as busy:
        until(lambda: busy.frames() > 15)
        assert busy.end() == 0
    assert busy.heard("ended")["reason"] == "stopped"  # type: ignore[index]


@pytest.mark.parametrize(
    "doing",
    [("key", "Shift_L"), ("click", "2"), ("mousemove_relative", "--", "1", "0")],
    ids=lambda one: one[0],
)
def test_a_desktop_that_somebody_uses_goes_on_though_nothing_is_to_be_seen(
    doing: tuple[str, ...], tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    with display() as shown, Child(spool, f"x11://{shown.name}", settings=USED) as child:
        until(lambda: child.heard("recording"))
        until_ns = time.monotonic_ns() + 7_000_000_000
        while time.monotonic_ns() < until_ns:
            shown.run("xdotool", *doing)
            time.sleep(0.2)
            assert child.heard("ended") is None
        assert child.end(None) == 0
    assert child.heard("ended")["reason"] == "nothing happened for 5 s"  # type: ignore[index]


def test_a_recorder_that_stood_still_with_the_desktop_does_not_call_it_idle(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with (
        xvnc(tmp_path) as server,
        Child(spool, vnc.address(server), settings=USED, access=asdict(vnc.ACCESS)) as child,
    ):
        until(lambda: child.heard("recording"))
        server.freeze()
        child.process.send_signal(signal.SIGSTOP)
        time.sleep(6)
        child.process.send_signal(signal.SIGCONT)
        time.sleep(1)
        os.kill(server.process.pid, signal.SIGCONT)
        server.paint(0x204080)
        used = time.monotonic()
        assert child.end(None) == 0
    assert child.heard("ended")["reason"] == "nothing happened for 5 s"  # type: ignore[index]
    assert time.monotonic() - used > 5


def test_a_title_that_changes_by_itself_is_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with (
        display() as shown,
        program(shown, "xterm", "-T", "mail"),
        Child(spool, f"x11://{shown.name}", settings=USED) as child,
    ):
        until(lambda: child.heard("recording"))
        window = until(lambda: shown.ask("xdotool", "search", "--name", "mail").split())[0]
        for number in itertools.count():
            if child.heard("ended"):
                break
            assert number < MOST_TITLES
            shown.run("xdotool", "windowfocus", window, "set_window", "--name", f"mail ({number})", window)
            time.sleep(0.2)
        assert child.end(None) == 0


def test_a_drawn_out_segment_is_cut_when_somebody_begins_to_watch(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    settings = Settings(frame_rate=10, quality="low", segment_seconds=1, quiet_segment_seconds=300)

    def lengths() -> list[float]:
        return [(name.end_us - name.start_us) / SECOND for _, name in spool.segments()]

    def pictured() -> list[Fraction]:
        """How long after its first picture a segment has its last one, seconds."""
        return [shown_at(path)[-1] for path, _ in spool.segments()]

    with display() as shown, Child(spool, f"x11://{shown.name}", settings=settings, session=WHOLE) as child:
        until(lambda: child.frames() >= STILL)
        assert len(lengths()) == 1  # whoever began it sees the first segment as soon as ever
        child.say("watched")
        until(lambda: len(lengths()) >= 4)
        assert pictured()[1] > 1.5
        # However long a busy machine takes for the first picture of the next.
        assert max(pictured()[2:]) <= 1
        child.say("unwatched")
        before, frames = len(lengths()), child.frames()
        until(lambda: child.frames() >= frames + 7)
        assert len(lengths()) <= before + 1
        assert child.end() == 0
    assert pictured()[-1] > 1.5


def test_what_a_drawn_out_segment_holds_is_there_after_a_kill(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    settings = Settings(frame_rate=10, quality="low", segment_seconds=1, quiet_segment_seconds=300)
    with display() as shown, Child(spool, f"x11://{shown.name}", settings=settings, session=WHOLE) as child:
        until(lambda: child.frames() >= STILL)
        child.process.kill()
        child.process.wait()
    recover(spool, child.session, take=1, reason="killed")
    _, kept = [name for _, name in spool.segments()]
    assert kept.end_us - kept.start_us > 1.5 * SECOND
