"""Stored chunks: encrypted bytes, each named by the SHA-256 of all of them. Knows no Django, no database."""

from lucid_sessions.blobs.files import FileBlobs
from lucid_sessions.blobs.names import Missing, blob_name

__all__ = ["FileBlobs", "Missing", "blob_name"]
