"""A desktop on which nothing happens is not recorded for ever, when that is wanted."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from recorder.idle import Idle
from recorder.settings import Settings
from recorder.spool import Spool

from .displays import display
from .stage import Child, eventually

SECOND = 1_000_000


def screen() -> np.ndarray:
    return np.zeros((1080, 1920, 4), dtype=np.uint8)


def test_a_clock_that_ticks_is_nothing_and_text_that_grows_is_something() -> None:
    idle, picture = Idle(10), screen()
    idle.begin(0)
    for second in range(9):
        picture[8:24, 1800:1880, :3] = 40 + second  # the clock
        idle.shown(picture, second * SECOND)
    assert not idle.is_over(9 * SECOND)
    assert idle.is_over(10 * SECOND)
    for letter in range(60):
        picture[500:518, 100 + letter * 10 : 110 + letter * 10, :3] = 255
        idle.shown(picture, 20 * SECOND + letter * SECOND // 5)
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
        eventually(lambda: busy.frames() > 15)
        assert busy.end() == 0
    assert busy.heard("ended")["reason"] == "stopped"  # type: ignore[index]
