"""What of a display is recorded: all of its screen, or one window wherever it lies."""

from __future__ import annotations

from typing import Any, Protocol

import xcffib
import xcffib.composite
import xcffib.randr
import xcffib.xproto

from recorder.errors import BadSource, SourceLost


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

    While a window is iconified there is nothing to be seen: that ends it, as closing it does.
    """

    def __init__(self, x: Any, window: int) -> None:
        self._x, self.watched, self.drawable = x, window, 0
        self._root = x.get_setup().roots[x.pref_screen].root
        self.origin, self.border = (0, 0), 0
        name = "Composite"
        if not x.core.QueryExtension(len(name), name).reply().present:
            raise BadSource("This display lacks the extension Composite: record its whole screen instead.")
        self._composite = x(xcffib.composite.key)
        self._composite.QueryVersion(0, 4).reply()
        try:
            state = x.core.GetWindowAttributes(window).reply().map_state
            mask = xcffib.xproto.EventMask.StructureNotify
            x.core.ChangeWindowAttributes(window, xcffib.xproto.CW.EventMask, [mask])
            self._composite.RedirectWindowChecked(window, xcffib.composite.Redirect.Automatic).check()
        except xcffib.XcffibException as error:
            raise BadSource(
                f"There is no window {window:#x} on this display. List them: xwininfo -tree -root."
            ) from error
        if state != xcffib.xproto.MapState.Viewable:
            raise BadSource(f"Window {window:#x} is not shown. Open it first.")

    def renew(self) -> tuple[int, int]:
        """The window's size; its pixels now are a new pixmap."""
        if self.drawable:
            self._x.core.FreePixmap(self.drawable)
        self.drawable = self._x.generate_id()
        self._composite.NameWindowPixmapChecked(self.watched, self.drawable).check()
        size = self._x.core.GetGeometry(self.drawable).reply()
        place = self._x.core.TranslateCoordinates(self.watched, self._root, 0, 0).reply()
        self.origin = place.dst_x, place.dst_y
        self.border = self._x.core.GetGeometry(self.watched).reply().border_width
        self._size = size.width, size.height
        return self._size

    def is_resized_by(self, event: Any) -> bool:
        """The window has another size, or moved; `SourceLost` when it is gone."""
        if isinstance(event, xcffib.xproto.DestroyNotifyEvent | xcffib.xproto.UnmapNotifyEvent):
            if event.window == self.watched:
                raise SourceLost(f"Window {self.watched:#x} was closed.")
        elif isinstance(event, xcffib.xproto.ConfigureNotifyEvent) and event.window == self.watched:
            place = self._x.core.TranslateCoordinates(self.watched, self._root, 0, 0).reply()
            self.origin = place.dst_x, place.dst_y
            return (event.width, event.height) != self._size
        return False
