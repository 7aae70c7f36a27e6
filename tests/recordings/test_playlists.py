"""The list of the sound is as long as that of the screen, with a discontinuity wherever that has one."""

import re
from collections.abc import Iterable

from lucid_sessions.recordings import playlists
from lucid_sessions.recordings.models import Chunk

SECOND = 1_000_000


def pieces(track: str, *times: tuple[float, float], epoch: int = 1) -> list[Chunk]:
    return [
        Chunk(
            track=track,
            epoch=epoch,
            start_us=round(start * SECOND),
            end_us=round(end * SECOND),
            raw_length=5000,
            init_length=700,
        )
        for start, end in times
    ]


def listed(shown: Iterable[Chunk], heard: Iterable[Chunk], *, is_over: bool = True) -> list[str]:
    """What the list of the sound says, in short: cuts, gaps and segments with their seconds."""
    found = playlists._entries(
        playlists.runs_of(list(shown)), list(heard), is_over=is_over, address=lambda chunk: "chunk.mp4"
    )
    lines = "\n".join(line for _, written in found for line in written)
    words = re.findall(r"#EXT-X-(DISCONTINUITY|GAP)|#EXTINF:([\d.]+)", lines)
    return [what.lower() or f"{float(seconds):g}" for what, seconds in words]


def test_sound_without_holes_is_listed_as_it_is() -> None:
    shown = pieces("screen", (0, 4), (4, 8))
    assert listed(shown, pieces("audio", (0.02, 4.1), (4.1, 8))) == ["4.08", "3.9"]


def test_a_pause_is_a_discontinuity_of_both() -> None:
    shown = pieces("screen", (0, 4)) + pieces("screen", (10, 14), epoch=2)
    heard = pieces("audio", (0, 4)) + pieces("audio", (10, 14), epoch=2)
    assert listed(shown, heard) == ["4", "discontinuity", "4"]


def test_where_there_is_no_sound_a_gap_stands_for_it() -> None:
    shown = pieces("screen", (0, 4), (4, 8), (8, 12)) + pieces("screen", (20, 24), epoch=2)
    assert listed(shown, pieces("audio", (3, 4), (9, 10))) == [
        *("gap", "3", "1", "gap", "5", "1", "gap", "2"),
        *("discontinuity", "gap", "4"),
    ]
    assert listed(shown, []) == ["gap", "12", "discontinuity", "gap", "4"]


def test_sound_goes_on_through_another_size_of_the_picture() -> None:
    shown = pieces("screen", (0, 4)) + pieces("screen", (4, 8), epoch=2)
    assert listed(shown, pieces("audio", (0, 5), (5, 8))) == ["5", "discontinuity", "3"]


def test_of_a_running_session_the_sound_may_yet_come() -> None:
    assert listed(pieces("screen", (0, 4), (4, 8)), pieces("audio", (0, 4)), is_over=False) == ["4"]
