"""A track beside the screen that cannot be had costs the display nothing, and is one gap."""

import os
from pathlib import Path
from typing import Any

import pytest
import xcffib
import xcffib.res

from recorder.audio import AudioTrack
from recorder.clock import Timeline
from recorder.companions import Companions, Place
from recorder.errors import BadSource, SourceAway, SourceMoved
from recorder.sources.x11_connection import connect
from recorder.sources.x11_input import InputListener
from recorder.spool import Spool
from recorder.take import Take
from tests.waiting import until

from .displays import Display, display
from .stage import WHOLE
from .test_audio import private_sound

SECOND = 1_000_000


def clients(shown: Display) -> int:
    """How many connections the display has, with the one that asks."""
    x = xcffib.Connection(display=shown.name)
    count = len(x(xcffib.res.key).QueryClients().reply().clients)
    x.disconnect()
    return count


def tried_again_and_again(take: Take, error: Exception, *, seconds: int) -> list[int]:
    """When a track whose beginning always fails so was begun, in seconds of the recording."""
    tried = []

    def begin(at_us: int) -> Any:
        tried.append(at_us // SECOND)
        raise error

    companions = Companions(take, [Place("input", begin)])
    companions.cut(0)
    for second in range(1, seconds):
        companions.look(second * SECOND)
    companions.close(seconds * SECOND)
    return tried


def test_a_display_without_record_is_left_as_it_was() -> None:
    with display("-screen", "0", "320x240x24", "-extension", "RECORD") as shown:
        before = clients(shown)
        for _ in range(3):
            with pytest.raises(BadSource, match="lacks the extension RECORD"):
                InputListener(lambda: connect(shown.name), policy="masked")
        until(lambda: clients(shown) == before)


def test_a_display_that_lets_in_one_of_two_connections_is_left_as_it_was() -> None:
    with display() as shown:
        before, dialled = clients(shown), []

        def once() -> Any:
            dialled.append(connect(shown.name) if not dialled else connect(":nowhere"))
            return dialled[-1]

        with pytest.raises(SourceAway, match="nowhere"):
            InputListener(once, policy="masked")
        until(lambda: clients(shown) == before)


def test_what_a_source_lacks_for_good_is_not_asked_for_again_and_is_one_gap(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    take = Take(spool, WHOLE, take=1)
    lacking = BadSource("The display lacks the extension RECORD.")
    assert tried_again_and_again(take, lacking, seconds=60) == [0]
    (gap,) = spool.gaps(spool.take_directory(WHOLE, 1))
    assert (gap.from_us, gap.to_us, gap.reason) == (0, 60 * SECOND, str(lacking))


def test_what_is_merely_away_is_asked_for_again(tmp_path: Path) -> None:
    take = Take(Spool(tmp_path), WHOLE, take=1)
    tried = tried_again_and_again(take, SourceAway("not now"), seconds=200)
    assert tried == [0, 10, 30, 70, 130, 190]


class Moving:
    """A track of which something has come, or nothing yet, and which has moved whenever it is looked at."""

    def __init__(self, *, has_begun: bool) -> None:
        self.has_begun = has_begun

    def look(self, _now_us: int) -> None:
        raise SourceMoved("to another device")

    def cut(self, _at_us: int) -> None:
        pass

    shown = close = give_up = cut


@pytest.mark.parametrize(("has_begun", "begun"), [(True, [0, 1, 2, 3]), (False, [0])])
def test_what_has_moved_is_begun_again_at_once_unless_nothing_had_come(
    has_begun: bool, begun: list[int], tmp_path: Path
) -> None:
    tried = []

    def begin(at_us: int) -> Any:
        tried.append(at_us // SECOND)
        return Moving(has_begun=has_begun)

    companions = Companions(Take(Spool(tmp_path), WHOLE, take=1), [Place("audio", begin)])
    companions.cut(0)
    for second in range(4):
        companions.look(second * SECOND)
    assert tried == begun


class Sound:
    """The sound of a desktop whose server may be missing, in a recording whose clock runs as it is told."""

    def __init__(self, folder: Path) -> None:
        self.spool, self.environment = Spool(folder), {**os.environ, "PULSE_SERVER": "unix:/nonexistent"}
        take = Take(self.spool, WHOLE, take=1)
        timeline = Timeline.starting_now()

        def begin(at_us: int) -> AudioTrack:
            environment = self.environment
            return AudioTrack(
                take, environment=environment, timeline=timeline, start_us=at_us, segment_seconds=1
            )

        self.place = Place("audio", begin)
        self.companions = Companions(take, [self.place])
        self.companions.cut(0)

    def is_away(self, *, seconds: range) -> None:
        for second in seconds:
            until(lambda: self.companions.look(second * SECOND) or self.place.running is None)  # noqa: B023

    def gaps(self) -> list[tuple[int, int]]:
        found = self.spool.gaps(self.spool.take_directory(WHOLE, 1))
        return [(gap.from_us // SECOND, gap.to_us // SECOND) for gap in found]


def test_without_a_sound_server_the_sound_is_one_gap_however_often_it_is_tried(tmp_path: Path) -> None:
    sound = Sound(tmp_path)
    sound.is_away(seconds=range(150))
    sound.companions.close(150 * SECOND)
    assert sound.gaps() == [(0, 150)]


def test_a_gap_in_the_sound_is_over_when_sound_comes(tmp_path: Path) -> None:
    sound = Sound(tmp_path)
    sound.is_away(seconds=range(30))
    with private_sound() as server:
        sound.environment = server.environment
        until(lambda: sound.companions.look(30 * SECOND) or sound.gaps())
        sound.companions.close(31 * SECOND)
    assert sound.gaps() == [(0, 30)]
