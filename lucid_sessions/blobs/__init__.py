"""Stored chunks: encrypted bytes, each named by the SHA-256 of all of them. Knows no Django, no database."""

from lucid_sessions.blobs.address import SEARCHED, Credentials, Where
from lucid_sessions.blobs.bucket import Bucket
from lucid_sessions.blobs.carrying import carry, is_unreadable, read
from lucid_sessions.blobs.files import FileBlobs
from lucid_sessions.blobs.names import Missing, blob_name
from lucid_sessions.blobs.opening import create_store, is_bucket, open_store
from lucid_sessions.blobs.s3 import S3Blobs
from lucid_sessions.blobs.store import Blobs, Layered

__all__ = [
    "SEARCHED",
    "Blobs",
    "Bucket",
    "Credentials",
    "FileBlobs",
    "Layered",
    "Missing",
    "S3Blobs",
    "Where",
    "blob_name",
    "carry",
    "create_store",
    "is_bucket",
    "is_unreadable",
    "open_store",
    "read",
]
