"""One epoch of one track: packets go in, committed segments come out."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import av
from av.container import OutputContainer
from av.error import FFmpegError

from recorder import mp4
from recorder.beside import Beside
from recorder.clock import us_of
from recorder.errors import DiskFull, SpoolUnwritable, Trouble, Unreadable
from recorder.part import Part
from recorder.take import Take

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

MUXER = {
    "movflags": "empty_moov+default_base_moof+frag_keyframe+cmaf+frag_discont+skip_trailer",
    "flush_packets": "1",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}
FRAGMENT_SECONDS = 1.0  # so a crash loses about a second
# The archive takes segments of at most 64 MiB. What is larger than this is cut as soon as it can be; there is
# room for what is on its way to the muxer then, and for what comes until the next key frame.
LARGE_BYTES, MOST_BYTES = 24 << 20, 60 << 20
CutAt = Literal["request", "fragment"]


class TrackWriter:
    """Muxes packets into segments of self-contained fragmented MP4, exactly gapless.

    `add_stream` sets up the stream in the given container; packets carry integer times in `timescale`.
    One packet is held back, so that each gets its exact duration. Pictures are cut on request at a key
    packet; sound, whose every packet is a key, is cut at the first fragment past `segment_ticks`, or earlier
    when it is large.
    A disk that fails, or a packet that MP4 does not take, is not raised here but noted in `trouble`: look
    at it after each call, and close.
    What is over is committed beside the next segment: a disk that takes its time holds up no picture.
    """

    def __init__(
        self,
        take: Take,
        track: str,
        *,
        timescale: int,
        segment_ticks: int,
        cut_at: CutAt,
        add_stream: Callable[[OutputContainer], Stream],
        fragment_seconds: float = FRAGMENT_SECONDS,
    ) -> None:
        self._take, self._track, self._timescale = take, track, timescale
        self._segment_ticks, self._cut_at = segment_ticks, cut_at
        self.epoch = take.next_epoch(track)
        self._sink = _BoxSink()
        options = {**MUXER, "video_track_timescale": str(timescale)}
        options["frag_duration"] = str(round(fragment_seconds * 1_000_000))
        self._container = av.open(self._sink, "w", format="mp4", options=options, buffer_size=1 << 20)
        self.stream = add_stream(self._container)
        self._held: Packet[Any] | None = None
        self._held_cuts = False
        self._part: Part | None = None
        self._init = b""
        self._end = 0
        self.taken_bytes = self.last_bytes = 0  # of the open segment; of the last packet
        self.trouble: Trouble | None = None
        self._stuck = False
        self._beside = Beside()

    def put(self, packet: Packet[Any], *, cut: bool) -> None:
        """Take the next packet in decode order; with `cut`, a key packet that begins a new segment."""
        if self._held is not None and packet.dts is not None and self._held.dts is not None:
            self._mux(self._held, duration=packet.dts - self._held.dts)
        self._held, self._held_cuts = packet, cut
        self.last_bytes = packet.size
        self.taken_bytes = packet.size + (0 if cut else self.taken_bytes)

    @property
    def is_large(self) -> bool:
        """Whether pictures should be cut as soon as they can be."""
        return self.taken_bytes >= LARGE_BYTES

    def has_room_for(self, packet: Packet[Any]) -> bool:
        """Whether the open segment may still be archived with this packet."""
        return self.taken_bytes + packet.size <= MOST_BYTES

    def sync(self) -> None:
        """Have what the open segment holds survive a power cut, soon; nothing waits for it."""
        if self._part is not None and self._beside.is_idle:
            self._beside.do(self._part.sync)

    def close(self, end_tick: int) -> int:
        """Write out what is held, the last packet ending at `end_tick`; returns the end in microseconds."""
        try:
            if self._held is not None and self._held.dts is not None:
                self._mux(self._held, duration=max(1, end_tick - self._held.dts))
            self._held = None
        finally:
            self._container.close()
            self._store_fragments()
            self._commit()
            self._beside.settle()
        return us_of(self._end, self._timescale)

    def _mux(self, packet: Packet[Any], *, duration: int) -> None:
        packet.duration = duration
        packet.stream = self.stream
        try:
            self._container.mux_one(packet)
        except FFmpegError as error:
            at = us_of(packet.dts or 0, self._timescale) / 1_000_000
            self.trouble = Unreadable(f"What comes at {at:.3f} s does not go into MP4 ({error.strerror}).")
        self._store_fragments()
        if self._held_cuts:  # muxing a key packet has flushed every earlier fragment
            self._commit()

    def _store_fragments(self) -> None:
        for content in self._sink.complete():
            kind = content[4:8]
            if kind in (b"ftyp", b"moov"):
                self._init += content
            elif kind == b"moof" and not self._stuck:
                self._note_trouble(self._store, content)

    def _store(self, fragment: bytes) -> None:
        moof = next(mp4.boxes(fragment))
        facts = mp4.fragment_of(fragment, moof, end=len(fragment))
        if self._part is None:
            self._part, self._start = self._open(us_of(facts.base, self._timescale)), facts.base
        self._part.append(fragment)
        self._end = facts.until
        self.trouble = self.trouble or self._part.full
        is_due = self._end - self._start >= self._segment_ticks or self._part.length >= LARGE_BYTES
        if self._cut_at == "fragment" and is_due:
            self._commit()

    def _open(self, start_us: int) -> Part:
        name = self._take.next_segment(self._track, epoch=self.epoch, start_us=start_us)
        return Part(self._take, name, init=self._init)

    def _commit(self) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            if part.is_empty:
                part.discard()
                return
            # A segment never counts before the one that it follows.
            self._beside.do(partial(self._finish, part, us_of(self._end, self._timescale)))

    def _finish(self, part: Part, end_us: int) -> None:
        self._note_trouble(part.commit, end_us)
        self.trouble = self.trouble or part.full

    def _note_trouble(self, act: Callable[[Any], object], argument: Any) -> None:
        """Whatever cannot be written any more is given up, so that what was written can still be closed."""
        try:
            act(argument)
        except (DiskFull, SpoolUnwritable) as trouble:
            self.trouble, self._stuck = trouble, True


class _BoxSink(io.RawIOBase):
    """Collects what the muxer writes and gives it out in whole pieces: ftyp, moov, moof with its mdat.

    The files are written elsewhere: an error must not travel through the muxer.
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._pending += content
        return len(content)

    def complete(self) -> list[bytes]:
        """The pieces that are complete now, taken out of the sink."""
        pieces, start = [], 0
        with memoryview(self._pending) as whole:
            for box in mp4.boxes(self._pending):
                if box.kind != b"moof":
                    pieces.append(bytes(whole[start : box.end]))
                    start = box.end
        del self._pending[:start]
        return pieces
