"""`vnc://host:5900`: a desktop watched as a further, silent viewer, in the server's own pixels."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from recorder.errors import RecorderError, SourceAway, SourceLost
from recorder.keys import InputPolicy
from recorder.sources.reach import Endpoint, resolve
from recorder.sources.rfb import HANDSHAKE_SECONDS, PIXELS, Copied, Stream, Viewer, shake_hands
from recorder.sources.target import Access, Target, parse

if TYPE_CHECKING:
    from recorder.screen import Picture
    from recorder.settings import Settings

log = logging.getLogger("recorder")


class VncSource:
    """The desktop of a VNC server. A thread keeps the picture up to date; nothing is ever sent but wishes."""

    def __init__(self, target: Target, settings: Settings, *, access: Access) -> None:
        self._endpoint = resolve(target, allowed=access.allowed)
        self._interval = 1 / settings.frame_rate
        self._lock, self._changed = Lock(), Event()
        self._trouble: RecorderError | None = None
        self._stream = _connect(target, self._endpoint)
        try:
            desktop = shake_hands(self._stream, password=access.secret)
            self._viewer = Viewer(self._stream, desktop, cursor=settings.cursor)
            # Servers tell of the desktop's shape first: until its pixels come, it is black.
            while self._viewer.read_message(self._update) != PIXELS:
                self._viewer.ask(whole=False)
        except BaseException:
            self._stream.close()
            raise
        Thread(target=self._follow, name="vnc", daemon=True).start()

    @property
    def evidence(self) -> dict[str, str]:
        """Which server this is; VNC gives no proof of that."""
        return {"server": str(self._endpoint), "certificate_checked": "none: VNC has no certificate"}

    def wait(self, timeout: float) -> bool:
        """Whether the desktop has changed; returns at once when it has."""
        self._changed.wait(timeout)
        self._raise_trouble()
        return self._changed.is_set()

    def grab(self, _at_us: int) -> Picture:
        """The desktop now."""
        self._raise_trouble()
        with self._lock:
            self._changed.clear()
            return self._viewer.picture.copy()

    def listen(self, _policy: InputPolicy) -> ServerListener:
        """Hears what the server tells its viewers: what was copied. RFB tells nobody what others type."""
        return ServerListener(self._viewer.copied)

    def close(self) -> None:
        """Leave the desktop."""
        self._stream.close()

    def _follow(self) -> None:
        try:
            while True:
                began = time.monotonic()
                self._viewer.ask(whole=False)
                self._viewer.read_message(self._update)
                time.sleep(max(0.0, self._interval - (time.monotonic() - began)))
        except RecorderError as error:
            self._trouble = error
        except Exception as error:  # without a reader the picture would be recorded as it is for ever
            log.exception("The reader of %s ended.", self._stream.name)
            what = type(error).__name__
            self._trouble = SourceLost(f"{self._stream.name} can be watched no longer: {what}.")
        finally:
            self._changed.set()

    def _update(self, change: Callable[[], bool]) -> None:
        with self._lock:
            if change():
                self._changed.set()

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise self._trouble


class ServerListener:
    """What the server has said of its clipboard, from now on."""

    hears = "server"

    def __init__(self, copied: deque[Copied]) -> None:
        self._copied = copied
        self._copied.clear()

    def heard(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """What was copied since the last time."""
        while self._copied:
            at_ns, length, sha256 = self._copied.popleft()
            yield at_ns, {"k": "clip", "text": True, "length": length, "sha256": sha256}

    def head(self) -> dict[str, Any]:
        """Nothing more is known."""
        return {}

    def close(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """What was still on its way."""
        return self.heard()


def open_vnc(url: str, settings: Settings, *, access: Access) -> VncSource:
    """The desktop at an address; `BadSource` saying why when it cannot be watched."""
    return VncSource(parse(url), settings, access=access)


def check(url: str, *, access: Access) -> None:
    """`BadSource` unless the address is complete and allowed, and a VNC server answers there."""
    target = parse(url)
    _connect(target, resolve(target, allowed=access.allowed)).close()


def _connect(target: Target, endpoint: Endpoint) -> Stream:
    try:
        return Stream(endpoint.connect(HANDSHAKE_SECONDS), target.place)
    except OSError as error:
        raise SourceAway(
            f"{target.place} cannot be reached ({error.strerror or error}). Check host, port and network."
        ) from error
