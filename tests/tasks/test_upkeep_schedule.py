"""Beat runs the archive's upkeep on the maintenance queue, and a tick that cannot be done is no crash."""

import pytest

from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session
from tasks import upkeep
from tasks.celery import app
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


def test_beat_knows_every_upkeep_task_and_where_it_goes() -> None:
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    for what in ("retention", "quota", "scrub", "locks", "tier", "backup"):
        name = f"upkeep.{what}"
        assert name in scheduled
        assert name in app.tasks
        assert app.amqp.router.route({}, name)["queue"].name == "maintenance"
    assert "schedule.seal" in scheduled


def test_two_ticks_let_an_old_session_go(world: Installation) -> None:
    session = archived.sealed(world, days_old=400)
    upkeep.retention()
    upkeep.retention()
    assert Session.objects.get(pk=session.pk).status == Status.EXPIRING
    assert archived.left(session, world) == archived.NOTHING


def test_a_store_that_is_away_is_waited_for(world: Installation) -> None:
    archived.sealed(world)
    (world.blobs_root / "lucid-blobs").unlink()
    for task in (upkeep.retention, upkeep.quota, upkeep.scrub):
        task()
