"""The screen track of a live source: pictures go in whenever they change, gapless segments come out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import av
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from recorder.beside import Beside
from recorder.clock import TICKS, ticks_of, us_of
from recorder.errors import Trouble
from recorder.memory import keep_freed
from recorder.planes import Planes, Rows
from recorder.quality import PRESETS
from recorder.settings import Settings
from recorder.take import Take
from recorder.track import FRAGMENT_SECONDS, LARGE_BYTES, TrackWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]  # height x width x 4: blue, green, red, unused

TRACK = "screen"
# An unchanged screen still gives about one frame a second, which bounds what a crash loses; a little less
# often than a clock ticks, since its pictures do as well.
HEARTBEAT_TICKS = TICKS * 11 // 10
# A picture that has come to rest is encoded some more times, each finer than before: the encoder is coarse
# with what moves. Once when it may have changed in an eighth of its rows, often when much of it did, and some
# times after a cut: the first of those also has the muxer give the segment before out, for live viewers.
REST_TICKS, FINER_TICKS = TICKS // 10, TICKS // 25
FINER_ROWS, FINER_MUCH = 8, 0.05
FINER_A_LITTLE, FINER_AFTER_CUT, FINER_MOST = 1, 2, 8
# What moves in a small place counts as nothing, but must not grow beyond what a chunk may hold.
MOST_DRAWN_OUT = 8 * 1024 * 1024
X264 = "keyint=infinite:scenecut=0:bframes=0:repeat-headers=0:rc-lookahead=0"
# Pictures a second; above, a picture of 1920x1080 takes one thread too long: two encode it, and with a coder
# that takes a quarter less time and as much more room. Movements are then short, too.
CALM = 30
HURRIED_FRAGMENT_SECONDS = 0.25  # megabytes are handed on in pieces: meanwhile nothing is read
# A picture is there to be seen for one interval, and can be encoded later: so many may wait for that, and its
# thread gives way to all that take pictures. Many desktops want more than there is at times, for a moment.
AHEAD, NICER = 8, 5
HURRIED = "me=dia:subme=0:partitions=none:8x8dct=0:cabac=0"


@dataclass(frozen=True)
class Shown:
    """What is known of a picture beside its pixels.

    `rows` are those that may differ from the picture of the last call, whatever came of it; None: all.
    `changed`: something on it has changed; `quiet`: for a while nothing has happened; `share`: which part of
    it changed, as far as that was looked at.
    """

    rows: Rows | None = None
    changed: bool = True
    quiet: bool = False
    share: float = 0.0

    def refinements(self, height: int) -> int:
        """How often it is to be encoded again once it has come to rest."""
        if not self.changed:
            return 0
        if self.share > FINER_MUCH:
            return FINER_MOST
        is_wide = self.rows is None or (self.rows[1] - self.rows[0]) * FINER_ROWS > height
        return FINER_A_LITTLE if is_wide else 0


CHANGED = Shown()


class Segmenter:
    """Encodes pictures with their exact times; a picture of another size begins a new epoch.

    `encoded` is called after each, in a thread of its own.
    """

    def __init__(
        self, take: Take, settings: Settings, *, encoded: Callable[[], object] = lambda: None
    ) -> None:
        self._take, self._settings, self._encoded = take, settings, encoded
        self._preset = PRESETS[settings.quality]
        self._threads = 1 if settings.frame_rate <= CALM else 2
        self._segment_ticks = round(settings.segment_seconds * TICKS)
        self._shortened_ticks = _shortened(take.session, self._segment_ticks)
        self._quiet_ticks = round((settings.quiet_segment_seconds or 0) * TICKS)
        self._writer: TrackWriter | None = None
        self._trouble: Trouble | None = None
        self._size = (0, 0)
        self._planes: Planes | None = None
        if self._threads > 1:
            keep_freed()
        self._encoding = Beside(ahead=AHEAD, nicer=NICER)
        self._next_cut = self._next_sync = 0
        self.is_drawn_out = False
        self._last = -1
        self.frames = self._coarse = 0
        self._rest = REST_TICKS
        self._segment_tick = self._opened_tick = -1

    @property
    def trouble(self) -> Trouble | None:
        """Why the spool takes no more, once it does not."""
        return self._trouble or (self._writer.trouble if self._writer else None)

    def due_in(self, now_us: int) -> float:
        """Seconds until a frame is needed although nothing changed."""
        if self._writer is None:
            return 0.0
        rest = self._rest if self._coarse else HEARTBEAT_TICKS
        return max(0, min(self._next_cut, self._last + rest) - ticks_of(now_us)) / TICKS

    @property
    def segment_us(self) -> int:
        """When the newest segment began, microseconds; negative before the first."""
        return us_of(self._segment_tick)

    def push(self, picture: Picture, at_us: int, *, shown: Shown = CHANGED) -> bool:
        """Add what the screen showed from `at_us` on; False when it was no later than the one before.

        While it is quiet a segment other than the epoch's first may be drawn out, and is cut as soon as it
        is not.
        """
        tick = ticks_of(at_us)
        if self._planes is not None:
            self._planes.note(shown.rows)
        if tick <= self._last:
            return False
        size = self._encoded_size(picture)
        if self._writer is None or size != self._size:
            self._open(size, tick)
        cut = self._cuts(tick, quiet=shown.quiet)
        if cut:
            self._segment_tick = tick
        # What is left of an earlier change's is still to be done after a later, smaller one.
        rest = self._coarse if shown.changed else self._coarse - 1
        self._coarse = max(rest, shown.refinements(size[1]), FINER_AFTER_CUT if cut else 0)
        self._rest = REST_TICKS if cut or shown.changed else FINER_TICKS
        self._last = tick
        self._encode(self._frame(picture), tick, cut=cut)
        self.frames += 1
        self._secure(tick)
        return True

    def _secure(self, tick: int) -> None:
        """What a drawn-out segment holds is as safe from a power cut as if it had been cut as ever."""
        if self.is_drawn_out and tick >= self._next_sync and self._writer is not None:
            self._encoding.settle()
            self._writer.sync()
            self._next_sync = tick + self._segment_ticks

    def _cuts(self, tick: int, *, quiet: bool) -> bool:
        due = tick >= self._next_cut or self._is_large()
        if due and quiet and self._may_last(tick):
            due, self.is_drawn_out = False, True
            self._next_cut += self._segment_ticks
        elif self.is_drawn_out and not quiet:
            due, self._next_cut = True, tick
        while due and tick >= self._next_cut:
            self._next_cut += self._segment_ticks
        self.is_drawn_out = self.is_drawn_out and not due
        return due

    def _may_last(self, tick: int) -> bool:
        """Whether the open segment may be drawn out; an epoch's first is soon to be seen."""
        assert self._writer is not None  # noqa: S101 -- push has opened it
        is_first = self._segment_tick <= self._opened_tick
        is_long = tick - self._segment_tick >= self._quiet_ticks
        return not is_first and not is_long and self._writer.taken_bytes < MOST_DRAWN_OUT

    def _is_large(self) -> bool:
        """Whether the open segment is. Near that, the pictures that wait for the encoder have to be known."""
        writer = self._writer
        assert writer is not None  # noqa: S101 -- push has opened it
        if writer.taken_bytes + (AHEAD + 1) * writer.last_bytes < LARGE_BYTES:
            return False
        self._encoding.settle()
        return writer.is_large

    def close(self, at_us: int) -> int:
        """End the epoch: its last frame lasts until `at_us`; where the track ended, microseconds."""
        return self._close(max(ticks_of(at_us), self._last + 1))

    def _open(self, size: tuple[int, int], tick: int) -> None:
        if self._writer is not None:
            self._close(tick)
        self._size, self._opened_tick = size, tick
        self._next_cut = tick - self._shortened_ticks
        self._planes = Planes(*size) if self._preset.pixels == "yuv420p" else None
        self._writer = TrackWriter(
            self._take,
            TRACK,
            timescale=TICKS,
            segment_ticks=self._segment_ticks,
            cut_at="request",
            add_stream=self._add_stream,
            fragment_seconds=FRAGMENT_SECONDS if self._threads == 1 else HURRIED_FRAGMENT_SECONDS,
        )

    def _close(self, tick: int) -> int:
        writer, self._writer = self._writer, None
        if writer is None:
            return 0
        try:
            self._encoding.settle()
            self._put(writer, self._stream(writer).encode(None), cut=False)
        finally:
            end = writer.close(tick)
            self._trouble = self._trouble or writer.trouble
        return end

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        calm = self._preset.search, self._preset.more
        chosen = filter(None, calm if self._threads == 1 else (HURRIED,))
        more = ":".join((X264, f"sliced-threads={self._threads - 1}", *chosen))
        options = {**self._preset.options, "tune": "zerolatency", "forced-idr": "1", "x264-params": more}
        stream = container.add_stream(self._preset.encoder, rate=self._settings.frame_rate, options=options)
        assert isinstance(stream, VideoStream)  # noqa: S101 -- the encoders above make pictures
        stream.width, stream.height = self._size
        stream.pix_fmt = self._preset.pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.thread_count = self._threads
        # Chromium believes the container alone: untold, it shows red, green and blue as luma and chroma.
        context, told = stream.codec_context, self._preset.colours
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = told
        container.start_encoding()
        return stream

    def _encode(self, frame: av.VideoFrame, tick: int, *, cut: bool) -> None:
        assert self._writer is not None  # noqa: S101 -- push has opened it
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        # A frame type left over from a capture would make x264 obey it: only boundaries are forced.
        frame.pict_type = PictureType.I if cut else PictureType.NONE
        self._encoding.do(partial(self._encode_into, self._writer, frame, cut=cut))

    def _encode_into(self, writer: TrackWriter, frame: av.VideoFrame, *, cut: bool) -> None:
        self._put(writer, self._stream(writer).encode(frame), cut=cut)
        self._encoded()

    @staticmethod
    def _put(writer: TrackWriter, packets: list[Any], *, cut: bool) -> None:
        for packet in packets:
            writer.put(packet, cut=cut and packet.is_keyframe)

    @staticmethod
    def _stream(writer: TrackWriter) -> VideoStream:
        assert isinstance(writer.stream, VideoStream)  # noqa: S101 -- made by _add_stream
        return writer.stream

    def _encoded_size(self, picture: Picture) -> tuple[int, int]:
        height, width = picture.shape[:2]
        if self._preset.pixels == "yuv420p":  # chroma is shared by 2 x 2 pixels: an odd last line is cut off
            return max(2, width & ~1), max(2, height & ~1)
        return width, height

    def _frame(self, picture: Picture) -> av.VideoFrame:
        if self._planes is not None:
            if not self._encoding.is_idle and not self._planes.is_renewed:
                self._planes.leave()
            return self._planes.of(_doubled(picture))
        return av.VideoFrame.from_numpy_buffer(picture, "bgra").reformat(format="bgr0")


def _doubled(picture: Picture) -> Picture:
    """The picture, of a line or a dot one that is two pixels wide or high: a window may be that small."""
    height, width = picture.shape[:2]
    if min(height, width) > 1:
        return picture
    return picture.repeat(2 if height == 1 else 1, axis=0).repeat(2 if width == 1 else 1, axis=1)


def _shortened(session: UUID, segment_ticks: int) -> int:
    """How much shorter than others an epoch's first segment is: up to seven eighths, by the session.

    Desktops that began together, as after a restart of their host, would else all want the encoder for a
    picture of their whole screen at the same moment, and again every few seconds.
    """
    return session.int % (segment_ticks * 7 // 8)
