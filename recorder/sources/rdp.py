"""`rdp://user@host:3389`: FreeRDP's client on a private display, of which its window is recorded.

The password goes to the client's standard input and nowhere else. The certificate is checked before the
client is started, and the client accepts only that one.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from functools import partial
from subprocess import Popen
from threading import Thread
from typing import TYPE_CHECKING, Any

import xcffib
import xcffib.xproto

from recorder.errors import RecorderError, SourceAway, SourceLost
from recorder.keys import InputPolicy
from recorder.pulse import PrivateSound
from recorder.silence import Silence
from recorder.sources import certificate
from recorder.sources.certificate import Certificate, check_certificate
from recorder.sources.line import Line
from recorder.sources.rdp_client import HEARD, UNHEARD, client, forget_gone
from recorder.sources.rdp_exit import why_ended
from recorder.sources.reach import Endpoint, resolve
from recorder.sources.surface import OneWindow
from recorder.sources.target import Access, Target, check_secret, parse
from recorder.sources.watchdog import Watchdog
from recorder.sources.x11 import X11Source
from recorder.sources.x11_connection import connect
from recorder.sources.x11_input import InputListener
from recorder.xvfb import PrivateDisplay

if TYPE_CHECKING:
    from recorder.screen import Picture
    from recorder.settings import Settings

LOG_ON_WITHIN = 25.0
LAST_LINES = 60
PROBE_SECONDS = 2.0
SIZE = 1280, 720


class RdpSource:
    """A remote desktop. Resizes of the remote side are followed; its end has a reason."""

    def __init__(self, target: Target, settings: Settings, *, access: Access) -> None:
        self._target = target
        self._endpoint = resolve(target, allowed=access.allowed)
        check_secret(target, access.secret)
        self._certificate = check_certificate(target, self._endpoint)
        self._program = client()
        forget_gone()  # of a recorder that was killed
        size = settings.width or SIZE[0], settings.height or SIZE[1]
        self._sound = PrivateSound() if settings.sound else None
        try:
            self._display = PrivateDisplay(*size)
        except BaseException:
            self._silence()
            raise
        try:
            self._begin(size, settings, access=access)
        except (RecorderError, xcffib.XcffibException) as error:
            self._silence()
            raise self._why_not_begun(error) from error
        except BaseException:
            self._display.close()
            self._silence()
            raise

    @property
    def evidence(self) -> dict[str, str]:
        """Which server this is, and how that was checked."""
        return evidence_of(self._endpoint, self._certificate)

    def wait(self, timeout: float) -> bool:
        """Whether the picture has changed; `SourceLost` when the server hangs."""
        try:
            changed = self._screen.wait(timeout)
        except SourceLost as error:
            raise self._why(error) from error
        self._watchdog.look(heard=changed)
        return changed

    def grab(self, at_us: int) -> Picture:
        """The remote desktop now; `BadSource` when it is another than the one that was asked for."""
        try:
            picture = self._screen.grab(at_us)
        except SourceLost as error:
            raise self._why(error) from error
        self._line.check()
        return picture

    def listen(self, policy: InputPolicy) -> InputListener:
        """Hears what passes through the client here, and what is copied there."""
        return self._screen.listen(policy, hears="client")

    @property
    def changed_rows(self) -> tuple[int, int] | None:
        """Where the last picture differs from the one before, as the private display says."""
        return self._screen.changed_rows

    @property
    def changed_ns(self) -> int | None:
        """Since when the picture differs from the last that was read, as the private display says."""
        return self._screen.changed_ns

    def sound(self) -> dict[str, str]:
        """The environment in which what the remote desktop plays is heard."""
        return self._sound.environment if self._sound else {}

    def close(self) -> None:
        """Disconnect; what runs on the remote side goes on there."""
        self._screen.close()
        self._display.close()
        forget_gone()
        self._silence()

    def _silence(self) -> None:
        if self._sound is not None:
            self._sound.close()

    def _begin(self, size: tuple[int, int], settings: Settings, *, access: Access) -> None:
        self._x = connect(self._display.name, authority=self._display.authority)
        self._root = self._x.get_setup().roots[0].root
        # In a corner, before the client is there to pass it on: the remote pointer is not ours to move.
        self._x.core.WarpPointer(0, self._root, 0, 0, 0, 0, size[0] - 1, size[1] - 1)
        self._x.flush()
        argv = self._program.argv(self._target, self._endpoint, certificate=self._certificate, size=size)
        argv += HEARD if self._sound else UNHEARD
        argv.append("-clipboard" if settings.input == "none" else "+clipboard")
        more = {"PULSE_SERVER": self._sound.server} if self._sound else None
        self._client = self._display.run(argv, more=more)
        self._output: deque[str] = deque(maxlen=LAST_LINES)
        Thread(target=_collect, args=(self._client, self._output), daemon=True).start()
        self._line = Line(self._client.pid, self._endpoint, place=self._target.place)
        _say(self._client, access.secret)
        self._window = self._wait_for_window()
        self._screen = X11Source(
            self._display.name,
            cursor=settings.cursor,
            surface=partial(OneWindow, window=self._window, alone=True),
            authority=self._display.authority,
        )
        self._watchdog = Watchdog(
            self._target.place,
            nudge=self._nudge,
            is_answering=lambda: certificate.is_answering(self._endpoint, seconds=PROBE_SECONDS),
        )

    def _wait_for_window(self) -> int:
        """The client opens its window when it is logged on."""
        waited = Silence()
        while waited.seconds() < LOG_ON_WITHIN:
            if self._client.poll() is not None:
                raise self._client_ended(connected=False)
            self._line.check()
            if window := _largest_window(self._x, self._root):
                return window
            time.sleep(0.05)
        raise SourceAway(f"{self._target.place} did not complete the logon in {LOG_ON_WITHIN:.0f} s.")

    def _nudge(self) -> None:
        """Have the client tell the server that nobody looks, then that somebody does: it sends everything.

        Only the client is told that its window was closed and opened; it stays as it is.
        """
        x, window = self._x, self._window
        closed = xcffib.xproto.UnmapNotifyEvent.synthetic(window, window, 0)
        opened = xcffib.xproto.MapNotifyEvent.synthetic(window, window, 0)
        with contextlib.suppress(xcffib.XcffibException):
            for event in (closed, opened):
                x.core.SendEvent(False, window, 0, event.pack())
            x.flush()

    def _why(self, error: SourceLost) -> RecorderError:
        """What lies behind the loss of the window."""
        if self._display.has_ended():
            return SourceLost(f"The private display of {self._target.place} ended.")
        with contextlib.suppress(TimeoutError):
            _wait_for_end(self._client)
            return self._client_ended(connected=True)
        return error

    def _why_not_begun(self, error: RecorderError | xcffib.XcffibException) -> RecorderError:
        """What lies behind a failed start. A display that died is no fault of the address: tried again."""
        ended = self._display.has_ended()
        self._display.close()
        if ended:
            return SourceAway(f"The private display of {self._target.place} ended before the logon.")
        return error if isinstance(error, RecorderError) else SourceAway(f"{self._target.place}: {error}")

    def _client_ended(self, *, connected: bool) -> RecorderError:
        code = self._client.wait()
        return why_ended(code, "".join(self._output), place=self._target.place, connected=connected)


def evidence_of(endpoint: Endpoint, certificate: Certificate) -> dict[str, str]:
    """What is written down about the server that was recorded."""
    return {
        "server": str(endpoint),
        "certificate_sha256": certificate.sha256,
        "certificate_checked": certificate.checked,
    }


def open_rdp(url: str, settings: Settings, *, access: Access) -> RdpSource:
    """The remote desktop at an address, logged on to; `BadSource` saying why when that cannot be."""
    return RdpSource(parse(url), settings, access=access)


def check(url: str, *, access: Access) -> None:
    """`BadSource` unless the address is complete, allowed, and its server's certificate passes."""
    target = parse(url)
    check_certificate(target, resolve(target, allowed=access.allowed))


def _say(client: Popen[str], secret: str) -> None:
    assert client.stdin is not None  # noqa: S101 -- a private display's programs have one
    with contextlib.suppress(OSError):  # a client that is gone says why by its exit code
        client.stdin.write(secret + "\n")
        client.stdin.close()


def _collect(client: Popen[str], lines: deque[str]) -> None:
    assert client.stdout is not None  # noqa: S101 -- as above
    with contextlib.suppress(ValueError, OSError):  # closed under us at the end
        for line in client.stdout:
            lines.append(line)


def _wait_for_end(client: Popen[str]) -> None:
    until = time.monotonic() + 1
    while client.poll() is None:
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.02)
    time.sleep(0.05)  # its last words are on their way


def _largest_window(x: Any, root: int) -> int | None:
    """The largest window that is shown; None while there is none of any size."""
    largest, found = 32 * 32, None
    for window in x.core.QueryTree(root).reply().children:
        with contextlib.suppress(xcffib.ProtocolException, xcffib.Error):
            shown = x.core.GetWindowAttributes(window).reply().map_state == xcffib.xproto.MapState.Viewable
            size = x.core.GetGeometry(window).reply()
            if shown and size.width * size.height > largest:
                largest, found = size.width * size.height, window
    return found
