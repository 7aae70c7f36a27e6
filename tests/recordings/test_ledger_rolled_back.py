"""A ledger that was taken back to an older copy is found out by what was signed since."""

import shutil
from pathlib import Path

import pytest

from lucid_sessions.recordings import verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Checkpoint
from tests.recordings.archived import sealed

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_older_copy_of_the_ledger_is_not_called_sound(world: Installation, tmp_path: Path) -> None:
    sealed(world, name="first")
    shutil.copytree(world.ledger_root, tmp_path / "old")
    later = sealed(world, name="later")
    shutil.rmtree(world.ledger_root)
    shutil.copytree(tmp_path / "old", world.ledger_root)
    for report in (verification.verify(later), verification.verify_log(world)):
        (finding,) = report.findings
        assert "checkpoint of size 4" in finding.problem
        assert "rolled back" in finding.problem


def test_checkpoints_that_nobody_signed_or_of_a_log_before_are_no_findings(world: Installation) -> None:
    session = sealed(world)
    known = Checkpoint.objects.order_by("-size").first()
    assert known is not None
    for size, note in ((70, known.note.replace("\n2\n", "\n70\n")), (80, "another/log\n80\nAAAA\n")):
        Checkpoint.objects.create(size=size, root="00" * 32, note=note)
    assert verification.verify(session).findings == []
    assert verification.verify_log(world).findings == []
