"""One window of a real display is recorded, covered or not, until it is closed."""

import numpy as np
import pytest
import xcffib
import xcffib.xproto

from recorder.errors import BadSource, SourceLost
from recorder.settings import Settings
from recorder.sources import open_source

from .displays import display
from .stage import eventually

PLAIN = Settings(cursor=False)


def shown_window(x: xcffib.Connection, colour: int, place: tuple[int, int, int, int]) -> int:
    screen = x.get_setup().roots[0]
    window = x.generate_id()
    mask = xcffib.xproto.CW.BackPixel
    x.core.CreateWindow(24, window, screen.root, *place, 0, 1, screen.root_visual, mask, [colour])
    x.core.MapWindow(window)
    x.core.GetInputFocus().reply()
    return window


def test_a_window_is_seen_though_covered_follows_its_size_and_ends_with_it() -> None:
    with display() as shown:
        x = xcffib.Connection(display=shown.name)
        window = shown_window(x, 0x0000FF, (10, 10, 100, 80))
        source = open_source(f"x11://{shown.name}?window={window:#x}", PLAIN)
        shown_window(x, 0xFF0000, (0, 0, 200, 200))
        seen = source.grab(0)
        assert seen.shape == (80, 100, 4)
        assert (seen[..., :3] == (255, 0, 0)).all()
        x.core.ConfigureWindow(window, xcffib.xproto.ConfigWindow.Width, [150])
        x.flush()
        eventually(lambda: source.wait(0.1) and source.grab(0).shape == (80, 150, 4))
        assert np.array_equal(source.grab(0)[40, 140, :3], (255, 0, 0))
        x.core.DestroyWindow(window)
        x.flush()
        with pytest.raises(SourceLost, match="was closed"):
            eventually(lambda: source.wait(0.1) and source.grab(0) is None)
        source.close()
        x.disconnect()


@pytest.mark.parametrize("window", ["0x7fffff", "first", ""])
def test_a_window_that_is_not_there_is_refused(window: str) -> None:
    with display() as shown, pytest.raises(BadSource, match="window"):
        open_source(f"x11://{shown.name}?window={window}", PLAIN)
