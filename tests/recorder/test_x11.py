"""A real X display is recorded when it changes, with its pointer, through a change of size and its death."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder.errors import BadSource
from recorder.settings import Settings
from recorder.sources import LiveSource, check_source, open_source
from recorder.spool import Spool
from tests.waiting import until

from .displays import display, program
from .stage import MemoryView, Policy, pictures, probe, segments, supervising


def test_a_still_display_asks_for_nothing_and_a_change_is_seen() -> None:
    with display() as shown:
        source = open_source(f"x11://{shown.name}", Settings())
        blank = source.grab(0).copy()
        until(lambda: not source.wait(0.2) or source.grab(0) is None)
        with program(shown, "xterm", "-geometry", "30x10+20+20", "-bg", "blue"):
            until(lambda: source.wait(0.2) and not np.array_equal(source.grab(0), blank))
        source.close()


def test_the_pointer_is_drawn_where_it_is_only_when_asked_for() -> None:
    with display() as shown:
        shown.run("xdotool", "mousemove", "100", "100")
        plain = open_source(f"x11://{shown.name}", Settings(cursor=False))
        pointed = open_source(f"x11://{shown.name}", Settings(cursor=True))
        before = plain.grab(0).copy()
        until(lambda: not np.array_equal(pointed.grab(0)[90:120, 90:120], before[90:120, 90:120]))
        pointed.wait(0)
        shown.run("xdotool", "mousemove", "200", "150")
        assert until(lambda: pointed.wait(0.2))
        seen = pointed.grab(0)
        assert np.array_equal(seen[90:120, 90:120], before[90:120, 90:120])
        assert not np.array_equal(seen[140:170, 190:220], before[140:170, 190:220])
        assert np.array_equal(plain.grab(0), before)
        for edge in ("0 0", "319 239"):
            shown.run("xdotool", "mousemove", *edge.split())
            pointed.wait(0.2)
            assert pointed.grab(0).shape == (240, 320, 4)
        plain.close()
        pointed.close()


def test_what_is_typed_on_a_display_is_in_the_recording(tmp_path: Path) -> None:
    spool, view = Spool(tmp_path), MemoryView()
    settings = Settings(frame_rate=15, quality="ultra", segment_seconds=1, cursor=False)
    with display() as shown, supervising(spool, view):
        check_source(f"x11://{shown.name}")
        session = view.want(f"x11://{shown.name}", settings=settings)
        until(lambda: view.last(session, "recording"))
        with program(shown, "xterm", "-geometry", "30x10+0+0", "-fg", "black", "-bg", "white", "-e", "cat"):
            witness = open_source(f"x11://{shown.name}", Settings(cursor=False))
            until(lambda: (witness.grab(0)[:60, :60, 0] > 200).mean() > 0.5)
            shown.run("xdotool", "mousemove", "50", "50", "type", "--delay", "20", "recorded")
            directory = spool.take_directory(session, 1)
            expected = until(lambda: _settled(witness))[0]
            count = len(list(spool.segments(directory)))
            until(lambda: len(list(spool.segments(directory))) > count + 1)
            witness.close()
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    seen = [picture for path, _ in segments(spool, directory) for picture in pictures(path)]
    assert any(np.array_equal(picture[:80, :100], expected[:80, :100, :3]) for picture in seen)


def _settled(source: LiveSource) -> list[Any]:
    """The picture, once it stays as it is (the terminal's cursor does not blink)."""
    picture = source.grab(0).copy()
    return [] if source.wait(1.0) else [picture]


def test_a_display_that_changes_its_size_begins_another_epoch(tmp_path: Path) -> None:
    spool, view = Spool(tmp_path), MemoryView()
    with display("-screen", "0", "640x480x24") as shown, supervising(spool, view):
        session = view.want(f"x11://{shown.name}")
        until(lambda: view.last(session, "recording"))
        shown.resize(320, 240)
        directory = spool.take_directory(session, 1)
        until(lambda: [name for _, name in spool.segments(directory) if name.epoch == 2])
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
    found = segments(spool, directory)
    assert {probe(path).width for path, name in found if name.epoch == 1} == {640}
    assert {probe(path).width for path, name in found if name.epoch == 2} == {320}
    assert [name.end_us for _, name in found[:-1]] == [name.start_us for _, name in found[1:]]


def test_a_display_that_dies_ends_the_recording_with_all_it_showed(tmp_path: Path) -> None:
    spool, view = Spool(tmp_path), MemoryView()
    with display() as shown, supervising(spool, view):
        session = view.want(f"x11://{shown.name}")
        until(lambda: list(spool.segments()))
        shown.server.kill()
        failed = until(lambda: view.last(session, "failed"))
    assert f"Display {shown.name} went away" in failed.reason
    assert spool.closed(spool.take_directory(session, 1))["screen"].end_us == failed.facts["end_us"]


def test_a_display_that_freezes_is_noticed(tmp_path: Path) -> None:
    spool, view = Spool(tmp_path), MemoryView()
    policy = Policy(restarts=0, first_backoff=0.1)
    with display() as shown, supervising(spool, view, policy=policy):
        session = view.want(f"x11://{shown.name}")
        until(lambda: view.last(session, "recording"))
        shown.server.send_signal(signal.SIGSTOP)
        failed = until(lambda: view.last(session, "failed"))
    assert "of silence" in failed.reason
    assert spool.closed(spool.take_directory(session, 1))["screen"].ending == "interrupted"


def test_a_display_with_too_few_colours_is_refused() -> None:
    with (
        display("-screen", "0", "320x240x8") as shown,
        pytest.raises(BadSource, match="8 bits a pixel"),
    ):
        open_source(f"x11://{shown.name}", Settings())
