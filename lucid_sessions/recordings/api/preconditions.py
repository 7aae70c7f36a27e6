"""ETag and If-Match: a change is made only to what its author has seen."""

from rest_framework.request import Request

from ..models import Session
from .problems import CHANGED, Problem


def tag_of(session: Session) -> dict[str, str]:
    """The header that names this state of the session."""
    return {"ETag": f'"{session.version}"'}


def require_match(request: Request, session: Session) -> None:
    """412 when the caller has seen another state than this; nothing asked, nothing required."""
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*":
        return
    if f'"{session.version}"' not in [one.strip() for one in wanted.split(",")]:
        raise Problem(
            CHANGED,
            f'Session "{session.name}" is at version {session.version}, not {wanted}: '
            "another changed it meanwhile. Read it again.",
        )


def is_known(request: Request, version: int) -> bool:
    """True when the caller has this state already (If-None-Match): 304 says so."""
    known = request.headers.get("If-None-Match", "")
    return f'"{version}"' in [one.strip().removeprefix("W/") for one in known.split(",")]
