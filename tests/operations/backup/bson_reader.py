"""BSON read by its specification (bsonspec.org, version 1.1) and nothing of ours or of MongoDB's drivers."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def documents(content: bytes) -> Iterator[dict[str, Any]]:
    """Every document of a dump's file, which holds one after the other."""
    place = 0
    while place < len(content):
        document, place = _document(content, place)
        yield document


def _document(content: bytes, place: int) -> tuple[dict[str, Any], int]:
    (length,) = struct.unpack_from("<i", content, place)
    end, found = place + length, {}
    place += 4
    while (kind := content[place]) != 0:
        stop = content.index(0, place + 1)
        name = content[place + 1 : stop].decode()
        found[name], place = _value(kind, content, stop + 1)
    assert place + 1 == end, "a document is as long as it says"
    return found, end


def _value(kind: int, content: bytes, place: int) -> tuple[Any, int]:
    if kind == 0x02:  # UTF-8, its length with the closing zero before it
        (length,) = struct.unpack_from("<i", content, place)
        assert content[place + 3 + length] == 0
        return content[place + 4 : place + 3 + length].decode(), place + 4 + length
    if kind in (0x03, 0x04):
        found, end = _document(content, place)
        return (list(found.values()) if kind == 0x04 else found), end
    if kind == 0x05:
        (length,) = struct.unpack_from("<i", content, place)
        return content[place + 5 : place + 5 + length], place + 5 + length
    if kind == 0x07:
        return content[place : place + 12], place + 12
    if kind == 0x09:
        (milliseconds,) = struct.unpack_from("<q", content, place)
        return EPOCH + timedelta(milliseconds=milliseconds), place + 8
    if kind == 0x0A:
        return None, place
    layout = {0x01: "<d", 0x08: "<?", 0x10: "<i", 0x12: "<q"}[kind]
    return struct.unpack_from(layout, content, place)[0], place + struct.calcsize(layout)
