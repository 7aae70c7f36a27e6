"""This installation's outside world, built from the settings: the only module that does."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from uuid import UUID

from django.conf import settings

from lucid_sessions import archive
from lucid_sessions.blobs import Blobs, Credentials, FileBlobs, Layered, create_store, open_store
from lucid_sessions.errors import Refused
from lucid_sessions.ledger import Log
from recorder.spool import Spool

from .keyring import Keyring
from .models import SessionKey
from .presence import Presence
from .scratch import Scratch


@dataclass(frozen=True)
class Installation:
    """Where things are, by settings; each part is opened when first used."""

    spool_root: Path
    blobs_root: Path
    ledger_root: Path
    keys_root: Path
    # The store's address, where it is not the directory; further ones behind it; and where old blobs go.
    blobs_url: str = ""
    also: tuple[str, ...] = ()
    tier_url: str = ""
    # Where recorders put second copies of what they acknowledge; empty: nowhere.
    spool_url: str = ""
    credentials: Credentials = field(default=Credentials(), repr=False)

    @cached_property
    def spool(self) -> Spool:
        """The spool mounted here."""
        return Spool(self.spool_root)

    @cached_property
    def scratch(self) -> Scratch:
        """What lies between two stages that run apart."""
        return Scratch(self.spool_root / "scratch")

    @cached_property
    def presence(self) -> Presence:
        """Who works on this host, and who has died."""
        return Presence(self.spool_root / "workers")

    @cached_property
    def blobs(self) -> Blobs:
        """The blob store, with whatever stands behind it."""
        return self.layers[0] if len(self.layers) == 1 else Layered(self.layers)

    @cached_property
    def layers(self) -> tuple[Blobs, ...]:
        """The store that takes new blobs, those that hold others, and the one for old blobs."""
        behind = [*self.also, *([self.tier_url] if self.tier_url else [])]
        return (self.front, *(self.store_at(address) for address in behind))

    @cached_property
    def front(self) -> Blobs:
        """The store that takes new blobs."""
        return self.store_at(self.blobs_url) if self.blobs_url else FileBlobs(self.blobs_root)

    def create_front(self) -> None:
        """The store for new blobs is there, made if it is new. For set-up and restore only."""
        create_store(self.blobs_url or str(self.blobs_root), self.credentials)

    def store_at(self, address: str) -> Blobs:
        """The blob store at an address, opened with this installation's credentials."""
        return open_store(address, self.credentials)

    @property
    def local_blobs(self) -> Path | None:
        """The directory of blobs, if new ones go to a directory."""
        return self.front.root if isinstance(self.front, FileBlobs) else None

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
        blobs_url=settings.STORAGE_URL,
        also=settings.LUCID_STORAGE_ALSO,
        tier_url=settings.LUCID_STORAGE_TIER_URL,
        spool_url=settings.LUCID_SPOOL_URL if settings.LUCID_SPOOL == "s3" else "",
        credentials=Credentials(settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY),
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
