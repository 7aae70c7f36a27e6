"""What changed from one picture to the next, by one pixel of eight by eight: letters have about one each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recorder.planes import Rows
    from recorder.screen import Picture

EVERY = 8
COLOURS = 0x00FFFFFF


@dataclass(frozen=True)
class Seen:
    """A picture, what was sampled of it, and which part of that differs from the picture before (1.0: all).

    `sample` stays as it is; `picture` is valid as long as its source says.
    """

    picture: Picture
    sample: NDArray[np.uint32]
    changed: float


class Samples:
    """Looks at each picture of a screen once, for all who want to know what changed."""

    def __init__(self) -> None:
        self._sample: NDArray[np.uint32] | None = None

    def look(self, picture: Picture, rows: Rows | None = None) -> Seen:
        """A picture of which only these rows may differ from the last; None: any may."""
        pixels = picture.view(np.uint32)[::EVERY, ::EVERY, 0]
        before = self._sample
        if before is None or before.shape != pixels.shape:
            self._sample = before = pixels & np.uint32(COLOURS)
            return Seen(picture, before, 1.0)
        first, last = (0, len(pixels)) if rows is None else (-(-rows[0] // EVERY), -(-rows[1] // EVERY))
        fresh = pixels[first:last] & np.uint32(COLOURS)
        differing = int(np.count_nonzero(before[first:last] != fresh))
        share = differing / before.size
        if differing:
            self._sample = before = before.copy()
            before[first:last] = fresh
        return Seen(picture, before, share)
