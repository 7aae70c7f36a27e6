"""Regular backups: made when due, noted for the metric, and one that is not whole does not count."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.operations import gauges
from lucid_sessions.operations.backup import regular, signing
from lucid_sessions.recordings import upkeep
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk
from tasks import upkeep as tasks
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_backup_is_made_when_it_is_due_and_the_metric_tells_of_it(
    world: Installation, tmp_path: Path, settings: Any
) -> None:
    archived.sealed(world)
    assert gauges.look().last_backup == 0.0
    assert regular.make_if_due(world) is None, "nobody asked for backups"
    settings.LUCID_BACKUP_URL = str(tmp_path / "backups")
    settings.LUCID_BACKUP_KEYS = str(tmp_path / "backed-up-keys")
    tasks.backup()
    assert len(list((tmp_path / "backups" / "snapshots").iterdir())) == 1
    assert any((tmp_path / "backed-up-keys").iterdir())
    first = gauges.look().last_backup
    assert first > 0
    tasks.backup()
    assert gauges.look().last_backup == first
    upkeep.note(upkeep.BACKUP, {"at": first - 25 * 3600})
    tasks.backup()
    assert gauges.look().last_backup >= first
    assert len(list((tmp_path / "backups" / "snapshots").iterdir())) == 2
    assert signing.pinned(world.keys_root)


def test_a_service_with_its_own_keys_only_leaves_it_to_a_job_that_has_them_all(
    world: Installation, tmp_path: Path, settings: Any
) -> None:
    settings.LUCID_BACKUP_URL = str(tmp_path / "backups")
    shutil.rmtree(world.keys_root / "slots")
    assert regular.make_if_due(world) is None
    assert not (tmp_path / "backups").exists()


def test_a_backup_that_lacks_a_blob_does_not_count(
    world: Installation, tmp_path: Path, settings: Any
) -> None:
    archived.sealed(world)
    settings.LUCID_BACKUP_URL = str(tmp_path / "backups")
    world.blobs.delete(Chunk.objects.first().blob)
    made = regular.make_if_due(world)
    assert made is not None
    assert len(made.problems) == 1
    assert gauges.look().last_backup == 0.0


def test_a_backup_with_problems_is_made_again_after_pauses_that_grow(
    world: Installation, tmp_path: Path, settings: Any
) -> None:
    archived.sealed(world)
    settings.LUCID_BACKUP_URL = str(tmp_path / "backups")
    world.blobs.delete(_lost().blob)
    assert regular.make_if_due(world) is not None
    assert regular.make_if_due(world) is None
    for minutes, due in ((11, True), (11, False), (21, True), (39, False)):
        facts = upkeep.recall(upkeep.BACKUP)
        upkeep.note(upkeep.BACKUP, facts | {"tried_at": facts["tried_at"] - minutes * 60})
        assert (regular.make_if_due(world) is not None) == due, minutes
    # Nobody waits for longer than between good ones.
    upkeep.note(upkeep.BACKUP, facts | {"with_problems": 10_000, "tried_at": facts["tried_at"] - 25 * 3600})
    assert regular.make_if_due(world) is not None


def test_what_is_known_to_be_lost_is_named_and_keeps_no_backup_from_being_good(
    world: Installation, tmp_path: Path, settings: Any
) -> None:
    archived.sealed(world)
    settings.LUCID_BACKUP_URL = str(tmp_path / "backups")
    lost = _lost()
    world.blobs.delete(lost.blob)
    Chunk.objects.filter(pk=lost.pk).update(quarantined_at=timezone.now(), reason="blob: it is missing")
    made = regular.make_if_due(world)
    assert made is not None
    assert lost.blob in made.problems[0]
    assert gauges.look().last_backup > 0
    assert regular.make_if_due(world) is None


def _lost() -> Chunk:
    chunk = Chunk.objects.order_by("sequence").first()
    assert chunk
    return chunk
