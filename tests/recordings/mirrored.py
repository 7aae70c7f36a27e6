"""Recorder hosts whose spools are copied to a bucket (LUCID_SPOOL=s3), and what they recorded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from django.utils import timezone

from lucid_sessions.blobs import Where
from lucid_sessions.recordings import installation as outside
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session, Take
from tests import factories
from tests.buckets import address_of


def host(bucket: Where, settings: Any) -> Installation:
    """The world of a recorder's host whose spool is copied to that bucket."""
    settings.LUCID_SPOOL, settings.LUCID_SPOOL_URL = "s3", address_of(bucket)
    outside.installation.cache_clear()
    there = outside.installation()
    there.spool.set_mirrored(True)
    return there


def another(host: Installation, tmp_path: Path) -> Installation:
    """Another host of the same installation, with a spool of its own, when the first is silent."""
    silent()
    return replace(host, spool_root=tmp_path / "another-spool")


def silent() -> None:
    """No host has renewed a take of late."""
    Take.objects.update(lease_until=timezone.now())


def recorded(host: Installation, *, segments: int = 3) -> Session:
    """A session that this host records; its segments, and the end of its track, are held in the spool."""
    session = factories.ready("synthetic://64x48", name="a session")
    Session.objects.filter(pk=session.pk).update(status=Status.RECORDING)
    factories.take(session, host)
    for counter in range(1, segments + 1):
        factories.acknowledge(session, host, counter=counter)
    factories.close(session, host, last_counter=segments)
    return session
