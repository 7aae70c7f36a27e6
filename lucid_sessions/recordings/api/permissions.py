"""What a role may do: each action of a view names the permission it needs; one that names none is closed.

Several are named where what is there takes different ones: then one of them opens the door, and no more.
"""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from lucid_sessions.access import api_tokens
from lucid_sessions.access.roles import administers, audits


class Allowed(BasePermission):
    """The user has the permission, or one of those, that `view.needs` names for the action asked for."""

    message = "Your role does not allow this. Ask an administrator for a role that does."

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not (user and user.is_authenticated):
            return False
        action = view.action
        if action in (None, "metadata"):
            # A method that the address does not have: 405 says so, to any signed-in user.
            return True
        return any(may(user, verb, auth=request.auth) for verb in verbs_of(view))


def verbs_of(view: Any) -> tuple[str, ...]:
    """The permissions of which the view's action takes one; none of an action that is closed."""
    named = getattr(view, "needs", {}).get(getattr(view, "action", None)) or ()
    return (named,) if isinstance(named, str) else named


def may(user: Any, verb: str, *, auth: Any = None) -> bool:
    """Whether the user has this permission, and what he signed in by was given it."""
    return api_tokens.allows(auth, verb) and bool(user.has_perm(f"recordings.{verb}_session"))


class Administers(BasePermission):
    """An administrator who signed in: what leaves the house is not for a machine's token to decide."""

    message = "Only administrators do this, signed in, not with an API token."

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        user = request.user
        in_person = getattr(request.auth, "scopes", None) is None
        return bool(user and user.is_authenticated and in_person and administers(user))


class Audits(BasePermission):
    """The user may read the audit."""

    message = "Only administrators and auditors read the audit."

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        user = request.user
        return bool(
            user and user.is_authenticated and api_tokens.allows(request.auth, "view") and audits(user)
        )
