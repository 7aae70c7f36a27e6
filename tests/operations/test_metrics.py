"""The figures for Prometheus: the specification's names and buckets, from every process of a service."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from lucid_sessions.operations import metrics
from lucid_sessions.operations.gauges import Gauges
from lucid_sessions.recordings import clock_guard, pipeline, scrub
from lucid_sessions.recordings.clock_guard import Reading
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Checkpoint, Chunk, Session
from lucid_sessions.recordings.observation import StageDone
from tests import factories
from tests.operations.processes import ROOT
from tests.recordings import archived
from tests.waiting import PATIENCE, until

USUAL = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# Name: buckets, or None when it is no histogram.
SPECIFIED: dict[str, tuple[float, ...] | None] = {
    "sessions_created": None,
    "sessions_active": None,
    "session_duration_seconds": (60, 300, 600, 1800, 3600, 7200, 14400, 28800),
    "chunks_processed": None,
    "chunk_processing_duration_seconds": (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
    "chunk_size_bytes": (1024, 10240, 102400, 1024000, 10240000, 102400000),
    "storage_used_bytes": None,
    "storage_operations": None,
    "api_requests": None,
    "api_request_duration_seconds": USUAL,
    "pipeline_stage_duration_seconds": USUAL,
    "pipeline_errors": None,
    "pipeline_queue_depth": None,
    "pipeline_oldest_unanchored_seconds": None,
    "ledger_checkpoint_age_seconds": None,
    "scrub_oldest_unverified_seconds": None,
    "jobs_oldest_pending_seconds": None,
    "recorder_dropped_frames": None,
}

WORKER = """
import django
django.setup()
from lucid_sessions.recordings.observation import StageDone, tell
for stage in ("capture", "compress", "encrypt"):
    tell(StageDone(stage, 0.002, "success", 70_000))
tell(StageDone("scrub", 5.0, "success", 70_000))
tell(StageDone("store", 0.002, "success", 70_000, chunk_seconds=0.008))
tell(StageDone("scrub", 0.0, "quarantined", 70_000, "Tampered"))
tell(StageDone("anchor", 0.3, "success", 0))
tell(StageDone("store", 0.0, "waits", 70_000, "Retryable"))
tell(StageDone("capture", 0.0, "quarantined", 70_000, "Tampered"))
"""


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(text: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    raise AssertionError(f"no {name} {labels} in:\n{text}")


@pytest.fixture
def worked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What this process says after a worker, another process of the service, has done its work and gone."""
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "lucid_sessions.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    subprocess.run([sys.executable, "-c", WORKER], cwd=ROOT, env=env, check=True, timeout=PATIENCE)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return metrics.exposition().decode()


def test_what_a_worker_did_is_told_by_whichever_process_is_asked(worked: str) -> None:
    assert value(worked, "chunks_processed_total", status="success") == 1
    assert value(worked, "chunks_processed_total", status="failure") == 1
    assert value(worked, "chunks_processed_total", status="quarantined") == 1
    assert value(worked, "pipeline_stage_duration_seconds_count", stage="encrypt") == 1
    assert value(worked, "pipeline_stage_duration_seconds_count", stage="anchor") == 1
    assert value(worked, "chunk_size_bytes_bucket", le="102400.0") == 1
    assert value(worked, "pipeline_errors_total", stage="store", error_type="Retryable") == 1
    assert value(worked, "pipeline_errors_total", stage="capture", error_type="Tampered") == 1
    assert value(worked, "pipeline_errors_total", stage="scrub", error_type="Tampered") == 1
    assert value(worked, "storage_operations_total", operation="put", status="success") == 1


def test_a_chunks_duration_is_that_of_all_its_stages(worked: str) -> None:
    assert value(worked, "chunk_processing_duration_seconds_bucket", le="0.005") == 0
    assert value(worked, "chunk_processing_duration_seconds_bucket", le="0.01") == 1


def test_what_failed_has_no_duration(worked: str) -> None:
    # How long a chunk takes that is stored would look the shorter, the more of the others fail.
    assert value(worked, "chunk_processing_duration_seconds_count") == 1
    assert value(worked, "chunk_processing_duration_seconds_sum") == 0.008


@pytest.mark.django_db(transaction=True)
def test_a_chunks_duration_has_nothing_of_the_work_for_others(world: Installation) -> None:
    archived.sealed(world, segments=3)
    before = value(metrics.exposition().decode(), "chunk_processing_duration_seconds_sum")
    other = factories.recorded_session(world, segments=2)
    first, second = Chunk.objects.filter(session=other).order_by("sequence").values_list("pk", flat=True)
    for stage in ("capture", "compress", "encrypt"):
        pipeline.run([stage], [first], world=world)
    Chunk.objects.exclude(session=other).update(stored_at=timezone.now() - timezone.timedelta(days=3))
    Chunk.objects.update(verified_at=None)
    assert scrub.tick(world).chunks == 3
    pipeline.run(["store"], [first], world=world)
    pipeline.run(["capture", "compress", "encrypt", "store"], [second], world=world)
    took = [sum(chunk.timings.values()) for chunk in Chunk.objects.filter(session=other)]
    assert len([one for one in took if one]) == 2
    after = value(metrics.exposition().decode(), "chunk_processing_duration_seconds_sum")
    assert after - before == pytest.approx(sum(took) / 1e6)


@pytest.mark.django_db(transaction=True)
def test_every_figure_of_the_specification_is_there_with_its_buckets(client: Client) -> None:
    now = timezone.now()
    Session.objects.create(name="ended", source="synthetic://1x1", started_at=now, ended_at=now)
    Checkpoint.objects.create(size=1, root="00", note="x")
    metrics.observe(StageDone("store", 0.1, "waits", 1, "Retryable"))
    client.get("/api/v1/sessions")
    until(lambda: "sessions_active" in client.get("/metrics").content.decode(), "the database was asked")
    text = client.get("/metrics").content.decode()
    # There is no Redis in this test, so no queue has a depth; the family is there.
    found = families(text)
    assert set(SPECIFIED) <= set(found)
    for name, buckets in SPECIFIED.items():
        if buckets is not None:
            tops = {float(s.labels["le"]) for s in found[name].samples if s.name == f"{name}_bucket"}
            assert tops == {*buckets, float("inf")}, name


@pytest.mark.django_db(transaction=True)
def test_what_the_database_knows_is_asked_there() -> None:
    now = timezone.now()
    Session.objects.create(name="live", source="synthetic://1x1", status="recording")
    Session.objects.create(
        name="over",
        source="synthetic://1x1",
        status="completed",
        started_at=now - timezone.timedelta(seconds=100),
        ended_at=now,
        statistics={"dropped_frames": 2, "dropped_earlier": 3},
    )
    clock_guard.check(Reading(wall=1.0, steady=1.0, boot="another"))
    clock_guard.check(clock_guard.read())
    figures = Gauges()
    until(lambda: bool(list(figures.collect())), "the database was asked")
    samples = {(s.name, *s.labels.values()): s.value for one in figures.collect() for s in one.samples}
    assert samples["sessions_active",] == 1
    assert samples["sessions_created_total", "created"] == 2
    assert samples["session_duration_seconds_bucket", "60.0"] == 0
    assert samples["session_duration_seconds_bucket", "300.0"] == 1
    assert samples["recorder_dropped_frames_total",] == 5
    assert samples["retention_suspended",] == 1
    assert samples["backup_interval_seconds",] == 24 * 3600


@pytest.mark.django_db
def test_requests_are_counted_by_route_not_by_address(client: Client) -> None:
    for _ in range(2):
        client.get(f"/api/v1/sessions/{uuid4()}")
        client.get(f"/api/v1/nothing-like-it/{uuid4()}")
    text = metrics.exposition().decode()
    assert "/api/v1/nothing-like-it" not in text
    route = {"method": "GET", "endpoint": "/api/v1/sessions/<uuid:session_id>"}
    assert value(text, "api_requests_total", **route, status="401") >= 2
    assert value(text, "api_request_duration_seconds_count", **route) >= 2
