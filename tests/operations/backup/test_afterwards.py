"""After a restore on another host: what was there before goes to its end; nothing waits for what is lost."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lucid_sessions.operations.backup import aftermath, session_rows
from lucid_sessions.recordings import shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import LedgerRecord
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_expires_now_or_later_waits_for_no_lost_spool_and_no_key_that_was_left_out(
    world: Installation, tmp_path: Path
) -> None:
    expiring, later = archived.sealed(world, name="expiring"), archived.sealed(world, name="later")
    lost = world.spool.identity
    shredding.begin(expiring, cause="test")
    # Restored elsewhere, without the keys of what was about to go.
    shutil.rmtree(world.keys_root / "sessions" / str(expiring.pk))
    elsewhere = replace(world, spool_root=tmp_path / "another spool")
    session_rows.bury(expiring.pk, Status.EXPIRING)
    aftermath.give_up_spools(elsewhere, ("all",))
    archived.finish(expiring, elsewhere)
    shredding.begin(later, cause="test")
    archived.finish(later, elsewhere)
    assert [expiring.status, later.status] == [Status.DELETED, Status.DELETED]
    records = [json.loads(one.entry) for one in LedgerRecord.objects.filter(kind="shredded")]
    assert [(one["cause"], one["lost_spools"]) for one in records] == [("test", [lost])] * 2
