"""`rtsp://host/path`: what a camera or an encoder sends, taken over packet by packet without decoding it.

By RTP inside the RTSP connection (TCP) only: one connection, to the address that was looked up, nothing else.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import av
from av.container import InputContainer
from av.error import ExitError, FFmpegError, HTTPUnauthorizedError
from av.video.codeccontext import VideoCodecContext

from recorder.errors import BadSource, RecorderError, SourceAway, SourceLost
from recorder.silence import Silence
from recorder.sources.file import MediaStream, sound_stream, timescale_of
from recorder.sources.reach import Endpoint, resolve
from recorder.sources.reorder import with_decode_times
from recorder.sources.target import Access, Target, parse

if TYPE_CHECKING:
    from av.packet import Packet

    from recorder.settings import Settings

MEDIA = "video+audio"
ANSWER_WITHIN = 8.0  # seconds without a packet after which the server hangs
SILENT = f"hangs or is cut off: nothing came for {ANSWER_WITHIN:.0f} s"
MOST_SOUND = 500  # packets of sound that may wait for a picture
MOST_WAITING = 4000  # packets: a recorder that falls behind by more than that has lost the stream
Arrival = tuple[int, MediaStream, Any]  # CLOCK_MONOTONIC nanoseconds when it had come; the packet


class RtspSource:
    """A stream that is being sent. A thread takes packets off the wire; `arrived` gives them out."""

    def __init__(self, target: Target, settings: Settings, *, access: Access) -> None:
        self._target = target
        self._endpoint = resolve(target, allowed=access.allowed)
        _greet(target, self._endpoint)
        self._container = _open(target, self._endpoint, secret=access.secret)
        try:
            self.screen, audio = _streams(self._container, target)
            self.audio = audio if settings.sound else None
        except BaseException:
            self._container.close()
            raise
        self._waiting: deque[Arrival] = deque()
        self._trouble: RecorderError | None = None
        self._reason = "ended the stream"
        self._silence = Silence()
        self._over = Event()
        self._thread = Thread(target=self._follow, name="rtsp", daemon=True)
        self._thread.start()

    @property
    def evidence(self) -> dict[str, str]:
        """Which server this is; RTSP gives no proof of that."""
        return {"server": str(self._endpoint), "certificate_checked": "none: RTSP has no certificate"}

    @property
    def left_out(self) -> list[str]:
        """The kinds of streams that are sent and not recorded."""
        kept = {media.stream.index for media in (self.screen, self.audio) if media}
        return [stream.type for stream in self._container.streams if stream.index not in kept]

    def arrived(self) -> Iterator[Arrival]:
        """What has come since the last time; `SourceLost` when nothing more will."""
        while self._waiting:
            yield self._waiting.popleft()
        if self._trouble is not None:
            raise self._trouble
        if self._silence.seconds() > ANSWER_WITHIN:
            raise SourceLost(f"{self._target.place} {SILENT}.")

    def end(self) -> None:
        """Listen no more: what is on its way arrives within a second, if the server sends at all."""
        self._over.set()
        self._thread.join(1)

    def close(self) -> None:
        """Leave the server; the packets that it sent are of no use any more."""
        self.end()
        if not self._thread.is_alive():  # nobody may close what is being read
            self._container.close()

    def _follow(self) -> None:
        try:
            for media, packet in self._packets():
                if len(self._waiting) > MOST_WAITING:
                    self._reason = "sends faster than can be recorded here"
                    break
                self._silence.broken()
                came_ns: Any = packet.opaque
                self._waiting.append((came_ns, media, packet))
        finally:
            self._trouble = SourceLost(f"{self._target.place} {self._reason}.")

    def _packets(self) -> Iterator[tuple[MediaStream, Packet[Any]]]:
        """All packets in the order of their decode times, of both streams together."""
        sound: deque[Packet[Any]] = deque()
        shown = self._shown(sound)
        for packet in with_decode_times(shown) if self._reorders else shown:
            until = _seconds(packet)
            while sound and self.audio and (_seconds(sound[0]) <= until or len(sound) > MOST_SOUND):
                yield self.audio, sound.popleft()
            yield self.screen, packet
        while sound and self.audio:  # whose clock is ahead of the pictures'
            yield self.audio, sound.popleft()

    @property
    def _reorders(self) -> bool:
        """Whether pictures are decoded in another order than they are shown in, which RTP does not tell."""
        context = self.screen.stream.codec_context
        return isinstance(context, VideoCodecContext) and context.has_b_frames

    def _shown(self, sound: deque[Packet[Any]]) -> Iterator[Packet[Any]]:
        """The pictures' packets, while those of sound are put aside; ends when the stream does."""
        kept = [media.stream for media in (self.screen, self.audio) if media]
        try:
            for packet in self._container.demux(kept):
                if self._over.is_set():
                    return
                if packet.size and packet.pts is not None:
                    packet.opaque = time.monotonic_ns()  # pictures are held back until their order is known
                    packet.dts = packet.pts
                    if packet.stream.index == self.screen.stream.index:
                        yield packet
                    else:
                        sound.append(packet)
        except (FFmpegError, OSError, ValueError) as error:
            silent = isinstance(error, TimeoutError | ExitError)
            self._reason = SILENT if silent else f"broke off ({_what(error)})"


def _what(error: Exception) -> str:
    """What went wrong. All that the library says may hold the address, and that the password."""
    return getattr(error, "strerror", None) or type(error).__name__


def _seconds(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * Fraction(packet.time_base or 1)


def open_rtsp(url: str, settings: Settings, *, access: Access) -> RtspSource:
    """The stream at an address; `BadSource` saying why when it cannot be taken over."""
    return RtspSource(parse(url), settings, access=access)


def check(url: str, *, access: Access) -> None:
    """`BadSource` unless the address is complete and allowed, and an RTSP server answers there."""
    target = parse(url)
    _greet(target, resolve(target, allowed=access.allowed))


def _greet(target: Target, endpoint: Endpoint) -> None:
    """Ask what it can do, which needs no password; `BadSource` when it is no RTSP server."""
    try:
        with endpoint.connect(ANSWER_WITHIN) as connection:
            asked = f"OPTIONS rtsp://{target.place}{target.path} RTSP/1.0\r\nCSeq: 1\r\n\r\n"
            connection.sendall(asked.encode())
            answer = connection.recv(64)
    except OSError as error:
        raise SourceAway(
            f"{target.place} cannot be reached ({error.strerror or error}). Check host, port and network."
        ) from error
    if not answer.startswith(b"RTSP/1"):
        raise BadSource(f"What answers at {target.place} is no RTSP server.")


def _open(target: Target, endpoint: Endpoint, *, secret: str) -> InputContainer:
    before = _peers()
    who = f"{quote(target.username, safe='')}:{quote(secret, safe='')}@" if target.username else ""
    options = {"rtsp_transport": "tcp", "protocol_whitelist": "tcp,rtp,rtsp", "allowed_media_types": MEDIA}
    try:
        container = av.open(
            f"rtsp://{who}{endpoint}{target.path}",
            "r",
            format="rtsp",
            options=options,
            # Once it is open we wait ourselves: the library counts time in which nobody could look.
            timeout=(ANSWER_WITHIN, None),
        )
    except HTTPUnauthorizedError as error:
        raise BadSource(
            f"{target.place} refused the user name or the password. It is not tried again."
        ) from error
    except (FFmpegError, OSError, ValueError) as error:
        raise SourceAway(f"{target.place} does not send {target.path or '/'} ({_what(error)}).") from None
    if _peers() - before - {(endpoint.address, endpoint.port)}:
        container.close()
        raise BadSource(f"{target.place} sends its viewers on to another server. Name that one.")
    return container


def _peers() -> set[tuple[str, int]]:
    """Where this process is connected to by TCP. The library follows redirections without asking."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed while we look
            if str(descriptor.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(descriptor.name))) as one:
                    if one.family in (socket.AF_INET, socket.AF_INET6):
                        found.add(one.getpeername()[:2])
    return found


def _streams(container: InputContainer, target: Target) -> tuple[MediaStream, MediaStream | None]:
    if not container.streams.video:
        raise BadSource(f"{target.place} sends no pictures at {target.path or '/'}.")
    video = container.streams.video[0]
    screen = MediaStream("screen", video, timescale_of(video))
    if not screen.fits_mp4():
        raise BadSource(f"{target.place} sends {video.codec_context.name}, which MP4 does not take as it is.")
    return screen, sound_stream(container)
