"""Who asks: users by role, and clients that carry their tokens."""

from typing import Any

from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from lucid_sessions.access import tokens
from lucid_sessions.access.models import User

ROLES = ("admin", "session_manager", "session_operator", "session_viewer", "auditor")


def person(role: str | None, *, name: str = "") -> User:
    """A user of one role; None: a signed-in user to whom no role was given."""
    # Hashing a password takes half a second, and most tests sign in without one.
    user = User.objects.create(username=name or role or "nobody", password="!")
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def client_of(user: User | None, *, shows_defects: bool = False) -> Any:
    """A client that sends the user's access token, as a program would; None: one without.

    A defect of ours is raised in the test, or else (`shows_defects`) answered, as the server answers it.
    """
    client = APIClient(raise_request_exception=not shows_defects)
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.sign_in(user).access}")
    return client
