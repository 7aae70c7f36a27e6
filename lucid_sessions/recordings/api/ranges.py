"""Byte ranges of RFC 9110, one range a request: what of the bytes is wanted."""

import re

_SINGLE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


class Unsatisfiable(Exception):
    """No byte of the range exists."""


def wanted(header: str | None, *, length: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None when the whole is the answer.

    A header that is no single byte range is ignored, as the standard has it. Unsatisfiable: answer 416.
    """
    found = _SINGLE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        # The last so many bytes.
        begin, end = max(0, length - int(last)), length
    else:
        begin, end = int(first), min(int(last) + 1, length) if last else length
        if last and int(last) < begin:
            return None
    if begin >= end:
        raise Unsatisfiable
    return begin, end
