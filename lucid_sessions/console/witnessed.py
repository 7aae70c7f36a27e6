"""What the pages write down of looks and deeds, and where the policy asks why."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from lucid_sessions.access import audit, reasons


def note(request: HttpRequest, deed: str, *, outcome: str = audit.DONE, session: str = "") -> None:
    """Write the event of this request: of the same look once a minute, of all else each time."""
    actor, why = audit.actor_of(request), said(request)
    if request.method == "POST":
        audit.record(deed, actor=actor, outcome=outcome, session=session, why=why)
        return
    # A session's page and its timeline are one look; a list is what it was narrowed to.
    narrowed = "" if session else request.META.get("QUERY_STRING", "")
    audit.look(deed, actor=actor, seen=narrowed, outcome=outcome, session=session, why=why)


def said(request: HttpRequest) -> str:
    """Why, as the form says it, or the address (`?reason=`)."""
    return str(request.POST.get("reason") or request.GET.get("reason") or "").strip()


def is_unexplained(request: HttpRequest, deed: str, *, session: str = "") -> bool:
    """True where the policy asks why and this user has not said so; that it was refused is written down."""
    if not reasons.is_missing(deed, user=request.user, session=session, given=said(request)):
        return False
    note(request, deed, outcome=audit.REFUSED, session=session)
    return True


def question(request: HttpRequest, *, session: str = "") -> HttpResponse:
    """The page that asks why: of a look at a session once for hours, else together with what was asked."""
    context: dict[str, Any] = {"method": "post", "action": request.path}
    if request.method != "POST":
        kept = [one for one in request.GET.items() if one[0] != "reason"]
        context |= {"method": "get", "kept": kept}
        if session:
            context = {"method": "post", "action": reverse("console:reason", args=[session])}
    return render(request, "console/why.html", context, status=400)
