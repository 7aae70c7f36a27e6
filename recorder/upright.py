"""Pictures as they are to be seen: a phone films in landscape and writes down how the picture is turned."""

from __future__ import annotations

from typing import Any

import av
import numpy as np


def upright(frame: av.VideoFrame, *, pixels: str) -> Any:
    """A decoded frame as an array of such pixels, turned (by quarters) as its stream says."""
    # The library counts degrees against the clock, as numpy counts quarters.
    return np.rot90(frame.to_ndarray(format=pixels), round(frame.rotation / 90))
