"""What a host had adopted of a lost one comes back from its spool, when the database is older than that."""

from dataclasses import replace
from pathlib import Path

import pytest

from lucid_sessions.blobs import Where
from tests.buckets import address_of
from tests.operations.backup.site import CREDENTIALS, POPULATE, Site

# A lost host's spool had another name; that of this home is made anew when it is needed.
LOST = (
    POPULATE
    + """
import shutil
from lucid_sessions.recordings import intake
from lucid_sessions.recordings.spool_mirror import mirror_of
from tests.recordings import mirrored
world = installation()
world.spool.set_mirrored(True)
session = mirrored.recorded(world)
mirror_of(world).acknowledge(world.spool)
intake.Intake(world.spool, mirror_of(world)).scan()
mirrored.silent()
factories.end(session)
lost, found = world.spool.identity, [str(session.pk), world.spool.identity]
shutil.rmtree(world.spool_root)
"""
)
ENDED = """
from lucid_sessions.recordings.models import Chunk, Session
chunks = Chunk.objects.filter(session="{0}")
spools = set(chunks.values_list("spool", flat=True))
found = [Session.objects.get(pk="{0}").status, chunks.count(), sorted(spools)]
"""
LET_GO = """
from lucid_sessions.recordings import intake
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.models import Take
spool = installation().spool
waits = Take.objects.filter(session="{0}").exclude(spool=spool.identity)
found = [intake.release(spool), waits.count()]
"""


@pytest.mark.parametrize("known", [True, False], ids=["filed by the lost host", "unknown to the backup"])
def test_it_is_filed_again_and_archived(site: Site, bucket: Where, tmp_path: Path, known: bool) -> None:
    bucketed = (*CREDENTIALS, ("LUCID_SPOOL", "s3"), ("LUCID_SPOOL_URL", address_of(bucket)))
    site, shelf = replace(site, extra=bucketed), tmp_path / "backups"
    if not known:
        site.manage("backup", shelf)
    session, lost = site.facts(LOST)
    if known:
        site.manage("backup", shelf)
    assert "3 segments, 1 markers" in site.manage("spool", "adopt", lost).out
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    site.manage("restore", shelf, "--over")
    site.manage("reconcile")
    status, chunks, spools = site.facts(ENDED.format(session))
    assert (status, chunks) == ("completed", 3)
    assert lost not in spools
    assert "intact, complete" in site.manage("verify", session, "--deep").out
    # Nothing of it waits for the lost host, nor in the spool for somebody to let go of it.
    assert site.facts(LET_GO.format(session)) == [3, 0]
    assert list((site.home / "spool" / "takes").rglob("*.mp4")) == []
