"""The audio track of a live source: what a PulseAudio server plays, on the session's timeline."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from fractions import Fraction
from threading import Thread
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

from recorder.clock import Timeline, ticks_of, us_of
from recorder.errors import SourceLost, SourceMoved
from recorder.silence import UNWATCHED
from recorder.sound_monitor import SoundMonitor
from recorder.take import Take
from recorder.track import TrackWriter

if TYPE_CHECKING:
    from recorder.samples import Seen

TRACK = "audio"
RATE, CHANNELS, FRAME = 48_000, 2, 1024
BLOCK = FRAME * CHANNELS * 2  # bytes
BITS = 96_000
SETTLING = 12  # blocks from which the clock of the sound is learned: the one that came soonest is right
OFF_BY = RATE // 20  # samples that sound may stray from the clock before it is put right
# How late a block comes is not all its fault: only a hole larger than any delay is filled, and only when what
# came for so long after it was late as well. What waited while this machine had no time comes all at once.
LATE_BY, LATE_FOR_NS = 4 * OFF_BY, 500_000_000
# Seconds. Where nothing is played a monitor sends silence: one that sends nothing hangs, or is suspended.
# Until the first block it may just be busy; at the end there is no time left to see whether it goes on.
MUTE, MUTE_AT_FIRST, MUTE_AT_LAST = 3.0, 10.0, 1.0
Block = tuple[int, bytes]  # CLOCK_MONOTONIC nanoseconds when it had come, samples


class AudioTrack:
    """One epoch of sound. A thread takes the samples off the pipe; all else happens in the caller's."""

    def __init__(
        self,
        take: Take,
        *,
        environment: Mapping[str, str],
        timeline: Timeline,
        start_us: int,
        segment_seconds: float,
    ) -> None:
        self._timeline, self._start = timeline, ticks_of(start_us, RATE)
        self._blocks: deque[Block] = deque()
        self._writer = TrackWriter(
            take,
            TRACK,
            timescale=RATE,
            segment_ticks=round(segment_seconds * RATE),
            cut_at="fragment",
            add_stream=_add_stream,
        )
        self._next: int | None = None  # the tick of the next sample, once it is known
        self._heard = self._looked = time.monotonic()
        self._monitor = SoundMonitor(environment, rate=RATE, channels=CHANNELS)
        Thread(target=self._read, name="sound", daemon=True).start()

    def look(self, _now_us: int) -> None:
        """Encode what has come."""
        if self._writer.trouble:
            raise self._writer.trouble
        if self._next is None and len(self._blocks) < SETTLING:
            if self._monitor.has_ended:
                raise SourceLost("The sound server ended, or never let us listen.")
            self._listen_for(MUTE_AT_FIRST)
            return
        if self._next is None:
            self._begin(self._clock(list(self._blocks)))
        while self._blocks and not self._is_in_doubt():
            self._place(self._blocks.popleft())
        if self._monitor.has_ended:
            raise SourceLost("The sound server went away.")
        self._listen_for(MUTE)

    @property
    def has_begun(self) -> bool:
        """Whether any sound has come: a server that does not let us listen shows only after a while."""
        return self._next is not None

    @property
    def reached_us(self) -> int:
        """Until when there is sound, microseconds."""
        return us_of(self._start if self._next is None else self._next, RATE)

    def cut(self, at_us: int) -> None:
        """Nothing: sound is cut between its own packets."""

    def shown(self, seen: Seen) -> None:
        """Nothing: what is shown is not heard."""

    def close(self, end_us: int) -> None:
        """Stop listening; the last packet ends where the screen ends. `SourceLost` when none came of late."""
        self._listen_for(MUTE_AT_LAST)
        if self._next is None:
            self.look(end_us)
        if self._next is None:  # it takes a moment until it is known when the first was played
            raise SourceLost("It ended, or was paused, before there was any sound.")
        self._take_in_rest(ticks_of(end_us, RATE))
        self._writer.close(ticks_of(end_us, RATE))

    def give_up(self, at_us: int) -> None:
        """Keep what was heard until now, and no more than that."""
        end = ticks_of(at_us, RATE)
        self._take_in_rest(end)
        self._writer.close(end if self._next is None else min(end, self._next))

    def _take_in_rest(self, end: int) -> None:
        self._monitor.close()
        while self._next is not None and self._blocks and self._next < end:
            self._place(self._blocks.popleft())
        self._put(None)

    def _listen_for(self, patience: float) -> None:
        """`SourceLost` when nothing has come for so long, unless nobody has looked for a while."""
        if self._monitor.is_elsewhere:
            raise SourceMoved("What is played goes to another device by now, or its device is gone.")
        now = time.monotonic()
        if now - self._looked > UNWATCHED:
            self._heard = now
        self._looked = now
        if (mute := now - self._heard) > patience:
            raise SourceLost(f"The sound server hangs or is suspended: it sent nothing for {mute:.0f} s.")

    def _read(self) -> None:
        for content in self._monitor.blocks(BLOCK):
            self._blocks.append((time.monotonic_ns(), content))
            self._heard = time.monotonic()

    def _clock(self, blocks: list[Block]) -> int:
        """The tick at which the first of these blocks began, by the one that was delayed least."""
        begins = (ns - (number + 1) * FRAME * 1_000_000_000 // RATE for number, (ns, _) in enumerate(blocks))
        return ticks_of((min(begins) - self._timeline.origin_ns) // 1000, RATE)

    def _begin(self, heard: int) -> None:
        """Until we hear there is silence, so that players find sound wherever they find a picture."""
        silent = max(0, heard - self._start) // FRAME
        self._next = max(self._start, heard) - silent * FRAME
        for _ in range(silent):
            self._encode(bytes(BLOCK))

    def _place(self, block: Block) -> None:
        """Encode a block at its time; a hole in the sound is silence, a surplus is left out."""
        assert self._next is not None  # noqa: S101 -- see look
        if self._next - self._clock([block]) > OFF_BY:
            return
        for _ in range(self._missing_before([block, *self._blocks]) // FRAME):
            self._encode(bytes(BLOCK))
        self._encode(block[1])

    def _is_in_doubt(self) -> bool:
        """Whether a hole seems to be before the next block, and those that come will tell."""
        blocks = list(self._blocks)
        return blocks[-1][0] - blocks[0][0] < LATE_FOR_NS and self._missing_before(blocks) > 0

    def _missing_before(self, blocks: list[Block]) -> int:
        """Samples that are missing before the first of these; 0 when they may merely be late."""
        assert self._next is not None  # noqa: S101 -- see look
        if self._clock(blocks[:1]) - self._next <= LATE_BY:  # as nearly always
            return 0
        missing = self._clock(blocks) - self._next
        return missing if missing > LATE_BY else 0

    def _encode(self, content: bytes) -> None:
        samples = np.frombuffer(content, np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._next, Fraction(1, RATE)
        self._put(frame)
        self._next = (self._next or 0) + FRAME

    def _put(self, frame: av.AudioFrame | None) -> None:
        stream = self._writer.stream
        assert isinstance(stream, AudioStream)  # noqa: S101 -- made by _add_stream
        for packet in stream.encode(frame):
            if (packet.dts or 0) >= self._start:  # before it there is only what primes the decoder
                self._writer.put(packet, cut=False)


def _add_stream(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("aac", rate=RATE, options={"b": str(BITS)})
    assert isinstance(stream, AudioStream)  # noqa: S101 -- aac makes sound
    stream.layout = "stereo"
    stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
    container.start_encoding()
    return stream
