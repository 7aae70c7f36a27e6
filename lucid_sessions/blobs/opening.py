"""From an address to the store that it names."""

from pathlib import Path
from urllib.parse import urlsplit

from lucid_sessions.blobs.address import SEARCHED, Credentials, Where
from lucid_sessions.blobs.files import FileBlobs
from lucid_sessions.blobs.s3 import S3Blobs
from lucid_sessions.blobs.store import Blobs
from lucid_sessions.errors import Refused


def open_store(address: str, credentials: Credentials = SEARCHED) -> Blobs:
    """The store at /a/directory, file:///a/directory or s3://bucket/prefix?…; Refused for anything else."""
    if is_bucket(address):
        return S3Blobs(Where.parse(address), credentials)
    return FileBlobs(_directory(address))


def create_store(address: str, credentials: Credentials = SEARCHED) -> Blobs:
    """The same, made if it is new. For set-up only."""
    if is_bucket(address):
        return S3Blobs.create(Where.parse(address), credentials)
    return FileBlobs.create(_directory(address))


def is_bucket(address: str) -> bool:
    """True for what begins with s3:."""
    return urlsplit(address).scheme == "s3"


def _directory(address: str) -> Path:
    parts = urlsplit(address)
    if parts.scheme not in ("", "file") or not parts.path.startswith("/") or parts.netloc:
        raise Refused(
            f"{parts.scheme}: is no address of a store: s3://bucket/prefix, file:///directory or /directory"
        )
    return Path(parts.path)
