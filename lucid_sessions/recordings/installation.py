"""This installation's outside world, built from the settings: the only module that does."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from uuid import UUID

from django.conf import settings

from lucid_sessions import archive
from lucid_sessions.blobs import FileBlobs
from lucid_sessions.errors import Refused
from lucid_sessions.ledger import Log
from recorder.spool import Spool

from .keyring import Keyring
from .models import SessionKey
from .scratch import Scratch


@dataclass(frozen=True)
class Installation:
    """Where things are, by settings; each part is opened when first used."""

    spool_root: Path
    blobs_root: Path
    ledger_root: Path
    keys_root: Path

    @cached_property
    def spool(self) -> Spool:
        """The spool mounted here."""
        return Spool(self.spool_root)

    @cached_property
    def scratch(self) -> Scratch:
        """What lies between two stages that run apart."""
        return Scratch(self.spool_root / "scratch")

    @cached_property
    def blobs(self) -> FileBlobs:
        return FileBlobs(self.blobs_root)

    @cached_property
    def keys(self) -> Keyring:
        return Keyring(self.keys_root)

    def recipient(self, session: UUID, track: str) -> archive.Recipient:
        """Whom a track's chunks are sealed to, by its creator's statement; cached, since it never changes."""
        return _recipient(self.keys, session, track)

    def log(self) -> Log:
        """The log for reading and checking."""
        return Log(self.ledger_root, vkey=self.keys.log_vkey, key=None, pin=None)

    def log_for_appending(self) -> Log:
        """The log with its key: the sealer's alone."""
        return Log(self.ledger_root, vkey=self.keys.log_vkey, key=self.keys.log_key, pin=self.keys.log_pin)


@cache
def _recipient(keys: Keyring, session: UUID, track: str) -> archive.Recipient:
    row = SessionKey.objects.filter(session=session, track=track).first()
    if row is None:
        raise Refused(
            f"Session {session} has no key for track {track}: it was not made by this installation."
        )
    statement = archive.Statement.from_bytes(bytes(row.statement))
    statement.verify(keys.creator_public)
    if (statement.repository, statement.session, statement.track) != (keys.repository, session, track):
        raise Refused(f"The key statement of session {session}, track {track}, speaks of another track.")
    return archive.Recipient(statement.public)


@cache
def installation() -> Installation:
    """The one that the settings describe."""
    return Installation(
        spool_root=settings.SESSION_STORAGE_PATH,
        blobs_root=settings.CHUNK_STORAGE_PATH,
        ledger_root=settings.LUCID_LEDGER_PATH,
        keys_root=settings.LUCID_KEYS_PATH,
    )


@cache
def identity() -> archive.Identity:
    """The key that opens recordings, where ENCRYPTION_PASSWORD is given. Unlocking takes about a second."""
    with _one_at_a_time():
        return installation().keys.unlock(settings.ENCRYPTION_PASSWORD, settings.ENCRYPTION_SALT)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Processes of one container unlock in turns: each takes 256 MiB for it, and all together too much."""
    with ExitStack() as held:
        # Where nothing can be written there is nobody to take turns with.
        with suppress(OSError):
            lock = held.enter_context((settings.LUCID_HOME / "unlock.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
