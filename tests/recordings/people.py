"""Users who may, and users who may not, put sessions under legal hold."""

from django.contrib.auth.models import Permission

from lucid_sessions.access.models import User


def person(name: str) -> User:
    """A user who may hold and release."""
    user = bystander(name)
    user.user_permissions.add(Permission.objects.get(codename="hold_session"))
    return user


def bystander(name: str) -> User:
    """A user who may not."""
    return User.objects.create_user(name, password="a password of theirs")
