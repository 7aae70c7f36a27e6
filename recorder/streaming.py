"""Recording a stream that is sent (RTSP): its packets as they are, placed on the session's clock.

The stream's own times place packets within an epoch; where an epoch begins is told by our clock, at the key
frame that it begins with. A stream whose clock and ours grow apart begins a new epoch.
"""

from __future__ import annotations

import time
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from recorder.clock import Timeline, ticks_of, us_of
from recorder.errors import BadSource, SourceLost, Trouble
from recorder.key_thumbs import KeyThumbs
from recorder.orders import Mailbox, Missing, Orders, Reporter
from recorder.settling import Settling
from recorder.sources.file import MediaStream
from recorder.stream_sound import Sound
from recorder.stream_track import StreamTrack
from recorder.take import PAUSED, Take
from recorder.track import MOST_BYTES, TrackWriter

if TYPE_CHECKING:
    from av.packet import Packet

    from recorder.sources.rtsp import RtspSource

NAP = 0.02
FIRST_PICTURE_WITHIN = 30.0  # seconds that a stream has to send a key frame
EARLY = 0.01  # seconds by which a key frame may come early, its times being rounded, and is cut at
TOO_LARGE = (
    f"The stream sent {MOST_BYTES >> 20} MiB without a key frame; no segment may be larger. "
    "Have it send a key frame every few seconds, or fewer bits."
)


class StreamRecording:
    """One take of a stream. `run` returns why it ended, or raises why it could not go on."""

    def __init__(
        self, take: Take, orders: Orders, *, source: RtspSource, mailbox: Mailbox, reporter: Reporter
    ):
        self._take, self._orders, self._source = take, orders, source
        self._mailbox, self._reporter = mailbox, reporter
        self._missing = orders.missing
        self._tracks: dict[str, StreamTrack] = {}
        self._sound = Sound(take, is_sent=source.audio is not None)
        self._settling = Settling()
        self._thumbs = KeyThumbs(take, width=orders.settings.poster_width)
        self._timeline: Timeline | None = None
        self._next_beat = 0.0
        self._frames = self._began_us = self._end_us = 0
        self._opened, self._is_paused = time.monotonic(), False
        self._lasting: Trouble | None = None

    @property
    def trouble(self) -> Trouble | None:
        """Why the spool takes no more, once it does not."""
        for track in self._tracks.values():
            self._lasting = self._lasting or track.writer.trouble
        return self._lasting or self._thumbs.trouble

    def run(self) -> str:
        """Record until stopped or until the maximum duration; why it ended."""
        while self._mailbox.command != "stop":
            self._beat()
            if self._mailbox.command == "pause":
                self._pause()
            else:
                self._is_paused = False
                self._take.resume()
            self._take_in_all()
            if self._is_over():
                return f"maximum duration of {self._orders.settings.maximum_seconds:g} s reached"
            if "screen" not in self._tracks and time.monotonic() - self._opened > FIRST_PICTURE_WITHIN:
                raise SourceLost(f"No key frame came in {FIRST_PICTURE_WITHIN:.0f} s.")
            time.sleep(NAP)
        self._source.end()
        with suppress(SourceLost):  # we have ended it
            self._take_in_all()
        self._begin_settled()
        return self._mailbox.why

    def finish(self) -> int:
        """Close what is open and account for what is missing; the end of the track, microseconds."""
        self._close_epoch()
        if self._timeline is None:
            return self._missing.from_us if self._missing else 0
        if self._missing is not None:
            self._end_us = max(self._timeline.now_us(), self._end_us)
            self._account(self._end_us)
        return self._end_us

    def facts(self) -> dict[str, int]:
        """Figures so far."""
        return {
            "frames": self._frames,
            "dropped_frames": 0,
            "segments": self._take.segments,
            "bytes": self._take.bytes,
        }

    def _take_in_all(self) -> None:
        for arrival in self._source.arrived():
            if self._is_paused or self._mailbox.command == "pause":
                continue  # also what came before a stop
            for one in [arrival] if "screen" in self._tracks else self._settling.passed(arrival):
                self._take_in(*one)
            if self.trouble:
                raise self.trouble

    def _begin_settled(self) -> None:
        for arrival in self._settling.all():
            self._take_in(*arrival)

    def _take_in(self, arrived_ns: int, media: MediaStream, packet: Packet[Any]) -> None:
        if media.track == "audio":
            self._hear(arrived_ns, media, packet)
            return
        track = self._tracks.get("screen")
        ahead_us = self._ahead_us(track, packet, arrived_ns) if track else 0
        if track is None or track.is_astray(packet, ahead_us=ahead_us, came_ns=arrived_ns):
            if not packet.is_keyframe:
                return
            self._close_epoch()
            track = self._begin(media, packet, arrived_ns)
        else:
            self._sound.pictures_ahead_us = ahead_us
        self._copy(track, packet)

    def _hear(self, arrived_ns: int, media: MediaStream, packet: Packet[Any]) -> None:
        track = self._tracks.get("audio")
        if track is not None:
            ahead_us, lacking_us = self._ahead_us(track, packet, arrived_ns), track.lacking_us(packet)
            if self._sound.is_broken(ahead_us=ahead_us, lacking_us=lacking_us, came_ns=arrived_ns):
                self._close_sound()
                track = None
        track = track or self._begin_sound(media, packet, arrived_ns)
        if track is not None:
            self._copy(track, packet)

    def _ahead_us(self, track: StreamTrack, packet: Packet[Any], arrived_ns: int) -> int:
        """How much later than it came a packet would be shown or heard."""
        assert self._timeline is not None  # noqa: S101 -- there is a track
        return track.shown_us(packet) - (arrived_ns - self._timeline.origin_ns) // 1000

    def _begin(self, media: MediaStream, packet: Packet[Any], arrived_ns: int) -> StreamTrack:
        """An epoch, at this key frame."""
        timeline = self._begun(arrived_ns)
        earliest_us = max(self._end_us, self._missing.from_us if self._missing else 0)
        now_us = max((arrived_ns - timeline.origin_ns) // 1000, earliest_us)
        start = ticks_of(now_us, media.timescale)
        if self._missing is None and us_of(start, media.timescale) > self._end_us > 0:
            self._missing = Missing(self._end_us, "the stream's clock jumped", uncertain=True)
        self._account(us_of(start, media.timescale))
        self._sound.pictures_begin(us_of(start, media.timescale))
        self._reporter.tell(
            "recording",
            start_us=now_us,
            left_out=self._source.left_out,
            origin_wall_ms=timeline.origin_wall_ms,
        )
        return self._track(media, packet, start=start, cut_at="request")

    def _begun(self, now_ns: int) -> Timeline:
        """The timeline: of a session's first take it begins now."""
        if self._timeline is None:
            origin = self._orders.origin_ns
            self._timeline = Timeline.since(now_ns if origin is None else origin)
            self._take.begin(self._timeline, host=self._orders.host)
            self._began_us = max(0, (now_ns - self._timeline.origin_ns) // 1000)
        return self._timeline

    def _begin_sound(self, media: MediaStream, packet: Packet[Any], arrived_ns: int) -> StreamTrack | None:
        """Sound joins once there is a picture: beside it, or when it came if its clock differs."""
        screen = self._tracks.get("screen")
        if screen is None or self._timeline is None:
            return None
        base, came_us = Fraction(media.stream.time_base or 1), (arrived_ns - self._timeline.origin_ns) // 1000
        shown = Fraction(screen.shift, screen.media.timescale)
        start = round(((packet.pts or 0) * base + shown) * media.timescale)
        if self._sound.is_astray(us_of(start, media.timescale) - came_us):
            start = ticks_of(came_us, media.timescale)
        if us_of(start, media.timescale) < self._sound.until_us or start < 0:
            return None
        self._sound.account(us_of(start, media.timescale))
        return self._track(media, packet, start=start, cut_at="fragment")

    def _track(self, media: MediaStream, packet: Packet[Any], *, start: int, cut_at: Any) -> StreamTrack:
        segment_ticks = round(self._orders.settings.segment_seconds * media.timescale)
        writer = TrackWriter(
            self._take,
            media.track,
            timescale=media.timescale,
            segment_ticks=segment_ticks,
            cut_at=cut_at,
            add_stream=media.add_to,
        )
        track = StreamTrack.beginning(media, writer, packet, start=start)
        self._tracks[media.track] = track
        return track

    def _copy(self, track: StreamTrack, packet: Packet[Any]) -> None:
        media = track.media
        dts = media.ticks(packet.dts or 0) + track.shift
        if dts <= track.last:
            return  # sent twice, or out of order
        at = dts + track.delay
        cut = bool(packet.is_keyframe) and (at >= track.next_cut or track.writer.is_large)
        if media.track == "screen":
            if not cut and not track.writer.has_room_for(packet):
                raise BadSource(TOO_LARGE)
            self._thumbs.passed(packet, us_of(at, media.timescale), cut=cut)
            self._frames += 1
        packet.pts = max(dts, media.ticks(packet.pts or 0) + track.shift)
        packet.dts, packet.time_base = dts, Fraction(1, media.timescale)
        track.end, track.last = dts + max(1, media.ticks(packet.duration or 0), dts - track.last), dts
        if cut:
            track.next_cut = at + round((self._orders.settings.segment_seconds - EARLY) * media.timescale)
        track.writer.put(packet, cut=cut and media.track == "screen")

    def _close_epoch(self) -> None:
        screen = self._tracks.pop("screen", None)
        end_us = self._close_track(screen) if screen else 0
        self._close_sound()
        if screen:
            self._end_us = max(self._end_us, end_us)
            self._thumbs.close(end_us)
            self._sound.account(end_us)

    def _close_sound(self) -> None:
        if sound := self._tracks.pop("audio", None):
            self._sound.ended(self._close_track(sound))

    def _close_track(self, track: StreamTrack) -> int:
        end_us = track.writer.close(track.end)
        self._lasting = self._lasting or track.writer.trouble
        return end_us

    def _pause(self) -> None:
        """Told once, also before a key frame: when it goes on, a stream has as long again to send one."""
        self._begin_settled()
        self._opened = time.monotonic()
        if self._is_paused and not self._tracks:
            return
        self._is_paused = True
        if self._tracks:
            self._close_epoch()
            self._missing = Missing(self._end_us, PAUSED, uncertain=False)
        elif self._missing is not None and self._missing.reason != PAUSED:
            # Until now it was missing for another reason.
            now_us = self._begun(time.monotonic_ns()).now_us()
            self._end_us = max(us_of(ticks_of(now_us)), self._missing.from_us)
            self._account(self._end_us)
            self._missing = Missing(self._end_us, PAUSED, uncertain=False)
        if self._missing is not None:
            self._take.pause(self._missing.from_us)
        self._reporter.tell("paused", end_us=self._end_us)

    def _account(self, until_us: int) -> None:
        if self._missing is None:
            return
        gap, self._missing = self._missing, None
        begins = [("screen", gap.from_us), ("audio", max(gap.since("audio"), self._sound.until_us))]
        for track, from_us in begins if self._sound.is_sent else begins[:1]:
            self._take.gap(track, from_us, to_us=until_us, reason=gap.reason, uncertain=gap.uncertain)

    def _is_over(self) -> bool:
        limit, timeline = self._orders.settings.maximum_seconds, self._timeline
        if limit is None or timeline is None:
            return False
        return timeline.now_us() - self._began_us >= limit * 1_000_000

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + 1
            self._reporter.beat(**self.facts())
