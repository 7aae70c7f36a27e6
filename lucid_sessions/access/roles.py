"""The roles of DESIGN 7 as Django groups, and what each may do."""

from typing import Any

ROLES: dict[str, tuple[str, ...]] = {
    "admin": ("view", "add", "change", "delete", "record", "play", "export", "hold"),
    "session_manager": ("view", "add", "change", "delete", "record", "play", "export", "hold"),
    "session_operator": ("view", "add", "change", "record"),
    "session_viewer": ("view", "play"),
    "auditor": ("view", "play", "export"),
}
# These see every session; the others see those that they own.
SEES_ALL = ("admin", "session_manager", "auditor")


def sees_all(user: Any) -> bool:
    """True when the user may see sessions that others own."""
    return user.is_superuser or user.groups.filter(name__in=SEES_ALL).exists()


def create_roles(sender: Any, **_: Any) -> None:
    """Make the groups and give each its permissions, once `recordings` has those; twice is once."""
    if sender.label != "recordings":
        return
    from django.contrib.auth.models import Group, Permission

    known = {p.codename: p for p in Permission.objects.filter(content_type__app_label="recordings")}
    for role, verbs in ROLES.items():
        group, _created = Group.objects.get_or_create(name=role)
        wanted = [known[code] for verb in verbs if (code := f"{verb}_session") in known]
        if wanted:
            group.permissions.set(wanted)
