"""Taking over a file: its packets as they are, cut at key frames, faster than time passes.

The timeline is the decode time of the file, beginning at zero. A take that continues another begins at the
key frame where that one ended, so nothing is missing and nothing comes twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from recorder.clock import Timeline, us_of
from recorder.errors import BadSource, SourceLost, Trouble, Unreadable
from recorder.key_thumbs import KeyThumbs
from recorder.orders import Mailbox, Orders, Reporter
from recorder.sources.file import CONVERT, FileSource, MediaStream, open_file
from recorder.stream_track import StreamTrack
from recorder.take import Take
from recorder.track import MOST_BYTES, TrackWriter

if TYPE_CHECKING:
    from av.packet import Packet

NAP = 0.05
ABOUT_US = 100_000  # so much earlier than it declares may a stream end, and is complete


@dataclass(frozen=True)
class _Lacking:
    """What a file that was cut off lacks of a track: all from its end up to here."""

    track: str
    to_us: int
    reason: str


class FileImport:
    """One take of a file. `run` returns why it ended, or raises why it could not go on."""

    def __init__(
        self, take: Take, orders: Orders, *, source: FileSource, mailbox: Mailbox, reporter: Reporter
    ):
        self._take, self._orders, self._source = take, orders, source
        self._mailbox, self._reporter = mailbox, reporter
        self._tracks: dict[str, StreamTrack] = {}
        self._next_beat = 0.0
        self._frames = 0
        self._missing: list[_Lacking] = []
        width, since_us = orders.settings.poster_width, orders.resume_us.get("thumb", 0)
        self._thumbs = KeyThumbs(take, width=width, since_us=since_us)
        self.trouble: Trouble | None = None

    def run(self) -> str:
        """Copy until the end of the file, a stop or the maximum duration; why it ended."""
        self._origin = _Origin.of(self._orders.source)
        self._take.begin(Timeline.starting_now(), host=self._orders.host, timed_by="medium")
        for media, packet in self._source.packets():
            if not self._goes_on():
                return self._mailbox.why
            at_us = self._origin.us(media, packet)
            if self._is_over(at_us):
                return f"maximum duration of {self._orders.settings.maximum_seconds:g} s reached"
            if at_us >= self._orders.resume_us.get(media.track, 0):
                self._copy(media, packet)
        if "screen" not in self._tracks and not self._orders.resume_us.get("screen"):
            raise BadSource(f"{self._source.path} holds no key frame. Give a video that can be decoded.")
        if self._source.is_cut_off:
            self._tell_what_is_missing()
        return "end of the file"

    def finish(self) -> int:
        """Close what is open, account for what the file lacks; where the pictures end, microseconds."""
        ends = dict(self._orders.resume_us)
        for name, track in self._tracks.items():
            ends[name] = track.writer.close(track.end)
            self.trouble = self.trouble or self._trouble_of(track)
        self._thumbs.close(ends.get("screen", 0))
        self._source.close()
        for gap in self._missing:
            from_us = ends.get(gap.track, 0)
            self._take.gap(gap.track, from_us, to_us=gap.to_us, reason=gap.reason, uncertain=False)
        return max([ends.get("screen", 0), *(gap.to_us for gap in self._missing if gap.track == "screen")])

    def facts(self) -> dict[str, int]:
        """Figures so far."""
        return {
            "frames": self._frames,
            "dropped_frames": 0,
            "segments": self._take.segments,
            "bytes": self._take.bytes,
        }

    def _copy(self, media: MediaStream, packet: Packet[Any]) -> None:
        track = self._tracks.get(media.track)
        if track is None:
            if not packet.is_keyframe:
                return  # what comes before the first key frame cannot be decoded
            track = self._tracks[media.track] = self._open(media, packet)
        own = media.ticks(packet.dts or 0) + track.shift
        dts = max(own, track.last + 1)  # some files round
        # Another take that goes on where this one was cut finds the packet by its own time.
        cut = dts == own and self._is_cut(track, packet, at=dts + track.delay)
        if media.track == "screen" and not cut and not track.writer.has_room_for(packet):
            raise BadSource(self._too_large(track))
        if media.track == "screen":
            self._thumbs.passed(packet, us_of(dts + track.delay, media.timescale), cut=cut)
        packet.pts = max(dts, media.ticks(packet.pts or 0) + track.shift)
        packet.dts, packet.time_base = dts, Fraction(1, media.timescale)
        duration = media.ticks(packet.duration or 0) or max(1, dts - track.last)
        # A picture may last longer than those that are decoded behind it.
        track.end = max(track.end, dts + 1, packet.pts + duration - track.delay)
        track.last = dts
        track.writer.put(packet, cut=cut)
        self._frames += media.track == "screen"
        if trouble := self._trouble_of(track):
            raise trouble

    def _trouble_of(self, track: StreamTrack) -> Trouble | None:
        trouble = track.writer.trouble
        if isinstance(trouble, Unreadable):
            return Unreadable(f"{self._source.path} cannot be taken over. {trouble} {CONVERT}")
        return trouble

    def _tell_what_is_missing(self) -> None:
        """`SourceLost` if anything is that would be kept."""
        kept = [media for media in (self._source.screen, self._source.audio) if media]
        ends = {media.track: self._end_us(media.track) for media in kept}
        declared = {media.track: self._origin.declared_us(self._source, media) for media in kept}
        short = [track for track, end_us in ends.items() if end_us + ABOUT_US < declared[track]]
        if not short and not self._source.broke_off:
            return
        where = f"{_clock(min(ends.values()))} of {_clock(max(*declared.values(), *ends.values()))}"
        reason = f"the file is cut off at {where}"
        self._missing = [_Lacking(track, declared[track], reason) for track in short]
        raise SourceLost(f"{self._source.path} is cut off at {where}: what there is was kept. Get it whole.")

    def _end_us(self, name: str) -> int:
        """How far a track has got."""
        track = self._tracks.get(name)
        if track is None:
            return self._orders.resume_us.get(name, 0)
        return us_of(track.end + track.delay, track.media.timescale)

    def _open(self, media: MediaStream, packet: Packet[Any]) -> StreamTrack:
        """The muxer counts from the first packet's presentation; make that its place in decode order."""
        segment_ticks = round(self._orders.settings.segment_seconds * media.timescale)
        start = self._origin.ticks(media, packet)
        first, delay = media.ticks(packet.pts or 0), media.ticks((packet.pts or 0) - (packet.dts or 0))
        writer = TrackWriter(
            self._take,
            media.track,
            timescale=media.timescale,
            segment_ticks=segment_ticks,
            cut_at="request" if media.track == "screen" else "fragment",
            add_stream=media.add_to,
        )
        if media.track == "screen":
            at_us = us_of(start, media.timescale)
            self._reporter.tell("recording", start_us=at_us, left_out=self._source.left_out)
        begin = start - delay
        return StreamTrack(media, writer, start - first, delay, start + segment_ticks, begin - 1, begin)

    def _is_cut(self, track: StreamTrack, packet: Packet[Any], *, at: int) -> bool:
        if not (packet.is_keyframe and (at >= track.next_cut or track.writer.is_large)):
            return False
        segment_ticks = round(self._orders.settings.segment_seconds * track.media.timescale)
        track.next_cut = at + segment_ticks
        return True

    def _too_large(self, track: StreamTrack) -> str:
        began = track.next_cut - round(self._orders.settings.segment_seconds * track.media.timescale)
        where = f"{MOST_BYTES >> 20} MiB from {_clock(us_of(began, track.media.timescale))} on"
        return f"{self._source.path} has no key frame in {where}; no segment may be larger. {CONVERT}"

    def _is_over(self, at_us: int) -> bool:
        limit = self._orders.settings.maximum_seconds
        return limit is not None and at_us >= limit * 1_000_000

    def _goes_on(self) -> bool:
        """Keep the supervisor informed; wait out a pause; False once a stop has come."""
        paused = False
        while True:
            if time.monotonic() >= self._next_beat:
                self._next_beat = time.monotonic() + 1
                self._reporter.beat(**self.facts())
            if self._mailbox.command != "pause":
                break
            if not paused:
                self._reporter.tell("paused")
            paused = True
            time.sleep(NAP)
        if paused and self._mailbox.command == "record":
            self._reporter.tell("recording")
        return self._mailbox.command == "record"


@dataclass(frozen=True)
class _Origin:
    """Where the file's timeline begins: its first key frame is decoded and shown then, seconds."""

    decoded: Fraction
    shown: Fraction

    @classmethod
    def of(cls, url: str) -> _Origin:
        """Read from the file's beginning; `BadSource` when there is no key frame."""
        source = open_file(url)
        try:
            for media, packet in source.packets():
                if media.track == "screen" and packet.is_keyframe:
                    base = Fraction(media.stream.time_base or 1)
                    return cls((packet.dts or 0) * base, (packet.pts or 0) * base)
        finally:
            source.close()
        raise BadSource(f"{source.path} holds no key frame. Give a video that can be decoded.")

    def ticks(self, media: MediaStream, packet: Packet[Any]) -> int:
        """A packet's place on the session's timeline; sound from before the first picture is negative."""
        begin = self.decoded if media.track == "screen" else self.shown
        time_base = Fraction(media.stream.time_base or 1)
        return round(((packet.dts or 0) * time_base - begin) * media.timescale)

    def us(self, media: MediaStream, packet: Packet[Any]) -> int:
        """The same in microseconds."""
        return us_of(self.ticks(media, packet), media.timescale)

    def declared_us(self, source: FileSource, media: MediaStream) -> int:
        """When the file says that a stream ends, on the session's timeline."""
        return round((source.declared_end(media) - self.shown) * 1_000_000)


def _clock(us: int) -> str:
    """Minutes and tenths of a second."""
    tenths = us // 100_000
    return f"{tenths // 600}:{tenths % 600 // 10:02}.{tenths % 10}"
