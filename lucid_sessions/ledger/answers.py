"""Asking somebody outside by HTTP: one answer, of bounded size, within a bounded time."""

import time
import urllib.request
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError
from urllib.parse import urlsplit

from lucid_sessions.errors import Refused, Retryable

ANSWER_WITHIN = 10.0
# Proofs are small; more than this is something else.
MOST_BYTES = 256 * 1024


class _Here(urllib.request.HTTPRedirectHandler):
    """Whoever was named is asked, and nobody else that they may name."""

    def redirect_request(self, *_: object) -> None:
        return None


_asker = urllib.request.build_opener(_Here)


def post(url: str, content: bytes, *, kind: str, who: str) -> tuple[int, bytes]:
    """The status and the content of the answer. `who` is named, with the address, by what is raised.

    Refused: no http or https address. Retryable: no answer, or none that ends within bounds.
    """
    if _split(url)[0] not in ("http", "https"):
        raise Refused(f"{who} has no http or https address: {public_part(url)}")
    asked = urllib.request.Request(url, data=content, headers={"Content-Type": kind})  # noqa: S310  checked
    try:
        with _asker.open(asked, timeout=ANSWER_WITHIN) as answer:  # nosec B310
            return answer.status, _bounded(answer)
    except HTTPError as error:
        with error:
            return error.code, _short(error)
    except (OSError, HTTPException, ValueError) as error:
        raise Retryable(f"{who} at {public_part(url)} failed: {error}.") from error


def public_part(url: str) -> str:
    """The address without what may be a secret in it: paths of providers hold keys."""
    scheme, place = _split(url)
    return f"{scheme}://{place}/" if place else url


def _split(url: str) -> tuple[str, str]:
    """Scheme, and host with port; empty where there is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc.rpartition("@")[2]


def _short(error: HTTPError) -> bytes:
    """What a refusal says, as far as it comes."""
    try:
        return error.read(1024)
    except (OSError, HTTPException, ValueError):
        return b""


def _bounded(answer: HTTPResponse) -> bytes:
    """The whole answer; ValueError for one that is too long, or comes too slowly."""
    content, until = b"", time.monotonic() + ANSWER_WITHIN
    while part := answer.read1(MOST_BYTES):
        content += part
        if len(content) > MOST_BYTES:
            raise ValueError(f"it sent more than {MOST_BYTES} bytes")
        if time.monotonic() > until:
            raise ValueError(f"it did not finish within {ANSWER_WITHIN:.0f} s")
    return content
