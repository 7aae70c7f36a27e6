"""The roles of DESIGN 7 as Django groups, and what each may do."""

from typing import Any

ROLES: dict[str, tuple[str, ...]] = {
    "admin": ("view", "add", "change", "delete", "record", "play", "export", "hold"),
    "session_manager": ("view", "add", "change", "delete", "record", "play", "export", "hold"),
    "session_operator": ("view", "add", "change", "record"),
    "session_viewer": ("view", "play"),
    "auditor": ("view", "play", "export"),
}
VERBS = ("view", "add", "change", "delete", "record", "play", "export", "hold")
# These read the audit.
AUDITS = ("admin", "auditor")
# These see every session; the others see those that they own.
SEES_ALL = ("admin", "session_manager", "auditor")
# These decide about what is others'.
MANAGES = ("admin", "session_manager")


def sees_all(user: Any) -> bool:
    """True when the user may see sessions that others own."""
    return bool(user.is_superuser or roles_of(user) & set(SEES_ALL))


def audits(user: Any) -> bool:
    """True when the user may read the audit."""
    return bool(user.is_superuser or roles_of(user) & set(AUDITS))


def administers(user: Any) -> bool:
    """True when the user may decide who else is told of what happens."""
    return bool(user.is_superuser or "admin" in roles_of(user))


def manages(user: Any) -> bool:
    """True when the user sees what the whole system does, and decides about what is others'."""
    return bool(user.is_superuser or roles_of(user) & set(MANAGES))


def roles_of(user: Any) -> frozenset[str]:
    """The user's roles; looked up once for each user object, which lives as long as a request."""
    known: frozenset[str] | None = getattr(user, "_lucid_roles", None)
    if known is None:
        known = frozenset(user.groups.values_list("name", flat=True)) & set(ROLES)
        user._lucid_roles = known
    return known


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
