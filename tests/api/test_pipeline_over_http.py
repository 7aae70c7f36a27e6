"""How far a session's chunks are, over HTTP."""

import pytest

from lucid_sessions.recordings import pipeline, reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session
from tests import factories

from .people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)


def waiting(body: dict) -> dict[str, int]:
    return {stage["stage"]: stage["waiting"] for stage in body["stages"] if stage["waiting"]}


def test_the_pipeline_shows_where_chunks_wait_and_why_one_does_not_go_on(world: Installation) -> None:
    session = factories.recorded_session(world, segments=2)
    factories.acknowledge(session, world, counter=3, content=b"this is no video at all")
    factories.file_spool(world)
    address = f"/api/v1/sessions/{session.pk}/pipeline"
    manager = client_of(person("session_manager"))
    body = manager.get(address).json()
    assert (waiting(body), body["total"], body["anchored"]) == ({"capture": 3}, 3, 0)
    assert body["oldest_waiting_seconds"] >= 0
    first = Chunk.objects.order_by("sequence")[0]
    pipeline.run(["capture", "compress"], [first.pk], world=world)
    assert waiting(manager.get(address).json()) == {"capture": 2, "encrypt": 1}
    reconcile.work_inline(world)
    body = manager.get(address).json()
    assert (waiting(body), body["anchored"], body["oldest_waiting_since"]) == ({}, 2, None)
    (bad,) = body["quarantined"]
    assert (bad["stage"], bad["sequence"]) == ("capture", (1 << 32) + 3)
    assert bad["reason"].startswith("capture: ")


def test_held_chunks_stay_where_they_are_until_they_may_go_on(world: Installation) -> None:
    session = factories.recorded_session(world, segments=2)
    address = f"/api/v1/sessions/{session.pk}/pipeline"
    operator = person("session_operator")
    Session.objects.update(owner=operator)
    client = client_of(operator)
    assert client.post(f"{address}/pause").json()["processing_paused"] is True
    reconcile.work_inline(world)
    assert waiting(client.get(address).json()) == {"capture": 2}
    assert client.post(f"{address}/resume").json()["processing_paused"] is False
    reconcile.work_inline(world)
    assert client.get(address).json()["anchored"] == 2


@pytest.mark.parametrize("status", ["expiring", "deleted"])
def test_nothing_of_a_session_that_goes_is_held_or_let_go_on(world: Installation, status: str) -> None:
    session = factories.recorded_session(world, segments=1)
    Session.objects.update(status=status)
    manager = client_of(person("session_manager"))
    for verb in ("pause", "resume"):
        answer = manager.post(f"/api/v1/sessions/{session.pk}/pipeline/{verb}")
        assert answer.status_code == 409, answer.content
        assert answer.json()["code"] == "LUCID_ERR_3004"
    assert Session.objects.get().processing_paused is False


def test_statistics_sum_a_session_up(world: Installation) -> None:
    session = factories.recorded_session(world, segments=3)
    factories.gap(session, world, from_us=3_000_000, to_us=4_500_000, reason="paused")
    factories.file_spool(world)
    reconcile.work_inline(world)
    client = client_of(person("auditor"))
    body = client.get(f"/api/v1/sessions/{session.pk}/statistics").json()
    (screen,) = body["tracks"]
    assert (screen["track"], screen["chunks"], screen["frames"]) == ("screen", 3, 30)
    assert (screen["start_us"], screen["end_us"]) == (0, 3_000_000)
    assert screen["stored_bytes"] > 0
    assert (body["gaps"], body["gap_seconds"]) == (1, 1.5)
    overall = client.get("/api/v1/sessions/statistics").json()
    assert overall["chunks"] == {"anchored": 3}
    assert overall["recorded_bytes"] == screen["recorded_bytes"]


def test_chunks_are_listed_in_order_and_filtered(world: Installation) -> None:
    session = factories.recorded_session(world, segments=3)
    reconcile.work_inline(world)
    client = client_of(person("auditor"))
    address = f"/api/v1/sessions/{session.pk}/chunks"
    page = client.get(address, {"limit": 2}).json()
    assert [(one["take"], one["number"]) for one in page["items"]] == [(1, 1), (1, 2)]
    assert page["pagination"]["total"] == 3
    chunk = page["items"][0]
    assert client.get(f"{address}/{chunk['id']}").json() == chunk
    assert chunk["state"] == "anchored"
    # Asked for in another way, it is the same to the byte.
    first, filtered = (client.get(address, query).content for query in ({}, {"track": "screen"}))
    assert first.partition(b',"pagination":')[0] == filtered.partition(b',"pagination":')[0]
    assert not {"path", "token", "fence", "spool"} & set(chunk)
    assert client.get(address, {"state": "stored"}).json()["items"] == []
    assert len(client.get(address, {"quarantined": "false", "track": "screen"}).json()["items"]) == 3
    assert client.get(address, {"quarantined": "true"}).json()["items"] == []
