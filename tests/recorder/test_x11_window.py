"""One window of a real display is recorded, covered or not, until it is closed."""

import time
from functools import partial

import numpy as np
import pytest
import xcffib
import xcffib.res
import xcffib.xproto

from recorder.errors import BadSource, SourceLost
from recorder.settings import Settings
from recorder.sources import LiveSource, open_source
from recorder.sources.surface import OneWindow
from recorder.sources.x11 import X11Source
from tests.waiting import until

from .displays import display

PLAIN = Settings(cursor=False)


def ends_as_closed(source: LiveSource) -> None:
    with pytest.raises(SourceLost, match="was closed"):
        until(lambda: source.wait(0.1) and source.grab(0) is None)
    source.close()


def shown_window(
    x: xcffib.Connection, colour: int, place: tuple[int, int, int, int], *, border: int = 0
) -> int:
    screen = x.get_setup().roots[0]
    window = x.generate_id()
    mask = xcffib.xproto.CW.BackPixel
    x.core.CreateWindow(24, window, screen.root, *place, border, 1, screen.root_visual, mask, [colour])
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
        until(lambda: source.wait(0.1) and source.grab(0).shape == (80, 150, 4))
        assert np.array_equal(source.grab(0)[40, 140, :3], (255, 0, 0))
        x.core.DestroyWindow(window)
        x.flush()
        ends_as_closed(source)
        x.disconnect()


@pytest.mark.parametrize("border", [0, 7])
def test_of_a_window_too_only_rows_that_changed_are_read(border: int) -> None:
    with display() as shown:
        x = xcffib.Connection(display=shown.name)
        window = shown_window(x, 0x0000FF, (10, 10, 100, 80), border=border)
        source = X11Source(shown.name, cursor=False, surface=partial(OneWindow, window=window))
        source.grab(0)
        before_ns = time.monotonic_ns()
        x.core.ClearArea(False, window, 0, 30, 100, 5)
        x.flush()
        until(lambda: source.wait(0.1))
        assert source.changed_ns is not None
        assert before_ns - 2_000_000 <= source.changed_ns <= time.monotonic_ns()
        source.grab(1)
        assert source.changed_ns is None
        assert source.changed_rows == (30 + border, 35 + border)
        x.core.ChangeWindowAttributes(window, xcffib.xproto.CW.BackPixel, [0x00FF00])
        x.core.ClearArea(False, window, 0, 50, 100, 5)
        x.flush()
        until(lambda: source.wait(0.1))
        seen = source.grab(2)[border : border + 80, border : border + 100, :3]
        assert (seen[50:55] == (0, 255, 0)).all()
        assert (np.delete(seen, range(50, 55), axis=0) == (255, 0, 0)).all()
        source.close()
        x.disconnect()


def test_a_window_that_is_alone_is_read_off_the_screen_while_all_of_it_is_there() -> None:
    with display("-screen", "0", "320x200x24") as shown:
        x = xcffib.Connection(display=shown.name)
        window = shown_window(x, 0x0000FF, (10, 10, 100, 80), border=7)
        source = X11Source(shown.name, cursor=False, surface=partial(OneWindow, window=window, alone=True))
        assert kept(x) == 0
        assert (source.grab(0)[..., :3] == (255, 0, 0)).all()
        x.core.ConfigureWindow(window, xcffib.xproto.ConfigWindow.X, [250])  # it reaches beyond the screen
        x.flush()
        until(lambda: source.wait(0.1) and source.grab(1).shape == (94, 114, 4))
        assert (source.grab(2)[7:87, 7:107, :3] == (255, 0, 0)).all()
        assert kept(x) > 0
        x.core.ConfigureWindow(window, xcffib.xproto.ConfigWindow.X, [10])
        x.flush()
        until(lambda: source.wait(0.1) and source.grab(3).shape == (80, 100, 4))
        assert (source.grab(4)[..., :3] == (255, 0, 0)).all()
        assert kept(x) == 0
        source.close()
        x.disconnect()


def kept(x: xcffib.Connection) -> int:
    """Bytes of pixels that the server keeps apart from its screen."""
    resources = x(xcffib.res.key)
    clients = resources.QueryClients().reply().clients
    return sum(resources.QueryClientPixmapBytes(one.resource_base).reply().bytes for one in clients)


def test_a_window_goes_on_whatever_a_window_manager_puts_it_into_and_ends_when_it_is_hidden() -> None:
    """One that begins, ends or is replaced takes each window off the screen for a moment."""
    with display() as shown:
        x = xcffib.Connection(display=shown.name)
        window = shown_window(x, 0x0000FF, (10, 10, 100, 80))
        source = open_source(f"x11://{shown.name}?window={window:#x}", PLAIN)
        source.grab(0)
        frame = shown_window(x, 0x808080, (50, 50, 120, 100))
        x.core.ReparentWindow(window, frame, 5, 15)
        paint(x, window, 0x00FF00)
        until(lambda: source.wait(0.1) and (source.grab(0)[..., :3] == (0, 255, 0)).all())
        x.core.UnmapWindow(frame)
        x.core.MapWindow(frame)
        paint(x, window, 0xFF0000)
        until(lambda: source.wait(0.1) and (source.grab(0)[..., :3] == (0, 0, 255)).all())
        x.core.UnmapWindow(window)
        x.flush()
        ends_as_closed(source)
        x.disconnect()


def paint(x: xcffib.Connection, window: int, colour: int) -> None:
    """All of a window in one colour."""
    x.core.ChangeWindowAttributes(window, xcffib.xproto.CW.BackPixel, [colour])
    x.core.ClearArea(False, window, 0, 0, 0, 0)
    x.flush()


@pytest.mark.parametrize("window", ["0x7fffff", "first", "", "-1", "0x1ffffffff"])
def test_a_window_that_is_not_there_is_refused(window: str) -> None:
    with display() as shown, pytest.raises(BadSource, match="window"):
        open_source(f"x11://{shown.name}?window={window}", PLAIN)
