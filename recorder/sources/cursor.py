"""The pointer of an X display: the server leaves it out of the picture, so it is drawn in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xcffib.xfixes

from recorder.planes import NO_ROWS, Rows

if TYPE_CHECKING:
    from recorder.screen import Picture


# Seconds between looks at where it is, since it moves without damage: while it moves, and at rest.
MOVING_EVERY, RESTING_EVERY, MOVES_FOR = 0.05, 0.2, 1.0


class Cursor:
    """Knows shape and place of the pointer."""

    def __init__(self, x: Any, fixes: Any, *, root: int) -> None:
        self._x, self._fixes, self._root = x, fixes, root
        fixes.SelectCursorInput(root, xcffib.xfixes.CursorNotifyMask.DisplayCursor)
        self._place = (-1, -1)
        self._changed = True
        self._look_at = self._moved_at = 0.0
        self._under: tuple[slice, slice, Picture] | None = None
        self._shape()

    def reshape(self) -> None:
        """The server says that the pointer looks different now."""
        self._shape()
        self._changed, self._look_at = True, 0.0

    def due_in(self, now: float) -> float:
        """Seconds until it is looked at again."""
        return max(0.0, self._look_at - now)

    def has_moved(self, now: float) -> bool:
        """Whether place or shape changed since the last look; False until another is due."""
        if now < self._look_at:
            return False
        pointer = self._x.core.QueryPointer(self._root).reply()
        place = (pointer.root_x, pointer.root_y)
        changed, self._changed = self._changed or place != self._place, False
        self._place = place
        self._moved_at = now if changed else self._moved_at
        self._look_at = now + (RESTING_EVERY if now - self._moved_at > MOVES_FOR else MOVING_EVERY)
        return changed

    @property
    def rows(self) -> Rows:
        """Those that it covers now."""
        return (self._under[0].start, self._under[0].stop) if self._under else NO_ROWS

    def lift(self, picture: Picture) -> Rows:
        """Put back what was under the pointer; the rows that it covered."""
        if self._under is None:
            return NO_ROWS
        (rows, columns, pixels), self._under = self._under, None
        picture[rows, columns, :3] = pixels
        return rows.start, rows.stop

    def forget(self) -> None:
        """It was drawn on a picture that is gone."""
        self._under = None

    def draw(self, picture: Picture, *, origin: tuple[int, int] = (0, 0)) -> Rows:
        """Blend the pointer into a picture whose upper left corner is at `origin` of the screen; the rows."""
        left = self._place[0] - self._hot[0] - origin[0]
        top = self._place[1] - self._hot[1] - origin[1]
        height, width = self._pixels.shape[:2]
        rows = slice(max(0, top), max(0, min(picture.shape[0], top + height)))
        columns = slice(max(0, left), max(0, min(picture.shape[1], left + width)))
        under = picture[rows, columns, :3]
        if not under.size:
            return NO_ROWS
        self._under = rows, columns, under.copy()
        part = self._pixels[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ].astype(np.uint16)
        # The server's pixels are premultiplied by their opacity.
        blended = part[..., :3] + under.astype(np.uint16) * (255 - part[..., 3:]) // 255
        under[:] = blended.clip(0, 255)
        return rows.start, rows.stop

    def _shape(self) -> None:
        image = self._fixes.GetCursorImage().reply()
        pixels = np.array(image.cursor_image, dtype=np.uint32)
        self._pixels = pixels.view(np.uint8).reshape(image.height, image.width, 4)
        self._hot = (image.xhot, image.yhot)
