"""Byte ranges of RFC 9110, one range a request: what of the bytes is wanted."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.http import HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request

from .preconditions import nothing_new
from .problems import MEDIA_TYPE, NO_SUCH_RANGE, document

# Decrypted recordings stay out of every cache on the way and on disk.
UNCACHED = "private, no-store"
# How much of a file is in memory for one that receives it.
PIECE = 256 * 1024

_SINGLE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.IGNORECASE)


class Whatever(DefaultContentNegotiation):
    """Answers are media and problems are JSON, whatever a player says that it accepts."""

    def select_renderer(self, _request: Request, renderers: Any, _format_suffix: str | None = None) -> Any:
        """The JSON renderer: it is only ever used for problem documents."""
        return renderers[0], renderers[0].media_type


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


def asked(request: Request, *, tag: str) -> str | None:
    """The Range header; None when If-Range wants a part only of other bytes, and for HEAD."""
    if request.method != "GET" or request.headers.get("If-Range", tag) != tag:
        return None
    return request.headers.get("Range")


def unsatisfiable(
    request: Request, header: str | None, *, length: int, headers: Mapping[str, str]
) -> JsonResponse:
    """The 416 of RFC 9110."""
    body = document(request._request, NO_SUCH_RANGE, f"There are {length} bytes; none of {header}.")
    more = {name: value for name, value in headers.items() if name != "Content-Disposition"}
    more["Content-Range"] = f"bytes */{length}"
    return JsonResponse(body, status=416, headers=more, content_type=MEDIA_TYPE)


def answer(request: Request, media: bytes, *, tag: str, content_type: str) -> HttpResponseBase:
    """The media, or the one range of it that was asked for; 304 when they are known, 412 when unwanted."""
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": UNCACHED}
    if known := nothing_new(request, headers):
        return known
    header = asked(request, tag=tag)
    try:
        part = wanted(header, length=len(media))
    except Unsatisfiable:
        return unsatisfiable(request, header, length=len(media), headers=headers)
    begin, end = part or (0, len(media))
    status = 206 if part else 200
    headers["Content-Length"] = str(end - begin)
    if part:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(media)}"
    if end - begin <= PIECE:
        return HttpResponse(media[begin:end], status=status, content_type=content_type, headers=headers)
    pieces = _pieces(media, begin, end)
    return StreamingHttpResponse(pieces, status=status, content_type=content_type, headers=headers)


def _pieces(media: bytes, begin: int, end: int) -> Iterator[bytes]:
    """All viewers share the one content; what each of them costs is a piece of it on its way."""
    with memoryview(media) as whole:
        for first in range(begin, end, PIECE):
            yield bytes(whole[first : min(end, first + PIECE)])
