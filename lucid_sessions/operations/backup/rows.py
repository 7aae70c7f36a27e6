"""The portable form: one JSON line a row, the same from every database, into every database.

Keys of ours are UUIDs and stay. Every table moves but those of `STAYING`, so that a new one is never
forgotten. A file of an earlier release may lack tables: nothing comes into them.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard
from django.apps import apps
from django.core import serializers
from django.db import IntegrityError, models

from lucid_sessions.durable import blaming
from lucid_sessions.errors import Tampered

# Which tables do not move, and why.
STAYING = {
    "contenttypes.ContentType": "made by `migrate` on either side, referred to by name",
    "auth.Permission": "made by `migrate` on either side, referred to by name",
    "admin.LogEntry": "the admin's diary: the audit tells the same",
    "access.WebSession": "browsers sign in again",
}
# In this order each row finds those that it names.
LABELS = (
    "auth.Group",
    "access.User",
    "access.RevokedToken",
    "recordings.Session",
    "recordings.SessionKey",
    "recordings.Take",
    "recordings.Closure",
    "recordings.Gap",
    "recordings.Chunk",
    "recordings.LedgerRequest",
    "recordings.LedgerRecord",
    "recordings.Checkpoint",
)
_BY_NAME = {"auth.group"}
BATCH = 500
READ_BYTES = 1 << 16


def portable_models() -> list[type[models.Model]]:
    """The models whose rows move, referred-to ones first; those that nothing names come last."""
    known = [apps.get_model(label) for label in LABELS]
    moving = [model for model in apps.get_models() if model._meta.label not in STAYING]
    return [*known, *(model for model in moving if model not in known)]


def lines() -> Iterator[bytes]:
    """Every portable row as a line of JSON, tables in order, rows by key."""
    for model in portable_models():
        for row in model._base_manager.order_by("pk").iterator(chunk_size=2000):
            yield _line(row)


def _line(row: models.Model) -> bytes:
    named = row._meta.label_lower in _BY_NAME
    (facts,) = serializers.serialize(
        "python", [row], use_natural_foreign_keys=True, use_natural_primary_keys=named
    )
    return json.dumps(facts, sort_keys=True, default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    """Times and identifiers as text; milliseconds only, since that is all that MongoDB keeps."""
    if hasattr(value, "isoformat"):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def dump(target: Path) -> int:
    """How many rows were written to this zstd file. Call it inside `one_point`."""
    count = 0
    packer = zstandard.ZstdCompressor(level=3)
    with blaming("write", target), target.open("wb") as file, packer.stream_writer(file) as out:
        for line in lines():
            out.write(line)
            count += 1
    return count


def read(source: Path) -> Iterator[bytes]:
    """The lines of such a file. Tampered when it is damaged, or cut off: of that zstd itself says nothing."""
    packed, rest = zstandard.ZstdDecompressor().decompressobj(), b""
    with blaming("read", source), source.open("rb") as file:
        try:
            while block := file.read(READ_BYTES):
                *whole, rest = (rest + packed.decompress(block)).split(b"\n")
                yield from (line + b"\n" for line in whole)
        except zstandard.ZstdError as error:
            raise Tampered(f"{source} is damaged: {error}") from error
    if rest or not packed.eof:
        raise Tampered(f"{source} is cut off: copy it again")


def load(source: Iterable[bytes]) -> int:
    """How many rows were brought into a migrated database; rows that are there already are replaced."""
    count = 0
    batch: list[models.Model] = []
    for line in source:
        row = next(iter(serializers.deserialize("python", [json.loads(line)])))
        if row.m2m_data or row.object._meta.label_lower in _BY_NAME:
            row.save()
        else:
            if batch and (type(batch[0]) is not type(row.object) or len(batch) >= BATCH):
                _insert(batch)
                batch = []
            batch.append(row.object)
        count += 1
    _insert(batch)
    return count


def _insert(batch: list[models.Model]) -> None:
    if not batch:
        return
    try:
        type(batch[0])._base_manager.bulk_create(batch)
    except IntegrityError:  # a run before this one died in the middle
        for row in batch:
            row.save_base(raw=True)


def differences(source: Iterable[bytes]) -> list[str]:
    """What this database does not hold as the file does, row by row; empty when it is the same."""
    expected, found = set(source), set(lines())
    return [f"missing: {line.decode().strip()[:200]}" for line in sorted(expected - found)] + [
        f"not in the backup: {line.decode().strip()[:200]}" for line in sorted(found - expected)
    ]
