"""HLS for sessions with sound: a multivariant playlist, and the sound's own beside that of the screen.

Players keep the two together by counting discontinuities (RFC 8216, 6.3.3): the sound has one wherever the
screen has one. Where there is no sound, a segment that is a gap stands for it (EXT-X-GAP), so that the two
lists stay equally long.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lucid_sessions.errors import Refused

from . import listing, playback
from .lifecycle import ENDED
from .listing import Listed
from .models import Chunk, Session

SHORTEST_GAP_US = 100_000  # less is bridged by players
SOUND_BITS = 128_000
GROUP = "sound"


@dataclass(frozen=True)
class Run:
    """A stretch of the screen without a discontinuity."""

    start_us: int
    end_us: int


def has_sound(session: Session) -> bool:
    """Whether the session is heard, or at least was meant to be."""
    asked = bool(session.recording_config.get("audio_enabled"))
    return asked or Chunk.objects.filter(session=session, track="audio").exists()


def multivariant(session: Session, *, address: Callable[[str], str]) -> str:
    """The playlist of playlists; `address` tells where that of a track is."""
    shown = listing.playable(session)
    if not shown:
        raise Refused(f'Session "{session.name}" has nothing to play yet: no segment is archived.')
    bits = max(_bits_a_second(chunk) for chunk in shown)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{playback.GAP_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    heard = listing.playable(session, track="audio")
    if heard:
        media = f'TYPE=AUDIO,GROUP-ID="{GROUP}",NAME="Desktop",DEFAULT=YES,AUTOSELECT=YES'
        lines.append(f'#EXT-X-MEDIA:{media},URI="{address("audio")}"')
    more = f',AUDIO="{GROUP}"' if heard else ""
    lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={bits + SOUND_BITS}{more}", address("screen")]
    return "\n".join(lines) + "\n"


def _bits_a_second(chunk: Listed) -> int:
    return chunk.raw_length * 8_000_000 // max(1, chunk.end_us - chunk.start_us)


def sound(session: Session, *, address: Callable[[Listed], str]) -> str:
    """An HLS media playlist of the session's archived sound, cut where that of the screen is."""
    heard, over = listing.playable(session, track="audio"), session.status in ENDED
    entries = list(_entries(runs_of(listing.listed(session)), heard, is_over=over, address=address))
    longest = max((seconds for seconds, _ in entries), default=1.0)
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{playback.GAP_VERSION}",
        f"#EXT-X-TARGETDURATION:{-int(-longest // 1)}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if over else 'EVENT'}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        *(line for _, written in entries for line in written),
    ]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if over else [])]) + "\n"


def runs_of(shown: Sequence[Listed]) -> list[Run]:
    """The screen's stretches between its discontinuities, in order."""
    if not shown:
        return []
    cuts = [later.start_us for earlier, later in pairwise(shown) if playback.is_cut(earlier, later)]
    ends = [earlier.end_us for earlier, later in pairwise(shown) if playback.is_cut(earlier, later)]
    return [Run(*times) for times in zip([shown[0].start_us, *cuts], [*ends, shown[-1].end_us], strict=True)]


def _entries(
    runs: Sequence[Run], heard: Sequence[Listed], *, is_over: bool, address: Callable[[Listed], str]
) -> Iterator[tuple[float, list[str]]]:
    """Each entry's seconds and lines."""
    waiting, covered_us = deque(heard), 0
    for number, run in enumerate(runs):
        marks = ["#EXT-X-DISCONTINUITY"] if number else []
        covered_us = max(covered_us, run.start_us)
        while waiting and waiting[0].start_us < run.end_us:
            chunk = waiting.popleft()
            for missing in _gap(chunk.start_us - covered_us):
                yield missing[0], marks + missing[1]
                marks = []
            yield _entry(chunk, marks, address(chunk))
            marks, covered_us = [], chunk.end_us
        if is_over or number + 1 < len(runs):  # of a running session the sound may yet come
            for missing in _gap(run.end_us - covered_us):
                yield missing[0], marks + missing[1]
                marks = []
        if marks:
            yield 0.0, marks


def _gap(length_us: int) -> Iterator[tuple[float, list[str]]]:
    if length_us >= SHORTEST_GAP_US:
        seconds = length_us / 1_000_000
        yield seconds, playback.gap(seconds, "gap.mp4")


def _entry(chunk: Listed, marks: list[str], address: str) -> tuple[float, list[str]]:
    return (chunk.end_us - chunk.start_us) / 1_000_000, [*marks, playback.entry(chunk, address)]
