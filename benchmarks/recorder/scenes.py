"""Desktops on an X server of their own: still, with a clock, typed at, scrolling, all in motion."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xcffib
import xcffib.xproto

SIZE = 1920, 1080
TEXT = "The migration of table orders has finished; 4711 rows were moved. "
# A burst of keys, then a look at what was written.
TYPING = f"while :; do xdotool type --delay 110 '{TEXT[:24]}'; sleep 1.4; xdotool key Return; sleep 0.6; done"
SCROLLING = 'i=0; while :; do for n in 1 2 3; do i=$((i+1)); echo "$i {text}"; done; sleep 0.1; done'
CLOCK = 'while :; do printf "\\r%s" "$(date +%T)"; sleep 1; done'
STILL = "cat /etc/services | head -60; exec sleep 1000"


@dataclass
class Desktop:
    """A running X server and the programs of its scene."""

    name: str
    server: subprocess.Popen[bytes]
    size: tuple[int, int] = SIZE
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    holder: subprocess.Popen[bytes] | None = None  # a program that stops where it is told to (`motion`)

    def start(self, *argv: str) -> None:
        """Another program on it."""
        self.programs.append(
            subprocess.Popen(
                argv,
                env={**os.environ, "DISPLAY": self.name},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def terminal(self, place: str, command: str) -> None:
        """An xterm that runs a shell command."""
        self.start(
            "xterm", "-fa", "DejaVu Sans Mono", "-fs", "11", "-geometry", place, "-e", "sh", "-c", command
        )

    def hold(self) -> None:
        """From now on it shows the same; `SIGCONT` goes on."""
        if self.holder is None:
            self.signal(signal.SIGSTOP)
            return
        self.holder.send_signal(signal.SIGUSR1)
        _, status = os.waitpid(self.holder.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            raise RuntimeError("what moves the screen has ended")

    def signal(self, number: signal.Signals) -> None:
        """Tell all programs: SIGSTOP holds the picture, SIGCONT goes on."""
        for program in self.programs:
            os.killpg(program.pid, number)

    def picture(self) -> "np.ndarray[Any, Any]":
        """What it shows: red, green, blue."""
        dial: Any = xcffib.Connection
        x = dial(display=self.name)
        root = x.get_setup().roots[0].root
        z_pixmap = xcffib.xproto.ImageFormat.ZPixmap
        rows = [
            bytes(x.core.GetImage(z_pixmap, root, 0, top, self.size[0], 60, 0xFFFFFFFF).reply().data)
            for top in range(0, self.size[1], 60)
        ]
        x.disconnect()
        pixels = np.frombuffer(b"".join(rows), np.uint8).reshape(self.size[1], self.size[0], 4)
        return pixels[..., 2::-1]


def brightness(pixels: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Brightness of red, green, blue."""
    found: np.ndarray[Any, Any] = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    return found


@contextmanager
def desktop(
    scene: str, *, size: tuple[int, int] = SIZE, rate: int = 30, settle: float = 1.5
) -> Iterator[Desktop]:
    """A desktop that shows a scene, after some seconds in which its programs start; gone at the end."""
    with ExitStack() as stack:
        shown = stack.enter_context(_server(size))
        SCENES[scene](shown, rate)
        time.sleep(settle)
        yield shown


@contextmanager
def _server(size: tuple[int, int]) -> Iterator[Desktop]:
    reading, writing = os.pipe()
    argv = ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp", "-noreset"]
    argv += ["-screen", "0", f"{size[0]}x{size[1]}x24"]
    server = subprocess.Popen(argv, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    shown = None
    try:
        with os.fdopen(reading) as answer:
            ready, _, _ = select.select([answer], [], [], 30)
            shown = Desktop(f":{answer.readline().strip()}" if ready else "", server, size)
        yield shown
    finally:
        for program in shown.programs if shown else []:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        server.kill()
        server.wait()


def _still(shown: Desktop, _rate: int) -> None:
    half = shown.size[0] // 2
    shown.terminal("90x50+0+0", STILL)
    shown.terminal(f"90x50+{half}+0", STILL)


def _clock(shown: Desktop, rate: int) -> None:
    _still(shown, rate)
    shown.terminal("12x1+20-10", CLOCK)


def _typing(shown: Desktop, rate: int) -> None:
    _clock(shown, rate)
    # Without a window manager keys go to where the pointer is.
    shown.terminal("80x20+200+150", "cat > /dev/null")
    shown.start("sh", "-c", f"sleep 1; xdotool mousemove 400 300; {TYPING}")


def _scrolling(shown: Desktop, _rate: int) -> None:
    shown.terminal("210x62+0+0", SCROLLING.format(text=TEXT * 2))


def _motion(shown: Desktop, rate: int) -> None:
    width, height = map(str, shown.size)
    shown.start(sys.executable, "-m", "benchmarks.recorder.motion", shown.name, width, height, str(rate))
    shown.holder = shown.programs[-1]
    time.sleep(2)


SCENES = {
    "wholly idle": _still,
    "idle, a clock ticks": _clock,
    "office typing": _typing,
    "scrolling": _scrolling,
    "full motion": _motion,
}
