"""ETag and If-Match: a change is made only to what its author has seen."""

from typing import Protocol

from rest_framework.request import Request

from .problems import CHANGED, Problem


class Versioned(Protocol):
    """A row whose version each change raises."""

    version: int


def tag_of(row: Versioned) -> dict[str, str]:
    """The header that names this state of the row."""
    return {"ETag": f'"{row.version}"'}


def require_match(request: Request, row: Versioned) -> None:
    """412 when the caller has seen another state than this; nothing asked, nothing required."""
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*":
        return
    if f'"{row.version}"' not in [one.strip() for one in wanted.split(",")]:
        raise Problem(
            CHANGED,
            f'"{row}" is at version {row.version}, not {wanted}: '
            "another changed it meanwhile. Read it again.",
        )


def is_known(request: Request, version: int) -> bool:
    """True when the caller has this state already (If-None-Match): 304 says so."""
    known = request.headers.get("If-None-Match", "")
    return f'"{version}"' in [one.strip().removeprefix("W/") for one in known.split(",")]
