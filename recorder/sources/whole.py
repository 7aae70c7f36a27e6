"""Whether a file has all its bytes: one that was cut off ends before its outermost elements say."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

MEDIA_BOXES = (b"moov", b"moof", b"mdat")  # behind them some cameras leave what is no box
EBML_HEAD, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def lacks_bytes(path: Path) -> bool:
    """Whether an mp4 or a Matroska file says of itself that it is longer than it is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        is_matroska = file.read(4) == EBML_HEAD
        file.seek(0)
        return (_segment_end(file) if is_matroska else _media_end(file, size)) > size


def _media_end(file: BufferedReader, size: int) -> int:
    """Where the last box of an mp4 that matters ends (ISO/IEC 14496-12, 4.2)."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length < 8:  # 0: it lasts to the end of the file, however long that is
            return 0
        place += length
        if place > size and head[4:8] in MEDIA_BOXES:
            return place
    return 0


def _segment_end(file: BufferedReader) -> int:
    """Where the segment of a Matroska file ends (RFC 8794, 5 and 6); 0 where it does not say (live)."""
    file.seek(_vint(file, skip=4) or 0, 1)
    if file.read(4) != SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BufferedReader, *, skip: int = 0) -> int | None:
    """The size of an element, behind its identifier; None when it is not known."""
    file.seek(skip, 1)
    first = int.from_bytes(file.read(1))
    more = 8 - first.bit_length()
    digits = 7 * (more + 1)
    value = int.from_bytes(bytes([first]) + file.read(more)) & ((1 << digits) - 1)
    return None if value == (1 << digits) - 1 else value
