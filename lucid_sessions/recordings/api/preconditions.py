"""ETags: a change is made only to what its author has seen, and nobody is sent again what he has."""

import re
from collections.abc import Callable
from typing import Protocol

from django.http import HttpResponse
from django.utils.http import parse_etags
from rest_framework.request import Request

from .problems import CHANGED, Problem

# A version, and behind it how something stands that nobody changed.
_STATE = re.compile(r'"([0-9]+)\.[0-9.]+"')


class Versioned(Protocol):
    """A row whose version each change raises."""

    version: int


def tag_of(row: Versioned) -> dict[str, str]:
    """The header that names this state of the row."""
    return {"ETag": f'"{row.version}"'}


def require_match(request: Request, row: Versioned) -> None:
    """412 when the caller has seen another version than this; nothing asked, nothing required."""
    what = f'"{row}" is at version {row.version}'
    _require(request, f'"{row.version}"', what=what, seen=lambda tag: _STATE.sub(r'"\1"', tag))


def is_known(request: Request, version: int) -> bool:
    """True when the caller has this state already (If-None-Match): 304 says so."""
    return has(request, f'"{version}"')


def has(request: Request, tag: str) -> bool:
    """True when the caller has already what this ETag names: weak and strong ones are alike here."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return known == ["*"] or tag in [one.removeprefix("W/") for one in known]


def nothing_new(request: Request, headers: dict[str, str]) -> HttpResponse | None:
    """304 for who has already what the `ETag` among the headers names; 412 for who wants something else."""
    tag = headers["ETag"]
    _require(request, tag, what=f"This is {tag}")
    return unchanged(headers) if has(request, tag) else None


def unchanged(headers: dict[str, str]) -> HttpResponse:
    """The 304. It names no type: a cache would take that over for what it has (RFC 9111, 4.3.4)."""
    answer = HttpResponse(status=304, headers=headers)
    del answer["Content-Type"]
    return answer


def _require(request: Request, tag: str, *, what: str, seen: Callable[[str], str] = str) -> None:
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    tags = parse_etags(wanted)
    if not tags:
        raise Problem(
            CHANGED, f"{what}, but If-Match: {wanted} is no ETag. They are in quotes: send them too."
        )
    if tags == ["*"] or tag in map(seen, tags):
        return
    if tag in (seen(one.removeprefix("W/")) for one in tags):
        raise Problem(
            CHANGED,
            f"{what}, but If-Match: {wanted} is weak: a proxy on the way, which compresses, has made it so. "
            "Send it without W/.",
        )
    raise Problem(CHANGED, f"{what}, not {wanted}: another changed it meanwhile. Read it again.")
