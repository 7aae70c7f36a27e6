"""Backups wherever they are: a directory or a bucket."""

from pathlib import Path

from django.conf import settings

from lucid_sessions.blobs import Credentials, Where, is_bucket
from lucid_sessions.errors import Refused
from lucid_sessions.recordings.installation import Installation

from .remote import RemoteShelf
from .shelf import Owner, Shelf

Place = Path | Where


def place_of(address: str) -> Place:
    """The place that an address names; Refused when it is no good."""
    return Where.parse(address) if is_bucket(address) else Path(address).absolute()


def named(directory: str, keys: Path | None) -> tuple[Place, Path | None]:
    """Where backups and key backups are: as named, else as LUCID_BACKUP_URL and LUCID_BACKUP_KEYS say.

    Refused: nobody says where.
    """
    if not (directory or settings.LUCID_BACKUP_URL):
        raise Refused("Name a directory or a bucket (s3://…), or set LUCID_BACKUP_URL.")
    if not directory and keys is None and settings.LUCID_BACKUP_KEYS:
        keys = Path(settings.LUCID_BACKUP_KEYS)
    return place_of(directory or settings.LUCID_BACKUP_URL), keys and keys.absolute()


def claim(place: Place, owner: Owner, *, world: Installation) -> Shelf:
    """The backups there, begun if nothing is. Refused: another installation's, or something else."""
    if isinstance(place, Path):
        return Shelf.claim(place, owner)
    return RemoteShelf.claim_in(place, owner, credentials=world.credentials, home=settings.LUCID_BACKUP_WORK)


def opened(place: Place, *, credentials: Credentials) -> Shelf:
    """The backups there. Refused: there are none, or of a newer format."""
    if isinstance(place, Path):
        return Shelf.open(place)
    return RemoteShelf.open_in(place, credentials=credentials, home=settings.LUCID_BACKUP_WORK)
