"""`file:///path`: a video that exists already, taken over packet by packet without decoding it."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from recorder.errors import BadSource, SourceLost
from recorder.sources.reorder import with_decode_times
from recorder.sources.whole import lacks_bytes

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

FORMATS = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "mkv"}
CONVERT = "Convert it first, as in: ffmpeg -i IN -c:v libx264 -g 50 OUT.mp4."
MINIMUM_TIMESCALE = 10_000
LOOK_AT = 200  # packets: enough to see whether time passes
_TAGGED = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
Track = Literal["screen", "audio"]


@dataclass(frozen=True)
class MediaStream:
    """One stream of a file that is taken over, and the timescale in which its times are whole numbers."""

    track: Track
    stream: Stream
    timescale: int

    def ticks(self, time: int) -> int:
        """A time of the source in ticks; exact for pictures, rounded to the sample for sound."""
        return round(time * Fraction(self.stream.time_base or 1) * self.timescale)

    def add_to(self, container: OutputContainer) -> Stream:
        """The same stream in another container, for a stream copy."""
        copy = container.add_stream_from_template(self.stream)
        copy.time_base = Fraction(1, self.timescale)
        container.start_encoding()
        return copy

    def fits_mp4(self) -> bool:
        """Whether it goes into MP4 as it is."""
        options = {"movflags": "empty_moov+default_base_moof+cmaf"}
        try:
            with av.open(io.BytesIO(), "w", format="mp4", options=options) as container:
                self.add_to(container)
        except (FFmpegError, ValueError):
            return False
        return True


class FileSource:
    """An opened video file: its pictures, and its first sound stream if the archive's format takes it.

    Of a file that was cut off everything is read that is whole; `broke_off` once something was not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broke_off = False
        self._container = _open(path)
        self._lacks_bytes = lacks_bytes(path)  # now: it may be gone when all is read
        video = self._container.streams.video[0]
        self.screen = MediaStream("screen", video, timescale_of(video))
        self.audio = sound_stream(self._container)
        self.left_out = [
            stream.type for stream in self._container.streams if stream.index not in self._kept()
        ]

    def packets(self) -> Iterator[tuple[MediaStream, Packet[Any]]]:
        """All whole packets of the kept streams, about in the file's order, that have a time."""
        kept = {media.stream.index: media for media in (self.screen, self.audio) if media}
        try:
            for packet in self._stamped([media.stream for media in kept.values()]):
                if packet.dts is not None:
                    yield kept[packet.stream.index], packet
        except (FFmpegError, OSError) as error:
            raise SourceLost(f"{self.path} cannot be read further: {error}. Check the file.") from error

    def _stamped(self, streams: list[Stream]) -> Iterator[Packet[Any]]:
        packets = (p for p in self._whole(streams) if p.size and p.pts is not None)
        if FORMATS[self._container.format.name] == "mp4":
            yield from packets
            return
        sound: deque[Packet[Any]] = deque()
        for packet in with_decode_times(_set_aside(packets, sound, screen=self.screen.stream.index)):
            yield packet
            while sound:
                yield sound.popleft()
        yield from sound

    def _whole(self, streams: list[Stream]) -> Iterator[Packet[Any]]:
        for packet in self._container.demux(streams):
            if packet.is_corrupt:  # the library says so of what the file's end cut in two
                self.broke_off = True
            else:
                yield packet

    @property
    def is_cut_off(self) -> bool:
        """Whether bytes are missing at the file's end; known once its packets were read."""
        return self.broke_off or self._lacks_bytes

    def declared_end(self, media: MediaStream) -> Fraction:
        """When the file says that a stream ends, seconds; 0 when it says nothing."""
        if media.stream.duration:
            return ((media.stream.start_time or 0) + media.stream.duration) * Fraction(
                media.stream.time_base or 1
            )
        if tagged := _TAGGED.fullmatch(media.stream.metadata.get("DURATION", "")):  # Matroska
            hours, minutes, seconds = tagged.groups()
            return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
        return Fraction(self.declared_duration, av.time_base)

    @property
    def declared_duration(self) -> int:
        """What the file says of its length, in the units of the library; 0 when it says nothing."""
        return self._container.duration or 0

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _kept(self) -> set[int]:
        return {media.stream.index for media in (self.screen, self.audio) if media}


def _set_aside(
    packets: Iterator[Packet[Any]], sound: deque[Packet[Any]], *, screen: int
) -> Iterator[Packet[Any]]:
    for packet in packets:
        if packet.stream.index == screen:
            yield packet
        else:
            sound.append(packet)


def path_of(url: str) -> Path:
    """The file that a `file://` address names; `BadSource` for another host or a relative path."""
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute():
        raise BadSource(f"{url} names no file of this machine. Write file:///absolute/path.mp4.")
    return path


def open_file(url: str) -> FileSource:
    """The file, opened for stream copy; `BadSource` when it cannot be."""
    return FileSource(path_of(url))


def check(url: str) -> None:
    """`BadSource` unless the file holds pictures that pass, in a codec that MP4 takes."""
    path = path_of(url)
    source = open_file(url)
    try:
        if not source.screen.fits_mp4():
            codec = source.screen.stream.codec_context
            raise BadSource(f"{path} holds {codec.name if codec else 'no known codec'}. {CONVERT}")
        _check_time_passes(source)
    except SourceLost as error:
        raise BadSource(f"{path} cannot be read: it is damaged or cut off. {CONVERT}") from error
    finally:
        source.close()


def _open(path: Path) -> InputContainer:
    _check_file(path)
    try:
        container = av.open(str(path), "r")
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadSource(f"{path} is no video that can be read ({reason}). {CONVERT}") from error
    if container.format.name not in FORMATS:
        container.close()
        raise BadSource(f"{path} is neither mp4 nor mkv but {container.format.name}. {CONVERT}")
    if not container.streams.video:
        sound = " but only sound" if container.streams.audio else ""
        container.close()
        raise BadSource(f"{path} holds no pictures{sound}. Give a file with a video stream.")
    return container


def _check_file(path: Path) -> None:
    if not path.exists():
        raise BadSource(f"{path} does not exist. Check the path.")
    if not path.is_file():
        raise BadSource(f"{path} is not a file. Give a video file.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise BadSource(f"{path} cannot be read: {error.strerror}. Check its owner and mode.") from error
    if empty:
        raise BadSource(f"{path} is empty (0 bytes). Give a finished video file.")


def _check_time_passes(source: FileSource) -> None:
    times = set()
    for count, (media, packet) in enumerate(source.packets()):
        if media.track == "screen":
            times.add(packet.dts)
        if len(times) > 1:
            return
        if count > LOOK_AT:
            break
    if not times or not (source.screen.stream.duration or source.declared_duration):
        raise BadSource(f"{source.path} has a duration of 0. Give a video in which time passes.")


def timescale_of(stream: Stream) -> int:
    """Ticks a second in which the stream's times are whole numbers, and fine enough."""
    scale = Fraction(stream.time_base or Fraction(1, 90_000)).denominator
    return scale * max(1, -(-MINIMUM_TIMESCALE // scale))


def sound_stream(container: InputContainer) -> MediaStream | None:
    """The first sound stream, if it goes into MP4 as it is."""
    for stream in container.streams.audio[:1]:
        media = MediaStream("audio", stream, stream.codec_context.sample_rate or 48_000)
        if media.fits_mp4():
            return media
    return None
