"""A track beside the screen that cannot be had costs the display nothing, and is one gap."""

from pathlib import Path
from typing import Any

import pytest
import xcffib
import xcffib.res

from recorder.companions import RETRY_AFTER_US, Companions, Place
from recorder.errors import BadSource, SourceAway
from recorder.sources.x11_connection import connect
from recorder.sources.x11_input import InputListener
from recorder.spool import Spool
from recorder.take import Take
from tests.waiting import until

from .displays import Display, display
from .stage import WHOLE

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
    tried = tried_again_and_again(take, SourceAway("not now"), seconds=25)
    assert tried == [0, RETRY_AFTER_US // SECOND, 2 * RETRY_AFTER_US // SECOND]
