"""Where recordings come from, by address: `synthetic://`, `x11://`, `rdp://`, `vnc://`, `rtsp://`, `file://`.

Each kind is a module with `check` and an opener; it is imported when it is asked for, so that a recorder
carries only what it uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from recorder.errors import BadSource
from recorder.settings import Settings
from recorder.sources.target import Access, split

if TYPE_CHECKING:
    from recorder.screen import Picture
    from recorder.sources.file import FileSource
    from recorder.sources.rtsp import RtspSource

KINDS = ("synthetic", "x11", "rdp", "vnc", "rtsp", "file")
MEDIA_TIMED = frozenset({"file"})  # their timeline is the medium's own, not the clock's
RECONNECTED = frozenset({"rdp", "vnc", "rtsp"})  # other machines: servers restart, networks are cut
NO_ACCESS = Access()
NOT_CHECKED = "not checked"


class LiveSource(Protocol):
    """A screen that changes while it is watched. `wait` and `grab` raise `SourceLost` when it goes away."""

    def wait(self, timeout: float) -> bool:
        """Whether the screen has changed since the last `grab`; returns at once when it has."""
        ...

    def grab(self, at_us: int) -> Picture:
        """What the screen shows; valid until the next call. `at_us` is the session's time."""
        ...

    def close(self) -> None:
        """Let go of the screen."""
        ...


def kind_of(url: str) -> str:
    """The kind of an address; `BadSource` when there is none such."""
    kind = split(url).scheme
    if kind not in KINDS:
        raise BadSource(
            f"Source {url!r} is of an unknown kind. Write one of synthetic://1280x720, x11://:0, "
            "rdp://user@host, vnc://host, rtsp://host/path, file:///path.mp4."
        )
    return kind


@contextmanager
def _with_xcb() -> Iterator[None]:
    """Whatever needs the X client library goes in here; `BadSource` when this host has none."""
    try:
        yield
    except OSError as error:
        if "libxcb" not in str(error):
            raise
        raise BadSource(
            "This host lacks libxcb, by which displays are recorded. Install the Debian package libxcb1."
        ) from error


def check_source(url: str, *, access: Access = NO_ACCESS) -> None:
    """Nothing, if the source can be recorded from here and now; else `BadSource` with one clear line."""
    kind = kind_of(url)
    if kind == "synthetic":
        from recorder.sources import synthetic

        synthetic.check(url)
    elif kind == "x11":
        with _with_xcb():
            from recorder.sources import x11
        x11.check(url)
    elif kind == "rdp":
        with _with_xcb():
            from recorder.sources import rdp
        rdp.check(url, access=access)
    elif kind == "vnc":
        from recorder.sources import vnc

        vnc.check(url, access=access)
    elif kind == "rtsp":
        from recorder.sources import rtsp

        rtsp.check(url, access=access)
    else:
        from recorder.sources import file

        file.check(url)


def changed_rows(source: object) -> tuple[int, int] | None:
    """Which rows the picture of the last `grab` has changed, where the source knows: first, one past last."""
    rows: tuple[int, int] | None = getattr(source, "changed_rows", None)
    return rows


def changed_since(source: object) -> int | None:
    """Since when the screen differs from the last `grab`, CLOCK_MONOTONIC, where the source knows."""
    since_ns: int | None = getattr(source, "changed_ns", None)
    return since_ns


def evidence_of(source: object) -> dict[str, str]:
    """What a source can say about the server it records and how that was checked."""
    found: dict[str, str] = getattr(source, "evidence", {})
    return found


def open_source(
    url: str, settings: Settings, *, access: Access = NO_ACCESS
) -> LiveSource | FileSource | RtspSource:
    """The source at an address, opened; `BadSource` when that cannot be."""
    kind = kind_of(url)
    if kind == "synthetic":
        from recorder.sources.synthetic import open_synthetic

        return open_synthetic(url, settings)
    if kind == "x11":
        with _with_xcb():
            from recorder.sources.x11 import open_x11
        return open_x11(url, settings)
    if kind == "rdp":
        with _with_xcb():
            from recorder.sources.rdp import open_rdp
        return open_rdp(url, settings, access=access)
    if kind == "vnc":
        from recorder.sources.vnc import open_vnc

        return open_vnc(url, settings, access=access)
    if kind == "rtsp":
        from recorder.sources.rtsp import open_rtsp

        return open_rtsp(url, settings, access=access)
    from recorder.sources.file import open_file

    return open_file(url)
