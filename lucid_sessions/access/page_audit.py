"""What is done in the admin, and what a page refused, is in the audit: looks once a minute, deeds each."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from . import audit, lockout

ADMIN = "/admin/"
MOST_NAMED = 50
LONGEST_NAMED = 60
# Neither looked at nor done by anybody: help for the browser.
UNSEEN = frozenset({"jsi18n", "autocomplete", "view_on_site"})
SIGNS = {"login": "signed-in", "logout": "signed-out"}
# Django takes a form that is put for one that is posted.
FORMS = ("POST", "PUT")
LOOKS = ("GET", "HEAD", "OPTIONS")


class PageAudit:
    """Middleware: an event for each page of the admin, and for each page that a user may not see."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Who asked: after signing out nobody did.
        user = getattr(request, "user", None)
        asked = audit.actor_of(request) if user is not None and user.is_authenticated else None
        response = self.get_response(request)
        match = request.resolver_match
        name = (match.url_name or "page") if match else "page"
        if request.path.startswith(ADMIN):
            if name not in UNSEEN and not (name == "login" and request.method in LOOKS):
                _note(request, response, name=name, actor=asked)
        elif response.status_code == 403 and not request.path.startswith("/api/") and not _is_told(request):
            _write(request, "page.refused", actor=asked, outcome=audit.DENIED)
        return response


def _is_told(request: HttpRequest) -> bool:
    """Whether the audit has the event of this request from whoever answered it."""
    return bool(getattr(request, "_lucid_witnessed", False))


def _note(request: HttpRequest, response: HttpResponse, *, name: str, actor: audit.Actor | None) -> None:
    deed = SIGNS.get(name, f"admin.{name}")
    outcome = _outcome(request, response, known=actor is not None or name == "login")
    facts = _facts(request, name=name) if name == "login" or request.method in FORMS else None
    _write(request, deed, actor=actor, outcome=outcome, facts=facts)


def _facts(request: HttpRequest, *, name: str) -> dict[str, Any]:
    """What was sent: names of fields, never what was in them."""
    if name == "login":
        return {"username": str(request.POST.get("username", ""))[:150]}
    fields = sorted(set(request.POST) - {"csrfmiddlewaretoken", "_selected_action"})
    chosen = request.POST.getlist("_selected_action")
    return {
        "fields": [one[:LONGEST_NAMED] for one in fields[:MOST_NAMED]],
        "chosen": [one[:LONGEST_NAMED] for one in chosen[:MOST_NAMED]],
        "action": request.POST.get("action", "")[:LONGEST_NAMED],
    }


def _outcome(request: HttpRequest, response: HttpResponse, *, known: bool) -> str:
    status = response.status_code
    if status >= 500:
        return audit.FAILED
    if status in (401, 403) or not known:
        return audit.DENIED
    if request.method in FORMS and status == 200 and not request.path.endswith("/logout/"):
        # A form that is shown again, or one that asks whether it is meant.
        is_sign_in = request.path.endswith("/login/")
        return audit.DENIED if is_sign_in else audit.REFUSED
    return audit.DONE if status < 400 else audit.REFUSED


def _write(
    request: HttpRequest, deed: str, *, actor: audit.Actor | None, outcome: str, facts: Any = None
) -> None:
    who = actor or audit.actor_of(request, claimed=(facts or {}).get("username", ""))
    kwargs: dict[str, Any] = request.resolver_match.kwargs if request.resolver_match else {}
    thing = str(kwargs.get("object_id") or kwargs.get("session_id") or "")
    session = thing if deed.startswith("admin.recordings_session_") else str(kwargs.get("session_id", ""))
    what: dict[str, Any] = {"session": session[:36], "item": request.path[:120]}
    if actor is None and outcome == audit.DENIED and deed == SIGNS["login"]:
        lockout.tell_refused(request, username=facts["username"], **what)
    elif actor is None and outcome != audit.DONE:
        # Hundreds of pages lead whoever is not signed in to the same one.
        told: dict[str, Any] = {"outcome": outcome, "facts": facts, **what}
        like = "admin" if request.path.startswith(ADMIN) and outcome == audit.DENIED else ""
        audit.turned_away(deed, actor=who, method=str(request.method), like=like, **told)
    elif request.method in ("GET", "HEAD"):
        audit.look(deed, actor=who, seen=request.path, outcome=outcome, **what)
    else:
        audit.record(deed, actor=who, outcome=outcome, facts=facts, **what)
