"""A desktop that is drawn: windows, somebody typing, a clock on the session's timeline, a frame counter.

What it shows is a function of time and frame alone, so a new take goes on where the last one was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorder.sources.canvas import Box, Canvas, Colour, Ink, Line, letters_in, line_height

if TYPE_CHECKING:
    from recorder.screen import Picture

INK, PAPER, GREEN, NIGHT = (32, 38, 46), (246, 247, 249), (134, 239, 172), (17, 22, 30)
BAR, TITLE, WHITE, ACCENT = (24, 34, 48), (62, 84, 110), (240, 244, 248), (37, 99, 235)
LETTERS_A_SECOND = 14
SCRIPT = """\
$ ssh db-7.example.net
Last login: Mon from 192.0.2.14
$ systemctl status postgresql
  active (running) since 06:12:40
$ df -h /var/lib/postgresql
  Size 400G  Used 212G  Avail 168G  56%
$ sudo -u postgres pg_dump -Fc app > app.dump
$ sha256sum app.dump
  9f2c61d0 ... app.dump
$ scp app.dump backup.example.net:/srv/dumps/
  app.dump   100%  2.1GB  84.2MB/s  00:25
$ psql -c 'vacuum (analyze) sessions'
  VACUUM
$ journalctl -u app --since -5min | tail
  request handled in 12 ms
  request handled in 9 ms
$ exit
"""


def clock_text(at_us: int) -> str:
    """A time on the session's timeline, as HH:MM:SS.t."""
    tenths = at_us // 100_000
    seconds, tenth = divmod(tenths, 10)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{tenth}"


class Desktop:
    """Draws itself; only what changed since the last picture is touched."""

    def __init__(self, width: int, height: int) -> None:
        self.canvas = Canvas(width, height)
        self._small = max(1, height // 360)
        self.canvas.shade((30, 58, 95), (15, 118, 110))
        self._top_bar(width, height)
        self._terminal = Terminal(
            self._window((0.03, 0.12, 0.53, 0.80), title="Terminal - db-7", paper=NIGHT), self
        )
        self._panel(self._window((0.59, 0.12, 0.38, 0.36), title="Session time", paper=PAPER))
        self._meter(self._window((0.59, 0.56, 0.38, 0.36), title="Activity", paper=PAPER))

    def draw(self, at_us: int, *, frame: int) -> Picture:
        """The desktop at a time on the timeline; the array is drawn on again by the next call."""
        self._clock.show(clock_text(at_us))
        self._counter.show(f"frame {frame:06}")
        self._terminal.show(at_us)
        self._move(at_us)
        return self.canvas.pixels

    def line(self, left: int, top: int, *, width: int, ink: Ink) -> Line:
        """A line of text as wide as this many pixels allow."""
        return Line(self.canvas, left, top=top, letters=letters_in(width, ink.scale), ink=ink)

    def ink(self, colour: Colour, paper: Colour, *, scale: int = 0) -> Ink:
        """Text of the desktop's usual size, or of another."""
        return Ink(colour, paper, scale or self._small)

    def _top_bar(self, width: int, height: int) -> None:
        bar = Box(0, 0, width, max(line_height(self._small) + 4, height // 18))
        self.canvas.fill(bar, BAR)
        left, top = 6 * self._small, (bar.height - line_height(self._small)) // 2
        line = self.line(left, max(0, top), width=width - 2 * left, ink=self.ink(WHITE, BAR))
        line.show(f"Lucid Sessions - synthetic desktop {width} x {height}")

    def _window(self, place: tuple[float, float, float, float], *, title: str, paper: Colour) -> Box:
        """A window at left, top, width, height (parts of the whole); what lies inside its frame."""
        left, top, width, height = place
        wide, high = self.canvas.width, self.canvas.height
        frame = Box(int(left * wide), int(top * high), int(width * wide), int(height * high))
        bar = line_height(self._small) + 4 * self._small
        self.canvas.fill(frame, TITLE)
        line = self.line(
            frame.left + 4 * self._small,
            frame.top + 2 * self._small,
            width=frame.width - 8 * self._small,
            ink=self.ink(WHITE, TITLE),
        )
        line.show(title)
        inside = Box(frame.left + 1, frame.top + bar, frame.width - 2, frame.height - bar - 1)
        self.canvas.fill(inside, paper)
        return inside

    def _panel(self, inside: Box) -> None:
        scale = max(1, inside.width // 62)
        left = inside.left + (inside.width - 60 * scale) // 2
        self._clock = self.line(
            left, inside.top + inside.height // 6, width=60 * scale, ink=self.ink(INK, PAPER, scale=scale)
        )
        half = max(1, scale // 2)
        self._counter = self.line(
            left,
            inside.top + inside.height // 6 + line_height(scale) + 4 * half,
            width=72 * half,
            ink=self.ink(ACCENT, PAPER, scale=half),
        )

    def _meter(self, inside: Box) -> None:
        self._track, self._bar = inside, Box(inside.left, inside.top, 0, 0)

    def _move(self, at_us: int) -> None:
        """A block that crosses its window in four seconds, in steps of a tenth of a second."""
        side = max(2, self._track.height // 4)
        room = max(1, self._track.width - side)
        left = self._track.left + room * (at_us // 100_000 % 40) // 40
        bar = Box(left, self._track.top + (self._track.height - side) // 2, side, side)
        if bar != self._bar:
            self.canvas.fill(self._bar, PAPER)
            self.canvas.fill(bar, ACCENT)
            self._bar = bar


class Terminal:
    """Somebody types a script, over and over; the last lines are in view."""

    def __init__(self, inside: Box, desktop: Desktop) -> None:
        ink = desktop.ink(GREEN, NIGHT)
        step, margin = line_height(ink.scale), 3 * ink.scale
        rows = max(1, (inside.height - margin) // step)
        tops = (inside.top + margin + row * step for row in range(rows))
        left, width = inside.left + margin, inside.width - 2 * margin
        self._rows = [desktop.line(left, top, width=width, ink=ink) for top in tops]
        self._script = SCRIPT.splitlines()
        self._typed_after = [0]
        for text in self._script:
            self._typed_after.append(self._typed_after[-1] + len(text) + 1)

    def show(self, at_us: int) -> None:
        """Bring the window to a time on the timeline."""
        rounds, typed = divmod(at_us * LETTERS_A_SECOND // 1_000_000, self._typed_after[-1])
        current = next(i for i, after in enumerate(self._typed_after[1:]) if typed < after)
        tail = self._script[current][: typed - self._typed_after[current]] + "_"
        lines = [*(self._script if rounds else []), *self._script[:current], tail]
        for row, text in zip(self._rows, lines[-len(self._rows) :], strict=False):
            row.show(text)
