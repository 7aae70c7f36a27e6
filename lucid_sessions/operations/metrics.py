"""What Prometheus is told, by the names and buckets of the specification.

Processes of one service share PROMETHEUS_MULTIPROC_DIR, so that whichever of them answers /metrics speaks
for all. What the database knows is not counted here but asked there: see gauges.py.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from lucid_sessions.recordings.lifecycle import STAGES
from lucid_sessions.recordings.observation import StageDone

CONTENT_TYPE = CONTENT_TYPE_LATEST

chunks_processed_total = Counter("chunks_processed_total", "Total number of chunks processed", ["status"])
chunk_processing_duration_seconds = Histogram(
    "chunk_processing_duration_seconds",
    "Chunk processing duration",
    buckets=[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0],
)
chunk_size_bytes = Histogram(
    "chunk_size_bytes",
    "Chunk size in bytes",
    buckets=[1024, 10240, 102400, 1024000, 10240000, 102400000],
)
storage_operations_total = Counter(
    "storage_operations_total", "Total storage operations", ["operation", "status"]
)
api_requests_total = Counter("api_requests_total", "Total API requests", ["method", "endpoint", "status"])
api_request_duration_seconds = Histogram(
    "api_request_duration_seconds", "API request duration", ["method", "endpoint"]
)
api_rate_limit_unavailable_total = Counter(
    "api_rate_limit_unavailable_total", "Requests whose rate was not limited: the cache did not answer"
)
pipeline_stage_duration_seconds = Histogram(
    "pipeline_stage_duration_seconds", "Pipeline stage processing duration", ["stage"]
)
pipeline_errors_total = Counter("pipeline_errors_total", "Total pipeline errors", ["stage", "error_type"])

# From the beginning at zero: an alert on what is absent would never fire.
for _status in ("success", "failure", "quarantined"):
    chunks_processed_total.labels(_status)
for _stage in STAGES:
    pipeline_stage_duration_seconds.labels(_stage)


def observe(event: StageDone) -> None:
    """Count one stage of one chunk."""
    if event.outcome == "success":
        pipeline_stage_duration_seconds.labels(event.stage).observe(event.seconds)
    if event.stage == "capture" and event.outcome == "success":
        chunk_size_bytes.observe(event.raw_bytes)
    if event.stage == "store":
        status = "success" if event.outcome == "success" else "failure"
        storage_operations_total.labels("put", status).inc()
    if event.outcome in ("waits", "quarantined"):
        pipeline_errors_total.labels(event.stage, event.error_type or "unknown").inc()
    # Anchoring is told once a batch, of chunks that were counted when stored; scrub looks at them long after.
    if event.stage not in ("anchor", "scrub"):
        _count_chunk(event)


def _count_chunk(event: StageDone) -> None:
    """A chunk counts when it is stored or fails; stored, it has a duration: that of all its stages."""
    if event.outcome == "success" and event.stage != "store":
        return
    status = {"success": "success", "waits": "failure"}.get(event.outcome, event.outcome)
    chunks_processed_total.labels(status).inc()
    # Of what failed there is none to compare: among these it would make whatever goes well look quicker.
    if event.outcome == "success":
        chunk_processing_duration_seconds.observe(event.chunk_seconds)


def exposition(*more: Collector) -> bytes:
    """The text that Prometheus reads: the figures of every process of this service, and of `more`."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        text = generate_latest(REGISTRY)
        return text + b"".join(generate_latest(_registry(one)) for one in more)
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone)
    for one in more:
        everyone.register(one)
    return generate_latest(everyone)


def _registry(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
