"""Each segment of the screen has a small picture of its beginning, and says how much of it changed."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from recorder.clock import Timeline
from recorder.errors import Unreadable
from recorder.samples import Samples
from recorder.spool import Spool
from recorder.take import Take
from recorder.thumb import ThumbTrack, read_thumb, webp
from tests.waiting import until

from .displays import display, program
from .stage import QUICK, SMALL, Child, pictures, segments

WITH_POSTERS = replace(QUICK, poster_width=160)


def test_every_segment_has_its_thumb_also_across_a_pause(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with Child(spool, SMALL, settings=WITH_POSTERS) as child:
        until(lambda: len(segments(spool, child.directory)) >= 2)
        child.say("pause")
        until(lambda: child.heard("paused"))
        child.say("resume")
        until(lambda: len([line for line in child.lines if line["kind"] == "recording"]) == 2)
        assert child.end() == 0
    named = {"screen": [], "thumb": []}
    for _, name in spool.segments():
        named[name.track].append((name.start_us, name.end_us))
    assert named["thumb"] == named["screen"]
    assert {gap.track for gap in spool.gaps(child.directory)} == {"screen"}
    assert spool.closed(child.directory)["thumb"].last_counter == len(named["thumb"])


def test_a_thumb_shows_what_its_segment_begins_with(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with Child(spool, SMALL, settings=WITH_POSTERS) as child:
        until(lambda: [name for _, name in spool.segments() if name.track == "thumb"])
        assert child.end() == 0
    thumb = next(path for path, name in spool.segments() if name.track == "thumb")
    (screen, _), *_ = segments(spool, child.directory)
    (small,) = pictures(thumb)
    assert small.shape == (90, 160, 3)
    first = pictures(screen)[0][:180, :320].reshape(90, 2, 160, 2, 3).mean(axis=(1, 3))
    assert np.abs(first - small).mean() < 8


def test_the_figures_tell_a_still_screen_from_a_busy_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, Child(spool, f"x11://{shown.name}", settings=WITH_POSTERS) as child:
        thumbs = lambda: [read_thumb(p.read_bytes()) for p, n in spool.segments() if n.track == "thumb"]  # noqa: E731
        until(lambda: [thumb for thumb in thumbs()[1:] if thumb.changed == 0.0])
        with program(shown, "xterm", "-geometry", "50x18+0+0", "-e", "while :; do date +%N; done"):
            until(lambda: [thumb for thumb in thumbs() if thumb.changed > 0.1])
        assert child.end() == 0


def test_a_desktop_that_is_not_painted_yet_is_no_poster(tmp_path: Path) -> None:
    take = Take(Spool(tmp_path), uuid4(), take=1)
    take.begin(Timeline.starting_now(), host="here")
    track, picture = ThumbTrack(take, width=160), np.zeros((180, 320, 4), dtype=np.uint8)
    track.cut(0)
    samples = Samples()
    for bright in (0, 0, 200, 90):  # a black desktop is painted, and then changes as desktops do
        picture[40:, :, :3] = bright
        track.shown(samples.look(picture))
    track.close(1_000_000)
    ((thumb, _),) = take.spool.segments()
    (small,) = pictures(thumb)
    assert small[:15].max() < 30
    assert abs(int(small[60, 80].mean()) - 200) < 10


def test_damaged_thumbs_are_refused() -> None:
    sound = webp(np.zeros((90, 160, 4), dtype=np.uint8), width=320, frames=3, changed=1.5)
    assert read_thumb(sound).width == 160
    for content in (b"", sound[:40], sound[:-1], b"RIFX" + sound[4:], sound.replace(b"LCDA", b"LCDB")):
        with pytest.raises(Unreadable):
            read_thumb(content)
