"""`x11://:0`: an X display, read when it says that it changed (XDamage), through shared memory (MIT-SHM).

`x11://:0?window=0x1c00007` is one window of it.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import xcffib
import xcffib.damage
import xcffib.shm
import xcffib.xfixes

from recorder.errors import BadSource, SourceLost
from recorder.keys import InputPolicy
from recorder.planes import NO_ROWS, Rows, joined, meet
from recorder.pulse import of_users
from recorder.sources.cursor import Cursor
from recorder.sources.server_time import monotonic_ns
from recorder.sources.shared_image import SharedImage
from recorder.sources.surface import OneWindow, Surface, WholeScreen
from recorder.sources.x11_connection import connect, lacking
from recorder.sources.x11_input import InputListener

if TYPE_CHECKING:
    from recorder.screen import Picture
    from recorder.settings import Settings

WHOLE_EVERY_US = 10_000_000  # at most so old is any row that was not read again
ALL_PLANES, Z_PIXMAP = 0xFFFFFFFF, 2
HIGHEST_NUMBER = 1 << 29  # what a server numbers has three bits less than 32
NEEDED = ("DAMAGE", "MIT-SHM", "XFIXES", "RANDR")


class X11Source:
    """The screen of one display, or another surface of it. Reads nothing while nothing changes."""

    def __init__(
        self,
        display: str,
        *,
        cursor: bool,
        surface: Callable[[Any], Surface] = WholeScreen,
        authority: Path | None = None,
    ) -> None:
        self._display, self._authority = display, authority
        self._dirty, self._resized = True, False
        self._damaged: Rows = NO_ROWS
        self._pointed = False
        self._whole_us = -WHOLE_EVERY_US
        self.changed_rows: Rows | None = None
        self.changed_ns: int | None = None
        self._x = connect(display, authority=authority)
        try:
            with self._watched():
                self._set_up(surface, cursor=cursor)
        except (SourceLost, OSError) as error:
            self.close()
            raise BadSource(f"Display {display} cannot be recorded: {error}") from error
        except BadSource:
            self.close()
            raise

    def listen(self, policy: InputPolicy, *, hears: str = "display") -> InputListener:
        """Hears what is done at this display, by connections of its own."""

        def dial() -> Any:
            return connect(self._display, authority=self._authority)

        return InputListener(dial, policy=policy, hears=hears)

    def sound(self) -> dict[str, str]:
        """The environment in which what this display's programs play is heard.

        The server is the one that the display names (as module-x11-publish has it), else this user's.
        """
        with self._watched():
            names = "PULSE_SERVER", "STRING"
            atoms = [self._x.core.InternAtom(True, len(name), name).reply().atom for name in names]
            root = self._x.get_setup().roots[self._x.pref_screen].root
            named = self._x.core.GetProperty(False, root, *atoms, 0, 256).reply() if atoms[0] else None
        return of_users(bytes(named.value.raw).decode("ascii", "replace") if named else "")

    def wait(self, timeout: float) -> bool:
        """Whether the screen or the pointer has changed; returns at once when it has."""
        until = time.monotonic() + timeout
        with self._watched():
            while not self._changed():
                now = time.monotonic()
                if now >= until:
                    return False
                patience = until - now
                if self._cursor:
                    patience = min(patience, self._cursor.due_in(now))
                select.select([self._x.get_file_descriptor()], [], [], patience)
        return True

    def grab(self, at_us: int) -> Picture:
        """The screen now, with the pointer drawn in. `changed_rows` says where it differs from the last."""
        with self._watched():
            self._changed()
            self._take_rows(at_us)
            lifted = self._lift()
            self._damage.Subtract(self._damage_id, 0, 0)
            self._dirty, self.changed_ns = False, None
            self._read()
        drawn = self._draw()
        if self._pointed and self.changed_rows is not None:
            self.changed_rows = joined(self.changed_rows, joined(lifted, drawn))
        self._pointed = False
        return self._image.pixels

    def _lift(self) -> Rows:
        """Take the pointer off the picture where it moved or what is below it is read again."""
        if self._cursor is None or not (self._pointed or meet(self.changed_rows, self._cursor.rows)):
            return NO_ROWS
        return self._cursor.lift(self._image.pixels)

    def _draw(self) -> Rows:
        """Have the pointer on the picture."""
        if self._cursor is None or self._cursor.rows != NO_ROWS:
            return NO_ROWS
        return self._cursor.draw(self._image.pixels, origin=self._surface.origin)

    def _take_rows(self, at_us: int) -> None:
        """What is to be read now: what was reported, or everything."""
        self.changed_rows, self._damaged = self._damaged, NO_ROWS
        if self._resized:
            self._resize()
        # Some drivers forget to report.
        if at_us - self._whole_us >= WHOLE_EVERY_US or self.changed_rows is None:
            self.changed_rows, self._whole_us = None, at_us

    def close(self) -> None:
        """Leave the display."""
        with suppress(xcffib.XcffibException):
            self._x.disconnect()

    def _set_up(self, surface: Callable[[Any], Surface], *, cursor: bool) -> None:
        _check_extensions(self._x, self._display)
        screen = self._x.get_setup().roots[self._x.pref_screen]
        if screen.root_depth not in (24, 32):
            raise BadSource(
                f"Display {self._display} has {screen.root_depth} bits a pixel. Start it with 24."
            )
        self._damage, self._shm = self._x(xcffib.damage.key), self._x(xcffib.shm.key)
        fixes = self._x(xcffib.xfixes.key)
        self._damage.QueryVersion(1, 1).reply()
        self._shm.QueryVersion().reply()
        fixes.QueryVersion(5, 0).reply()
        self._surface = surface(self._x)
        self._cursor = Cursor(self._x, fixes, root=screen.root) if cursor else None
        self._attach()
        self._damage_id = self._x.generate_id()
        # It is answered by a report of all there is, which the first picture is to take along: wait for it.
        level = xcffib.damage.ReportLevel.BoundingBox
        self._damage.CreateChecked(self._damage_id, self._surface.watched, level).check()

    def _changed(self) -> bool:
        while (event := self._x.poll_for_event()) is not None:
            if isinstance(event, xcffib.damage.NotifyEvent):
                self._note(event)
            elif self._surface.is_resized_by(event):
                self._dirty = self._resized = True
            elif self._cursor and isinstance(event, xcffib.xfixes.CursorNotifyEvent):
                self._cursor.reshape()
        if self._cursor and self._cursor.has_moved(time.monotonic()):
            self._dirty = self._pointed = True
        return self._dirty

    def _note(self, event: Any) -> None:
        area = event.area
        if area.width and area.height:  # servers also report that nothing changed
            if not self._dirty:
                self.changed_ns = monotonic_ns(event.timestamp, heard_ns=time.monotonic_ns())
            first = max(0, area.y + self._surface.border)
            self._dirty, self._damaged = True, joined(self._damaged, (first, first + area.height))

    def _attach(self) -> None:
        self._image = SharedImage(*self._surface.renew())
        self._segment = self._x.generate_id()
        try:
            self._shm.AttachChecked(self._segment, self._image.name, False).check()
        except (xcffib.ProtocolException, xcffib.Error) as error:
            raise BadSource(
                f"Display {self._display} cannot share memory with this program. "
                "Record it on its own machine (containers: with the host's IPC namespace)."
            ) from error
        finally:
            self._image.forget_name()

    def _resize(self) -> None:
        self._resized, self.changed_rows = False, None
        if self._cursor:
            self._cursor.forget()
        self._shm.Detach(self._segment)
        outgrown = self._image
        self._attach()
        outgrown.release()

    def _read(self) -> None:
        try:
            self._get_image()
        except (xcffib.ProtocolException, xcffib.Error):  # it became smaller between the event and now
            self._resize()
            self._get_image()

    def _get_image(self) -> None:
        image = self._image
        first, last = (0, image.height) if self.changed_rows is None else self.changed_rows
        last = min(last, image.height)
        if first >= last:
            return
        where = 0, first, image.width, last - first
        offset = first * image.width * 4
        drawable = self._surface.drawable
        self._shm.GetImage(drawable, *where, ALL_PLANES, Z_PIXMAP, self._segment, offset).reply()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (xcffib.XcffibException, xcffib.ProtocolException, OSError) as error:
            raise SourceLost(
                f"Display {self._display} went away ({type(error).__name__}). Start it again and record anew."
            ) from error


def display_of(url: str) -> str:
    """The display that an `x11://` address names; `BadSource` when it names none."""
    parts = urlsplit(url)
    if ":" not in parts.netloc or parts.path.strip("/") or not set(_options(url)) <= {"window"}:
        raise BadSource(f"{url} names no display. Write x11://:0, with the number in $DISPLAY.")
    return parts.netloc


def window_of(url: str) -> int | None:
    """The window that an `x11://` address names; None when it means the whole screen."""
    given = _options(url).get("window")
    if given is None:
        return None
    with suppress(ValueError):
        number = int(given, 0)
        if 0 < number < HIGHEST_NUMBER:
            return number
    raise BadSource(f"{url}: {given!r} is no window's number, such as 0x1c00007.")


def _options(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def open_x11(url: str, settings: Settings) -> X11Source:
    """The display at an address; `BadSource` when there is none or it lacks an extension."""
    window = window_of(url)
    surface = WholeScreen if window is None else partial(OneWindow, window=window)
    return X11Source(display_of(url), cursor=settings.cursor, surface=surface)


def check(url: str) -> None:
    """`BadSource` unless the display answers and can be recorded."""
    display, _ = display_of(url), window_of(url)
    x = connect(display)
    try:
        _check_extensions(x, display)
    except xcffib.XcffibException as error:
        raise BadSource(f"Display {display} does not answer. Check that its server runs.") from error
    finally:
        x.disconnect()


def _check_extensions(x: Any, display: str) -> None:
    if name := lacking(x, *NEEDED):
        raise BadSource(f"Display {display} lacks the extension {name}. Use a server that has it.")
