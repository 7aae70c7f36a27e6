"""A picture to draw on: rectangles, and lines of text that redraw only the letters that changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recorder.sources.font import CELL_HEIGHT, CELL_WIDTH, letter

if TYPE_CHECKING:
    from recorder.screen import Picture

Colour = tuple[int, int, int]  # red, green, blue


@dataclass(frozen=True)
class Box:
    """A rectangle: left, top, width, height in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Ink:
    """How text looks: its colour, what is behind it, and pixels a dot."""

    colour: Colour
    paper: Colour
    scale: int


class Canvas:
    """Blue, green, red and an unused byte a pixel; whatever is drawn outside is cut off."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.pixels: Picture = np.zeros((height, width, 4), dtype=np.uint8)
        self.pixels[..., 3] = 255
        self._cells: dict[tuple[str, Ink], Picture] = {}

    def shade(self, top: Colour, bottom: Colour) -> None:
        """Fill the whole canvas, from one colour at the top to another at the bottom."""
        mix = np.linspace(0, 1, self.height)[:, None]
        column = (1 - mix) * np.array(top[::-1]) + mix * np.array(bottom[::-1])
        self.pixels[..., :3] = column.astype(np.uint8)[:, None, :]

    def fill(self, box: Box, colour: Colour) -> None:
        """Fill a rectangle."""
        rows = slice(max(0, box.top), max(0, box.top + box.height))
        self.pixels[rows, max(0, box.left) : max(0, box.left + box.width), :3] = colour[::-1]

    def cell(self, character: str, *, left: int, top: int, ink: Ink) -> None:
        """Draw one letter with its paper."""
        picture = self._cells.get((character, ink))
        if picture is None:
            picture = self._cells[character, ink] = _cell(character, ink)
        room = self.pixels[top : top + picture.shape[0], left : left + picture.shape[1]]
        room[:] = picture[: room.shape[0], : room.shape[1]]


class Line:
    """A line of text at a fixed place, cut to its number of letters."""

    def __init__(self, canvas: Canvas, left: int, *, top: int, letters: int, ink: Ink) -> None:
        self._canvas, self._left, self._top, self._ink = canvas, left, top, ink
        self._shown = [""] * max(0, letters)

    def show(self, text: str) -> None:
        """Make the line read this."""
        step = CELL_WIDTH * self._ink.scale
        for place, character in enumerate(text[: len(self._shown)].ljust(len(self._shown))):
            if self._shown[place] != character:
                self._shown[place] = character
                self._canvas.cell(character, left=self._left + place * step, top=self._top, ink=self._ink)


def line_height(scale: int) -> int:
    """Pixels from one line to the next."""
    return CELL_HEIGHT * scale


def letters_in(width: int, scale: int) -> int:
    """How many letters fit into a width."""
    return width // (CELL_WIDTH * scale)


def _cell(character: str, ink: Ink) -> Picture:
    dots = np.kron(letter(character), np.ones((ink.scale, ink.scale), dtype=np.bool_))
    picture: Picture = np.empty((*dots.shape, 4), dtype=np.uint8)
    picture[...] = (*ink.paper[::-1], 255)
    picture[dots] = (*ink.colour[::-1], 255)
    return picture
