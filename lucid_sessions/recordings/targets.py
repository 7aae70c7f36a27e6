"""Passwords of desktops that are to be recorded: sealed files, opened by recorders, gone with the session.

A file a session, readable by nobody but the recorders' key. No row, log line, argument, environment or
answer ever holds a password.
"""

import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from django.conf import settings

from lucid_sessions import archive
from lucid_sessions.durable import blaming, sync_directory, write_durably

from .keyring import Keyring
from .lifecycle import LIVE, Status
from .models import Session

SUFFIX = ".sealed"
# As long as a session is to be, or is being, recorded.
NEEDED = (Status.CREATED, *LIVE)
UNBORN_SECONDS = 3600.0


def keep(keys: Keyring, session: UUID, password: str) -> None:
    """The password is kept for the session's recorder, durably; Refused when it is too long."""
    sealed = archive.seal_password(
        password, repository=keys.repository, session=session, to=keys.recorder_public
    )
    write_durably(_path(keys, session), sealed)


def password_of(keys: Keyring, session: UUID) -> str:
    """The password for the session's desktop, empty when none was given; only recorders can do this."""
    try:
        sealed = _path(keys, session).read_bytes()
    except FileNotFoundError:
        return ""
    return archive.open_password(sealed, repository=keys.repository, session=session, by=keys.recorder)


def forget(keys: Keyring, session: UUID) -> None:
    """Nobody can learn the session's password any more, also after a power cut."""
    path = _path(keys, session)
    with blaming("delete", path):
        if path.exists():
            path.unlink(missing_ok=True)
            sync_directory(path.parent)


def forget_ended(keys: Keyring) -> None:
    """Passwords of sessions that are over, or never came to be, are gone, whoever ended them."""
    kept = {UUID(path.name.removesuffix(SUFFIX)): path for path in _directory(keys).glob(f"*{SUFFIX}")}
    known = dict(Session.objects.filter(pk__in=kept).values_list("pk", "status")) if kept else {}
    for session, path in kept.items():
        # A password is kept before its session's row is written.
        if known.get(session, Status.CREATED) not in NEEDED or (session not in known and _is_old(path)):
            forget(keys, session)


def _is_old(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > UNBORN_SECONDS
    return False


def _directory(keys: Keyring) -> Path:
    return Path(settings.LUCID_TARGETS_PATH) if settings.LUCID_TARGETS_PATH else keys.root / "targets"


def _path(keys: Keyring, session: UUID) -> Path:
    return _directory(keys) / f"{session}{SUFFIX}"
