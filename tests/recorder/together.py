"""How far apart picture and sound are in a file: flashes and beeps that were made together."""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def came_on(path: Path) -> tuple[list[float], list[float]]:
    """Each time at which the picture's middle became bright, and the sound loud, in seconds."""
    with av.open(str(path)) as container:
        lit = [(float(f.time or 0), _is_lit(f.to_ndarray(format="gray"))) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        heard = [
            (float(f.time or 0), f.sample_rate, np.abs(f.to_ndarray()).max(axis=0))
            for f in container.decode(audio=0)
        ]
    loud = [at + int(n) / rate for at, rate, samples in heard for n in np.flatnonzero(samples > 0.2)]
    flashes = [at for (_, before), (at, now) in pairwise([(0.0, False), *lit]) if now and not before]
    return flashes, [at for before, at in pairwise([-9.0, *loud]) if at - before > 0.6]


def _is_lit(picture: NDArray[np.uint8]) -> bool:
    height, width = picture.shape
    return bool(picture[height * 2 // 5 : height * 3 // 5, width * 2 // 5 : width * 3 // 5].mean() > 100)


def apart(path: Path) -> list[float]:
    """The seconds between flashes and their beeps; a busy machine may be late with either, and miss a few."""
    flashes, beeps = came_on(path)
    nearest = [min((abs(loud - bright) for loud in beeps), default=9.0) for bright in flashes]
    together = [seconds for seconds in nearest if seconds < 0.5]
    assert len(together) > max(len(flashes), len(beeps)) / 2, (flashes, beeps)
    return together
