"""What a web server hands over, as Django understands it: bodies have a length, no header names a codec."""

import re
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from django.conf import settings

from .turns import Wsgi

# Whatever has another method is answered without its body.
WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*"?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?\s*(;|$)', re.IGNORECASE)


class Incoming:
    """A WSGI application before which bodies of unsaid length are read. Nobody else waits for their senders.

    HTTP/1.1 sends them in chunks, HTTP/2 just so; Django takes what has no length for empty.
    """

    def __init__(self, application: Wsgi) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer of the application."""
        kind = environ.get("CONTENT_TYPE") or ""
        if ";" in kind:
            environ["CONTENT_TYPE"] = _plain(kind)
        if not environ.get("CONTENT_LENGTH") and environ["REQUEST_METHOD"].upper() in WITH_BODY:
            body = _read(environ["wsgi.input"], most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
        return self.application(environ, start_response)


def _read(stream: Any, *, most: int) -> bytes:
    """The body; of one with more than `most` bytes one byte more, which is enough to refuse it."""
    body = bytearray()
    while len(body) <= most and (piece := stream.read(most + 1 - len(body))):
        body += piece
    return bytes(body)


def _plain(kind: str) -> str:
    """The media type, and of its parameters the boundary of a form's parts.

    JSON and forms are UTF-8, whatever their charset says. Django would decode even the query by it, and fails
    where that is none of texts (zlib, hex).
    """
    found = _BOUNDARY.search(kind)
    media = kind.partition(";")[0].strip()
    return f"{media}; boundary={found[1]}" if found else media
