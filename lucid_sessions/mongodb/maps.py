"""Maps are none of our business: their libraries are not looked for.

The backend tries three times to import GeoDjango, and each time twelve names of GDAL are looked for with
ldconfig, the compiler and the linker: more than a second of every command's start where a compiler is
installed.
"""

import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_maps() -> Iterator[None]:
    """Whoever is imported in here finds no library of the system, and at once."""
    search = ctypes.util.find_library
    ctypes.util.find_library = _nothing
    try:
        yield
    finally:
        ctypes.util.find_library = search


def _nothing(name: str) -> str | None:
    del name
    return None
