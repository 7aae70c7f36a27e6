"""What the pages write down of looks and deeds, and where the policy asks why."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from lucid_sessions.access import audit, reasons
from lucid_sessions.access.visible import VISIBLE
from lucid_sessions.errors import LucidError
from lucid_sessions.recordings.api.problems import Problem
from lucid_sessions.recordings.api.witnessed import outcome_of

UNKEPT = ("reason", "csrfmiddlewaretoken")


def note(
    request: HttpRequest, deed: str, *, outcome: str = audit.DONE, session: str = "", **more: Any
) -> None:
    """Write the event of this request: of the same look once a minute, of all else each time.

    `more`: item, facts.
    """
    request._lucid_witnessed = True  # type: ignore[attr-defined]
    actor, about = audit.actor_of(request), {"session": session, "why": said(request), **more}
    if request.method == "POST":
        audit.record(deed, actor=actor, outcome=outcome, **about)
        return
    # A session's page and its timeline are one look; a list is what it was narrowed to.
    narrowed = "" if session else request.META.get("QUERY_STRING", "")
    audit.look(deed, actor=actor, seen=more.get("item", narrowed), outcome=outcome, **about)


@contextmanager
def told(request: HttpRequest, deed: str, *, session: str, **more: Any) -> Iterator[dict[str, Any]]:
    """Inside, a deed is done: its event is written at the end. What is refused is a message on the next page.

    What is put into the dictionary stands in the event.
    """
    outcome = audit.DONE
    try:
        yield more
    except Problem as error:
        messages.error(request, str(error))
        outcome = outcome_of(error.status_code)
    except LucidError as error:
        messages.error(request, str(error))
        outcome = audit.outcome_of(error)
    note(request, deed, outcome=outcome, session=session, **more)


def said(request: HttpRequest) -> str:
    """Why, as the form says it, or the address (`?reason=`); nothing where nothing of it can be seen."""
    given = str(request.POST.get("reason") or request.GET.get("reason") or "").strip()
    return given if VISIBLE.fullmatch(given) else ""


def is_unexplained(request: HttpRequest, deed: str, *, session: str = "", item: str = "") -> bool:
    """True where the policy asks why and this user has not said so; that it was refused is written down."""
    if not reasons.is_missing(deed, user=request.user, session=session, given=said(request)):
        return False
    note(request, deed, outcome=audit.REFUSED, session=session, **({"item": item} if item else {}))
    return True


def question(request: HttpRequest, *, session: str = "") -> HttpResponse:
    """The page that asks why: of a look at a session once for hours, else together with what was asked."""
    sent, method = (request.POST, "post") if request.method == "POST" else (request.GET, "get")
    kept = [(name, one) for name, given in sent.lists() for one in given if name not in UNKEPT]
    context: dict[str, Any] = {"method": method, "action": request.path, "kept": kept}
    if method == "get" and session:
        context = {"method": "post", "action": reverse("console:reason", args=[session])}
    return render(request, "console/why.html", context, status=400)
