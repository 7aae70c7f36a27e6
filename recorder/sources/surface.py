"""What of a display is recorded: all of its screen, or one window wherever it lies."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Protocol

import xcffib
import xcffib.composite
import xcffib.randr
import xcffib.xproto

from recorder.errors import BadSource, SourceLost
from recorder.silence import Silence
from recorder.sources.x11_connection import lacking

BACK_WITHIN = 2.0  # seconds that a window manager has to put back what it takes off the screen


class Surface(Protocol):
    """Something on a display that has pixels. Errors of the connection are the caller's to translate."""

    watched: int
    """What reports damage."""
    drawable: int
    """What is read; may change with `renew`."""
    origin: tuple[int, int]
    """Where its upper left corner is on the screen, for the pointer."""
    border: int
    """How far from the upper left corner of its pixels its damage is counted."""

    def renew(self) -> tuple[int, int]:
        """Ready to be read at its present size, which is returned: width and height."""
        ...

    def is_resized_by(self, event: Any) -> bool:
        """Whether an event says that the size is another now."""
        ...


class WholeScreen:
    """The root window."""

    def __init__(self, x: Any) -> None:
        self._x = x
        self.watched = self.drawable = x.get_setup().roots[x.pref_screen].root
        self.origin, self.border = (0, 0), 0
        randr = x(xcffib.randr.key)
        randr.QueryVersion(1, 5).reply()
        randr.SelectInput(self.drawable, xcffib.randr.NotifyMask.ScreenChange)

    def renew(self) -> tuple[int, int]:
        """The screen's size."""
        size = self._x.core.GetGeometry(self.drawable).reply()
        return size.width, size.height

    def is_resized_by(self, event: Any) -> bool:
        """RANDR says so."""
        return isinstance(event, xcffib.randr.ScreenChangeNotifyEvent)


class OneWindow:
    """One window with what is inside it, whether or not others cover it or it reaches beyond the screen.

    To that end the server keeps its pixels apart. One that is `alone` on its display is read off the screen
    as long as all of it is there: that saves the server a picture, and a copy of what is drawn.

    While a window is iconified there is nothing to be seen: that ends it, as closing it does. A window
    manager that comes or goes takes windows off the screen too, and puts them back at once: that does not.
    """

    def __init__(self, x: Any, window: int, *, alone: bool = False) -> None:
        self._x, self.watched, self.drawable = x, window, window
        self._root = x.get_setup().roots[x.pref_screen].root
        self._alone, self._apart = alone, False
        self.origin, self.border = (0, 0), 0
        if lacking(x, "Composite"):
            raise BadSource("This display lacks the extension Composite: record its whole screen instead.")
        self._composite = x(xcffib.composite.key)
        self._composite.QueryVersion(0, 4).reply()
        try:
            state = x.core.GetWindowAttributes(window).reply().map_state
            mask = xcffib.xproto.EventMask.StructureNotify | xcffib.xproto.EventMask.VisibilityChange
            x.core.ChangeWindowAttributesChecked(window, xcffib.xproto.CW.EventMask, [mask]).check()
        except xcffib.XcffibException as error:
            raise BadSource(
                f"There is no window {window:#x} on this display. List them: xwininfo -tree -root."
            ) from error
        if state != xcffib.xproto.MapState.Viewable:
            raise BadSource(f"Window {window:#x} is not shown. Open it first.")

    def renew(self) -> tuple[int, int]:
        """The size of its pixels now, which may be elsewhere than before."""
        self._await_back()
        inside = self._x.core.GetGeometry(self.watched).reply()
        self._size, self.origin = (inside.width, inside.height), self._place()
        if self._is_in_sight():
            self._put_back()
            return self._size
        self._keep_apart()
        self.border = inside.border_width
        pixels = self._x.core.GetGeometry(self.drawable).reply()
        return pixels.width, pixels.height

    def is_resized_by(self, event: Any) -> bool:
        """It has another size, or has to be read elsewhere where it is now; `SourceLost` when it is gone."""
        if isinstance(event, xcffib.xproto.DestroyNotifyEvent | xcffib.xproto.UnmapNotifyEvent):
            if event.window == self.watched:
                self._await_back()
                return True
        elif isinstance(event, xcffib.xproto.VisibilityNotifyEvent):  # its pixels are others if it had gone
            return bool(event.window == self.watched)
        elif isinstance(event, xcffib.xproto.ConfigureNotifyEvent) and event.window == self.watched:
            resized = (event.width, event.height) != self._size
            self._size, self.origin = (event.width, event.height), self._place()
            return resized or self._is_in_sight() == self._apart
        return False

    def _await_back(self) -> None:
        """Return when it is to be seen, as it nearly always is; `SourceLost` when it stays away."""
        waited = Silence()
        with suppress(xcffib.xproto.WindowError):
            while waited.seconds() < BACK_WITHIN:
                state = self._x.core.GetWindowAttributes(self.watched).reply().map_state
                if state == xcffib.xproto.MapState.Viewable:
                    return
                time.sleep(0.02)
        raise SourceLost(f"Window {self.watched:#x} was closed.")

    def _place(self) -> tuple[int, int]:
        place = self._x.core.TranslateCoordinates(self.watched, self._root, 0, 0).reply()
        return place.dst_x, place.dst_y

    def _is_in_sight(self) -> bool:
        """Whether nothing is missing of it on the screen."""
        screen = self._x.core.GetGeometry(self._root).reply()
        (left, top), (width, height) = self.origin, self._size
        within = left + width <= screen.width and top + height <= screen.height
        return self._alone and min(left, top) >= 0 and within

    def _put_back(self) -> None:
        if self._apart:
            self._x.core.FreePixmap(self.drawable)
            self._composite.UnredirectWindow(self.watched, xcffib.composite.Redirect.Automatic)
        self._apart, self.drawable, self.border = False, self.watched, 0

    def _keep_apart(self) -> None:
        if self._apart:
            self._x.core.FreePixmap(self.drawable)
        else:
            self._composite.RedirectWindowChecked(self.watched, xcffib.composite.Redirect.Automatic).check()
        self._apart, self.drawable = True, self._x.generate_id()
        self._composite.NameWindowPixmapChecked(self.watched, self.drawable).check()
