"""Changing a session: merge or replace, by one conditional update on the version that was read."""

from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from rest_framework.request import Request

from lucid_sessions.access.roles import manages

from .. import sessions, tags
from ..events import CHANGED
from ..lifecycle import Status
from ..models import Session
from .configuration import recording_defaults
from .own_source import is_source_of
from .ownership import require_there, session_of
from .preconditions import require_match
from .problems import CONFLICT, NOT_IN_STATE, NOT_PERMITTED, Problem, refused_as
from .sooner import require_innocent
from .witnessed import tell

# A change reads, merges and writes; another's write in between starts it over, this many times.
ATTEMPTS = 5
CONFIGURED = ("recording_config", "storage_config")
# Of a long description the audit keeps the beginning.
LONGEST_FACT = 200
METADATA = {"project": "", "environment": "", "tags": [], "priority": "normal"}


def merged(request: Request, pk: UUID, given: dict[str, Any]) -> Session:
    """The session with `given` merged in."""
    return _changed(request, pk, lambda session: _merge(session, given))


def replaced(request: Request, pk: UUID, given: dict[str, Any]) -> Session:
    """The session with everything that can change as `given` says, or else as by default."""
    return _changed(request, pk, lambda session: _replace(session, given))


def _changed(request: Request, pk: UUID, changes_of: Any) -> Session:
    for _ in range(ATTEMPTS):
        session = session_of(request.user, pk)
        require_match(request, session)
        require_there(session)
        changes = _different(request.user, session, changes_of(session))
        if changes:
            require_innocent(request, session, changes)
        if not changes or _written(session, changes):
            tell(request, facts=_facts(session, changes) if changes else None)
            return session_of(request.user, pk)
    raise Problem(CONFLICT, f'Session "{session.name}" is being changed by others. Read it and try again.')


def _facts(session: Session, changes: dict[str, Any]) -> dict[str, Any]:
    """Each field that changes, by its name in the body, as it was and as it is; null: nothing was said."""
    changed = []
    for name, new in changes.items():
        old = getattr(session, name)
        if name in CONFIGURED:
            both = ((f"{name}.{one}", old.get(one), new.get(one)) for one in sorted({*old, *new}))
            changed += [one for one in both if one[1] != one[2]]
        else:
            changed.append((f"metadata.{name}" if name in (*METADATA, "owner") else name, old, new))
    return {
        "changed": [{"field": name, "from": _brief(old), "to": _brief(new)} for name, old, new in changed]
    }


def _brief(value: Any) -> Any:
    if isinstance(value, AbstractBaseUser):
        return value.get_username()
    return value[:LONGEST_FACT] if isinstance(value, str) else value


def _written(session: Session, changes: dict[str, Any]) -> bool:
    same = Session.objects.filter(pk=session.pk, version=session.version, status=session.status)
    with transaction.atomic():
        if not same.update(**CHANGED, **changes):
            return False
        if "tags" in changes:
            tags.write(session.pk, changes["tags"])
    return True


def _merge(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    if "recording_config" in given:
        _require_created(session)
    changes: dict[str, Any] = {name: given[name] for name in ("name", "description") if name in given}
    for name in CONFIGURED:
        if name in given:
            changes[name] = getattr(session, name) | given[name]
    return changes | given.get("metadata", {})


def _replace(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    _require_same_source(session, given.get("source"))
    changes = {
        "name": given["name"],
        "description": given.get("description", ""),
        "storage_config": given.get("storage_config", {}),
        **METADATA,
        **given.get("metadata", {}),
    }
    if session.status == Status.CREATED or "recording_config" in given:
        changes["recording_config"] = recording_defaults() | given.get("recording_config", {})
    return changes


def _require_same_source(session: Session, source: Any) -> None:
    if source is not None and not is_source_of(source, session.source):
        raise Problem(CONFLICT, "source: cannot change. Create another session.")


def _different(user: Any, session: Session, changes: dict[str, Any]) -> dict[str, Any]:
    """What really changes; refused where the session's state or the user's role does not let it."""
    if "owner" in changes:
        changes["owner"] = _owner(user, session, changes["owner"])
    changes = {name: value for name, value in changes.items() if getattr(session, name) != value}
    if "recording_config" in changes:
        _require_created(session)
        with refused_as(CONFLICT):
            sessions.check_audible(session.source, changes["recording_config"])
    return changes


def _owner(user: Any, session: Session, name: str | None) -> Any:
    """Whose it is to be; what names there are is told only to those who may say whose."""
    if name == _brief(session.owner):
        return session.owner
    if not manages(user):
        raise Problem(NOT_PERMITTED, "metadata.owner: only administrators and session managers change it.")
    owner = get_user_model().objects.filter(username=name).first()
    if owner is None:
        raise Problem(CONFLICT, f'metadata.owner: there is no user "{name or ""}". Give the name of one.')
    return owner


def _require_created(session: Session) -> None:
    if session.status != Status.CREATED:
        raise Problem(
            NOT_IN_STATE,
            f'recording_config: session "{session.name}" is {session.status}; how it is recorded can change '
            "only before it is started.",
        )
