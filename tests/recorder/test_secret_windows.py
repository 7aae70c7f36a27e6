"""What is typed into a screen locker is never kept, whichever window the window manager calls active."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import xcffib
import xcffib.xproto

from recorder.keys import asks_for_secret
from recorder.spool import Spool
from tests.waiting import until

from .clipboard import copying, told
from .displays import Display, display, program
from .test_input import SHARP, lines, pressed, recorded, terminal, told_openly

ACTIVE = "_NET_ACTIVE_WINDOW"


@contextmanager
def locker(shown: Display, *, focus: bool, managed: bool = False) -> Iterator[None]:
    """A window as i3lock has it: past the window manager, over everything, with the keyboard for itself."""
    x = xcffib.Connection(display=shown.name)
    screen, window = x.get_setup().roots[0], x.generate_id()
    mask, values = xcffib.xproto.CW.OverrideRedirect, [not managed]
    x.core.CreateWindow(24, window, screen.root, 0, 0, 320, 240, 0, 1, screen.root_visual, mask, values)
    name = b"i3lock\0i3lock\0"
    wm_class, string = xcffib.xproto.Atom.WM_CLASS, xcffib.xproto.Atom.STRING
    x.core.ChangeProperty(xcffib.xproto.PropMode.Replace, window, wm_class, string, 8, len(name), name)
    x.core.MapWindow(window)
    if focus:
        x.core.SetInputFocus(xcffib.xproto.InputFocus.PointerRoot, window, 0)
    answer = x.core.GrabKeyboard(False, window, 0, 1, 1).reply()
    assert answer.status == 0
    yield
    x.disconnect()


@pytest.mark.parametrize(("title", "hint"), [("shell", b"secret"), ("Passwords", b"")])
def test_of_a_password_that_is_copied_neither_length_nor_hash_is_told(
    tmp_path: Path, title: str, hint: bytes
) -> None:
    spool = Spool(tmp_path)
    with (
        display() as shown,
        terminal(shown, title),
        recorded(shown, spool) as child,
        copying(shown.name, b"Kerguelen-4711", hint=hint) as copy,
    ):
        until(lambda: [one for one in told(child, "begin") if one["window"]["title"] == title])
        copy()
        until(lambda: told(child))
    (copied,) = lines(spool, "clip")
    assert (copied["text"], copied["length"], copied.get("sha256")) == (True, None, None)


@pytest.mark.parametrize("focus", [True, False], ids=["with the focus", "by a grab alone"])
def test_a_password_for_a_screen_locker_is_hidden_under_a_window_manager(tmp_path: Path, focus: bool) -> None:
    spool = Spool(tmp_path)
    full = replace(SHARP, input="full")
    with display() as shown, program(shown, "openbox", "--sm-disable"):
        until(lambda: "window id" in shown.ask("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"), "it manages")
        with terminal(shown, "shell"), recorded(shown, spool, settings=full) as child:
            told_openly(child, lambda: shown.run("xdotool", "type", "ls"), "ls")
            before = len(pressed(child))
            with locker(shown, focus=focus):
                shown.run("xdotool", "type", "secret")
                until(lambda: len(pressed(child)) == before + len("secret"))
            until(lambda: [window for window in told(child, "window") if window["class"] == "XTerm"])
            told_openly(child, lambda: shown.run("xdotool", "type", "id"), "id")
    down = [line["key"] for line in lines(spool, "key") if line["down"]]
    assert down[before : before + len("secret")] == [*"••••••"]
    seen = [(window["class"], window.get("secret", False)) for window in lines(spool, "window")]
    assert seen == [("i3lock", True), ("XTerm", False)]


def test_a_password_for_the_window_with_the_focus_is_hidden_whichever_is_called_active(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path)
    with display() as shown, terminal(shown, "shell"):
        (window,) = shown.ask("xdotool", "search", "--onlyvisible", "--name", "shell").split()
        shown.run("xprop", "-root", "-f", ACTIVE, "32x", "-set", ACTIVE, window)
        with recorded(shown, spool, settings=replace(SHARP, input="full")) as child:
            told_openly(child, lambda: shown.run("xdotool", "type", "ls"), "ls")
            before = len(pressed(child))
            with locker(shown, focus=True, managed=True):
                shown.run("xdotool", "type", "secret")
                until(lambda: len(pressed(child)) == before + len("secret"))
    assert [line["key"] for line in lines(spool, "key") if line["down"]][before:] == [*"••••••"]


def test_a_password_that_was_typed_while_the_recorder_had_no_time_to_look_is_hidden(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    full = replace(SHARP, input="full")
    with display() as shown, terminal(shown, "shell"), recorded(shown, spool, settings=full) as child:
        told_openly(child, lambda: shown.run("xdotool", "type", "ls"), "ls")
        before = len(pressed(child))
        child.process.send_signal(signal.SIGSTOP)
        with locker(shown, focus=True):
            shown.run("xdotool", "type", "secret")
            time.sleep(1.5)
        child.process.send_signal(signal.SIGCONT)
        until(lambda: len(pressed(child)) == before + len("secret"))
    assert [line["key"] for line in lines(spool, "key") if line["down"]][before:] == [*"••••••"]


@pytest.mark.parametrize(
    ("window_class", "secret"),
    [
        ("Pinentry-gtk-2", True),
        ("Xfce4-screensaver", True),
        ("mate-screensaver", True),
        ("XScreenSaver", True),
        ("light-locker", True),
        ("kscreenlocker_greet", True),
        ("XTerm", False),
        ("XClock", False),
    ],
)
def test_windows_that_ask_for_a_secret_are_known_by_their_class(window_class: str, secret: bool) -> None:
    assert asks_for_secret("untitled", window_class) is secret
