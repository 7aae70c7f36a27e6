"""Backups wherever they are: a directory or a bucket."""

from pathlib import Path

from django.conf import settings

from lucid_sessions.blobs import Credentials, Where, is_bucket
from lucid_sessions.recordings.installation import Installation

from .remote import RemoteShelf
from .shelf import Owner, Shelf

Place = Path | Where


def place_of(address: str) -> Place:
    """The place that an address names; Refused when it is no good."""
    return Where.parse(address) if is_bucket(address) else Path(address).absolute()


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
