"""What is done at a display is in the input track: on the screen's clock, and what the policy allows."""

import itertools
import json
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import xcffib
import xcffib.xkb
import xcffib.xtest

from recorder.continuation import account_for_the_end
from recorder.keys import MASK, printed
from recorder.recovery import recover
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.supervisor import Wanted
from tests.waiting import until

from .clipboard import COPIED, copying, told
from .displays import Display, display, program
from .stage import WHOLE, Child, gaps_of

SHARP = Settings(frame_rate=60, quality="ultra", segment_seconds=1, cursor=False, input="masked")


def lines(spool: Spool, kind: str = "") -> list[dict[str, Any]]:
    """All lines of the input track, or those of one kind, each within its segment."""
    found = []
    for path, name in spool.segments():
        if name.track == "input":
            read = [json.loads(line) for line in path.read_text().splitlines()]
            assert read[0]["k"] == "begin"
            assert all(name.start_us <= line["t"] <= name.end_us for line in read)
            found += read
    return [line for line in found if kind in ("", line["k"])]


@contextmanager
def recorded(shown: Display, spool: Spool, *, settings: Settings = SHARP) -> Iterator[Child]:
    """A recording that has begun, and is stopped in order at the end."""
    with Child(spool, f"x11://{shown.name}", settings=settings, session=WHOLE) as child:
        until(lambda: child.heard("recording"))
        yield child
        assert child.end() == 0


def pressed(child: Child) -> list[str]:
    """The keys that went down, those that change others left out, as far as they are written."""
    return [key for key in down(child) if key != "Shift"]


def down(child: Child) -> list[str]:
    """All keys that went down, as far as that is written."""
    return [line["key"] for line in told(child, "key") if line["down"]]


def told_openly(child: Child, type_them: Callable[[], object], keys: Sequence[str]) -> None:
    """Have keys typed until they are told by these names: at first the recorder may have had no time to look
    which window had the input, and hide them."""

    def are_told() -> bool:
        expected = len(pressed(child)) + len(keys)
        type_them()
        until(lambda: len(pressed(child)) >= expected)
        return pressed(child)[-len(keys) :] == list(keys)

    until(are_told)


@contextmanager
def terminal(shown: Display, title: str) -> Iterator[None]:
    """A terminal that has the keyboard and draws what is typed."""
    before = _named(shown, title)
    with program(shown, "xterm", "-geometry", "30x10+0+0", "-T", title, "-e", "cat"):
        window = until(lambda: _named(shown, title) - before).pop()
        shown.run("xdotool", "windowfocus", "--sync", str(window))
        yield


def _named(shown: Display, title: str) -> set[int]:
    with suppress(Exception):
        answer = shown.ask("xdotool", "search", "--onlyvisible", "--name", title)
        return {int(number) for number in answer.split()}
    return set()


def test_a_key_is_within_20_ms_of_the_frame_that_shows_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, terminal(shown, "shell"), recorded(shown, spool) as child:
        for _ in range(12):
            time.sleep(0.25)
            shown.run("xdotool", "key", "x")
        until(lambda: len(pressed(child)) == 12)
        last_us = told(child, "key")[-1]["t"]
        until(
            lambda: (
                max(name.end_us for _, name in spool.segments() if name.track == "screen")
                > last_us + 1_000_000
            )
        )
    typed = [line["t"] for line in lines(spool, "key") if line["down"]]
    changes = _changes(spool)
    assert len(typed) == 12
    delays = [min(at for at in changes if at >= key - 2000) - key for key in typed]
    # A busy machine may show a key late, never early: what comes soonest tells how far the clocks are apart.
    assert min(delays) < 20_000
    assert statistics.median(delays) < 100_000


def _changes(spool: Spool) -> list[int]:
    """When the picture became another one, microseconds on the timeline."""
    found, last = [], None
    for path, name in spool.segments():
        if name.track == "screen":
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    picture = frame.to_ndarray(format="bgr24")
                    if last is None or not np.array_equal(picture, last):
                        found.append(int((frame.pts or 0) * 1_000_000 * (frame.time_base or 0)))
                    last = picture
    return found


def test_masked_keys_say_what_was_done_but_not_what_was_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, terminal(shown, "shell"), recorded(shown, spool):
        shown.run("xdotool", "type", "hunter-2 Ab")
        shown.run("xdotool", "key", "KP_7", "ctrl+c", "Return", "ctrl+alt+q")
        time.sleep(0.2)
    pressed = [line["key"] for line in lines(spool, "key") if line["down"]]
    assert {"c", "Return"} <= set(pressed) <= {"•", "Shift", "Control", "Alt", "Num_Lock", "Return", "c"}
    assert pressed.count("•") == len("hunter-2 Ab") + 2  # the keypad prints, and so may Control with Alt


def test_the_policy_full_names_every_key_but_those_for_a_password(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool, settings=replace(SHARP, input="full")) as child:
        with terminal(shown, "shell"):
            told_openly(child, lambda: shown.run("xdotool", "type", "Ls -l"), "Ls -l")
        before = len(down(child))
        with terminal(shown, "Enter passphrase"):
            shown.run("xdotool", "type", "Secret!")
            until(
                lambda: len([line for line in told(child, "key") if line["down"]]) >= before + len("Secret!")
            )
    hidden = [line for line in lines(spool, "key") if line["down"]][before:]
    assert {line["key"] for line in hidden} == {"•"}
    assert len(hidden) >= len("Secret!")
    assert not [line for line in hidden if "with" in line]
    windows = lines(spool, "window")
    assert [window["secret"] for window in windows if window["title"] == "Enter passphrase"][:1] == [True]
    assert [window["class"] for window in windows if window["title"] == "shell"][:1] == ["XTerm"]


def test_keys_have_the_names_of_the_layout_in_force(tmp_path: Path) -> None:
    """A, s and n: Latin, Russian, and of a third layout, of which the core map does not say where it is."""
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool, settings=replace(SHARP, input="full")) as child:
        shown.run("setxkbmap", "us,ru,de")
        told_openly(
            child,
            lambda: _type_in_layouts(shown, (0, 1, 2), codes=(38, 39, 57, 36)),
            [*"asn", "Return", *"фыт", "Return", *"•••", "Return"],
        )


def test_masked_keys_are_masked_in_every_layout(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool):
        shown.run("setxkbmap", "us,gr,il")
        _type_in_layouts(shown, (0, 1, 2), codes=(38, 24, 36))
        time.sleep(0.5)
    pressed = [line["key"] for line in lines(spool, "key") if line["down"]]
    assert pressed == ["•", "•", "Return"] * 3


def test_a_key_that_somebody_made_print_half_a_character_ends_no_recording(tmp_path: Path) -> None:
    """Who is recorded may change the keyboard's map: to a surrogate, which no text can hold."""
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool, settings=replace(SHARP, input="full")) as child:
        _map(shown, code=38, keysym=0x100D800)
        told_openly(child, lambda: _type_in_layouts(shown, (0,), codes=(38, 36)), ["0x100d800", "Return"])
        assert child.process.poll() is None


@pytest.mark.parametrize("policy", ["full", "masked"])
def test_a_key_that_changes_while_it_is_used_is_never_called_what_it_was_not(
    tmp_path: Path, policy: Any
) -> None:
    """As programs do that type what the keyboard lacks; the last that the key is given ends a line."""
    with (
        display() as shown,
        terminal(shown, "shell"),
        recorded(shown, Spool(tmp_path), settings=replace(SHARP, input=policy)) as child,
    ):
        told_openly(child, lambda: shown.run("xdotool", "key", "Return", "Return"), ["Return"] * 2)
        before = len(pressed(child))
        _change_and_type(shown, 38, [*map(ord, "pqrstu"), 0xFF0D] * 5)
        until(lambda: len(pressed(child)) == before + 35)
        names = pressed(child)[before:]
        told_openly(child, lambda: _type_in_layouts(shown, (0,), codes=(38,)), ["Return"])
    allowed = [{MASK, one if policy == "full" or one == "Return" else MASK} for one in [*"pqrstu", "Return"]]
    assert all(name in right for name, right in zip(names, allowed * 5, strict=True)), names


def _change_and_type(shown: Display, code: int, keysyms: list[int]) -> None:
    """Give a key these symbols in turn and type each, at once."""
    connection = xcffib.Connection(display=shown.name)
    keys = connection(xcffib.xtest.key)
    for keysym in keysyms:
        connection.core.ChangeKeyboardMapping(1, code, 1, [keysym])
        for kind in 2, 3:
            keys.FakeInput(kind, code, 0, xcffib.NONE, 0, 0, 0)
    connection.core.GetInputFocus().reply()  # now all is done
    connection.disconnect()


def _map(shown: Display, *, code: int, keysym: int) -> None:
    connection = xcffib.Connection(display=shown.name)
    connection.core.ChangeKeyboardMapping(1, code, 1, [keysym], is_checked=True).check()
    connection.disconnect()


def _type_in_layouts(shown: Display, groups: tuple[int, ...], *, codes: tuple[int, ...]) -> None:
    """Press and let go these keys in each layout, on the keyboard itself: xdotool would change layouts."""
    connection = xcffib.Connection(display=shown.name)
    xkb, fake = connection(xcffib.xkb.key), connection(xcffib.xtest.key)
    xkb.UseExtension(1, 0).reply()
    core_keyboard, press, release = 0x100, 2, 3
    for group in groups:
        xkb.LatchLockState(core_keyboard, 0, 0, True, group, 0, 0, 0, is_checked=True).check()
        for code, kind in itertools.product(codes, (press, release)):
            fake.FakeInput(kind, code, 0, 0, 0, 0, 0, is_checked=True).check()
            time.sleep(0.02)
    connection.disconnect()


@pytest.mark.parametrize(
    ("keysym", "shown"),
    {
        0x61: "a",
        0xDF: "ß",
        0x1B3: "ł",
        0x1B9: "š",
        0x2BB: "ğ",
        0x3F9: "ų",
        0x4B1: "ア",
        0x5C8: "ب",
        0x6AA: "њ",
        0x6C6: "ф",
        0x6AD: "ґ",
        0x7F3: "ς",
        0x8FB: "←",
        0xAFE: "„",
        0xCF9: "ש",
        0xDA1: "ก",
        0xEA1: "ㄱ",
        0x13BD: "œ",
        0x20AC: "€",
        0x1000105: "ą",
        0x100D7FF: "\ud7ff",
        0x100D800: "0x100d800",
        0x100DFFF: "0x100dfff",
        0x100E000: "\ue000",
        0x110FFFF: "\U0010ffff",
        0xFE51: "0xfe51",
        0x1008FF13: "0x1008ff13",
    }.items(),
)
def test_a_key_is_called_what_it_prints_in_whatever_script(keysym: int, shown: str) -> None:
    assert printed(keysym) == shown


def test_buttons_and_at_most_ten_moves_a_second(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool):
        # By one program: the pointer comes to no rest while the next one starts.
        moves_on = [("mousemove", str(step * 4), "20", "sleep", "0.01") for step in range(60)]
        shown.run("xdotool", *itertools.chain(*moves_on))
        shown.run("xdotool", "mousemove", "200", "100", "click", "3")
        time.sleep(0.3)
    moves = [line["t"] for line in lines(spool, "move")]
    assert 2 <= len(moves) <= (moves[-1] - moves[0]) // 99_000 + 2
    # The last one is where the pointer came to rest, told before the click.
    assert min(later - earlier for earlier, later in itertools.pairwise(moves[:-1])) >= 99_000
    assert [(line["button"], line["down"]) for line in lines(spool, "button")] == [(3, True), (3, False)]
    assert {(line["x"], line["y"]) for line in lines(spool, "button")} == {(200, 100)}


def test_where_the_pointer_rests_is_told_within_the_ten_a_second(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool):
        shown.run("xdotool", "mousemove", "10", "20", "sleep", "0.3")
        for at in ("30", "50", "70"):
            shown.run(
                "xdotool", "mousemove", at, "20", "sleep", "0.02", "mousemove", at, "40", "sleep", "0.3"
            )
        shown.run("xdotool", "mousemove", "90", "20", "sleep", "0.01", "mousemove", "90", "40")
    moves = lines(spool, "move")
    rests = [(x, 40) for x in (30, 50, 70, 90)]
    assert rests == [(move["x"], move["y"]) for move in moves if move["y"] == 40]
    # The end of the recording does not wait for the next tenth of a second.
    told = [move["t"] for move in moves[:-1]]
    assert min(later - earlier for earlier, later in itertools.pairwise(told)) >= 99_000


def test_the_clipboard_is_told_by_length_and_hash(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool) as child, copying(shown.name, COPIED) as copy:
        copy()
        until(lambda: told(child))
    (copied,) = lines(spool, "clip")
    assert (copied["length"], copied["sha256"]) == (len(COPIED), sha256(COPIED).hexdigest())
    assert not [path for path, _ in spool.segments() if b"horse" in path.read_bytes()]


def test_what_was_copied_while_the_recorder_had_no_time_is_told_at_its_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool) as child, copying(shown.name, COPIED) as copy:
        child.process.send_signal(signal.SIGSTOP)
        copy()
        time.sleep(2)
        shown.run("xdotool", "key", "Return")
        child.process.send_signal(signal.SIGCONT)
        until(lambda: told(child) and told(child, "key"))
    (copied,) = lines(spool, "clip")
    assert copied["t"] + 1_500_000 < lines(spool, "key")[0]["t"]


def test_a_text_that_is_not_handed_out_is_still_told_to_be_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, recorded(shown, spool) as child, copying(shown.name, b"", gives=False) as copy:
        copy()
        until(lambda: told(child))
    (copied,) = lines(spool, "clip")
    assert (copied["text"], copied["length"], copied.get("sha256")) == (True, None, None)


def test_input_is_cut_with_the_screen_and_misses_what_the_screen_misses(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, terminal(shown, "shell"), recorded(shown, spool) as child:
        until(lambda: len([1 for _, name in spool.segments() if name.track == "input"]) >= 2)
        child.say("pause")
        until(lambda: child.heard("paused"))
        shown.run("xdotool", "type", "unseen")
        time.sleep(0.3)
        child.say("resume")
        until(lambda: len([line for line in child.lines if line["kind"] == "recording"]) == 2)
        shown.run("xdotool", "key", "Return")
        time.sleep(0.3)
    times: dict[str, list[tuple[int, int]]] = {"screen": [], "input": []}
    for _, name in spool.segments():
        times[name.track].append((name.start_us, name.end_us))
    assert times["input"] == times["screen"]
    assert {line["key"] for line in lines(spool, "key")} == {"Return"}
    gaps = {gap.track: (gap.from_us, gap.to_us, gap.reason) for gap in spool.gaps(child.directory)}
    assert gaps["input"] == gaps["screen"]
    closed = spool.closed(child.directory)
    assert closed["input"].last_counter == len(times["input"])


def test_a_key_that_shows_nothing_ends_a_segment_that_was_drawn_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    quiet = replace(SHARP, frame_rate=10, segment_seconds=0.5, quiet_segment_seconds=60)
    with display() as shown, recorded(shown, spool, settings=quiet) as child:
        until(lambda: child.frames() >= 17)  # of a screen on which nothing happens: some seconds
        before = [name for _, name in spool.segments() if name.track == "screen"]
        shown.run("xdotool", "key", "Return")
        until(lambda: lines(spool, "key"))
    drawn_out = max(name.end_us - name.start_us for _, name in spool.segments() if name.track == "screen")
    assert len(before) <= 2
    assert drawn_out > 1_500_000
    times = {track: [] for track in ("screen", "input")}
    for _, name in spool.segments():
        times[name.track].append((name.start_us, name.end_us))
    assert times["input"] == times["screen"]


def test_a_killed_recorder_loses_about_a_second_of_input(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    slow = replace(SHARP, segment_seconds=30)
    with (
        display() as shown,
        terminal(shown, "shell"),
        Child(spool, f"x11://{shown.name}", settings=slow, session=WHOLE) as child,
    ):
        until(lambda: child.heard("recording"))
        shown.run("xdotool", "key", "Return")
        (part,) = until(lambda: list(child.directory.glob("*_input_*.part")))
        until(lambda: b"Return" in part.read_bytes())
        child.process.kill()
        child.process.wait()
        with part.open("ab") as torn:
            torn.write(b'{"t":12')
    recover(spool, child.session, take=1, reason="killed")
    assert [line["key"] for line in lines(spool, "key") if line["down"]] == ["Return"]
    assert spool.closed(child.directory)["input"].last_counter == 1
    told_us = max(line["t"] for line in lines(spool))
    wanted = Wanted(child.session, "stop", f"x11://{shown.name}", slow, take=1)
    account_for_the_end(spool, wanted, take=1)
    (lost,) = [gap for gap in gaps_of(spool, child.session) if gap.track == "input"]
    assert (lost.from_us, lost.reason) == (told_us, "killed")  # what was typed after that is nowhere


def test_a_display_that_dies_leaves_both_tracks_closed(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with display() as shown, Child(spool, f"x11://{shown.name}", settings=SHARP) as child:
        until(lambda: child.heard("recording"))
        shown.server.kill()
        assert child.end(None) == 3
    ends = {name.track: name.end_us for _, name in spool.segments()}
    # Whoever notices first ends first; what the other still had is a gap.
    gaps = {gap.from_us: gap.to_us for gap in spool.gaps(child.directory) if gap.track == "input"}
    assert gaps.get(ends["input"], ends["input"]) == ends["screen"]
    assert not list(child.directory.glob("*.part"))
