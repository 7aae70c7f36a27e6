"""A session as one file, whatever happened to its picture size and however often it was paused."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import playback
from .models import Session

if TYPE_CHECKING:
    from recorder.one_file import Epoch


def export(session: Session, out: Path, *, passed: playback.Passed = lambda: None) -> list[Path]:
    """The whole session as one MP4, encoded anew; `passed` is called for each chunk. Refused as playback's.

    What was not recorded is dark, as long as the gap but at most two seconds.
    """
    from recorder.one_file import size_shown, write_one_mp4  # FFmpeg's libraries, for those that export

    sizes = [size_shown(playback.segment(epoch.shown[0])) for epoch in playback.epochs_of(session)]
    largest = max(width for width, _ in sizes), max(height for _, height in sizes)
    write_one_mp4(out, list(_epochs(session, passed)), size=largest)
    return [out]


def _epochs(session: Session, passed: playback.Passed) -> "Iterator[Epoch]":
    from recorder.one_file import Epoch

    before_us: int | None = None
    for epoch in playback.epochs_of(session):
        begin_us, end_us = epoch.shown[0].start_us, epoch.shown[-1].end_us
        yield Epoch(
            playback.opened(session, epoch.shown, passed=passed),
            length_us=end_us - begin_us,
            gap_us=0 if before_us is None else begin_us - before_us,
            sound=playback.sound_of(session, epoch, passed=passed),
        )
        before_us = end_us
