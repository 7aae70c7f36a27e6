"""The services of a deployment: which programs a container of each runs, and on which port it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings

from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.lifecycle import STAGES

from . import programs
from .children import Program

EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a container, whose ports the deployment publishes  # nosec B104
# Within the grace that deployments give a container (60 s), after Celery's own soft shutdown (20 s).
WORKER_STOP_SECONDS = 40.0
Env = Mapping[str, str]


@dataclass(frozen=True)
class Service:
    """One kind of container."""

    port: int
    parts: Callable[[Env, int], list[Program]]
    # It answers HTTP by itself; otherwise its parent does, on `port`.
    web: bool = False


def _session_api(env: Env, port: int) -> list[Program]:
    # Here is the password that opens recordings, and one process more does not spread it: see decision 19.
    exporter = _worker(_queues("export"), env, pool="threads", concurrency=1, name="exporter")
    return [programs.api(EVERYWHERE, port, env, workers=2), exporter]


def _pipeline_manager(env: Env, _port: int) -> list[Program]:
    # The reconciler must wait neither behind a sealer that sleeps out its second, nor behind an authority
    # outside that takes its time to vouch for the log.
    worker = _worker(_queues("anchor", "pipeline"), env, pool="threads", concurrency=3)
    return [worker, programs.beat(env)]


def _session_recorder(env: Env, _port: int) -> list[Program]:
    worker = _worker(_queues("capture"), env, pool="threads", concurrency=4)
    return [worker, programs.recorder(env)]


def _chunk_processor(env: Env, _port: int) -> list[Program]:
    count = settings.PIPELINE_WORKER_COUNT
    return [_worker(_queues("compress", "encrypt"), env, pool="prefork", concurrency=count)]


def _session_storage(env: Env, _port: int) -> list[Program]:
    return [_worker(_queues("store", "maintenance", "webhooks"), env, pool="threads", concurrency=4)]


def _spool_storage(env: Env, _port: int) -> list[Program]:
    return [_worker(_queues("store"), env, pool="threads", concurrency=4)]


def _flower(env: Env, port: int) -> list[Program]:
    return [programs.flower(EVERYWHERE, port, env)]


SERVICES = {
    "session-api": Service(8087, _session_api, web=True),
    "pipeline-manager": Service(8083, _pipeline_manager),
    "session-recorder": Service(8084, _session_recorder),
    "chunk-processor": Service(8085, _chunk_processor),
    "session-storage": Service(8086, _session_storage),
    "flower": Service(5555, _flower, web=True),
}
# session-storage beside one recorder of several: it has neither the deliverer's key nor the backups, so what
# needs no spool is left to the one that has.
SPOOL_STORAGE = Service(SERVICES["session-storage"].port, _spool_storage)


def _worker(queues: list[str], env: Env, *, pool: str, concurrency: int, name: str = "worker") -> Program:
    return programs.worker(
        queues, env, pool=pool, concurrency=concurrency, stop_seconds=WORKER_STOP_SECONDS, name=name
    )


def _queues(*names: str) -> list[str]:
    """The queues to serve; on several hosts those of the spool that is mounted here."""
    if not settings.LUCID_QUEUE_PER_SPOOL:
        return list(names)
    spool = installation().spool.identity
    return [f"{name}.{spool}" if name in STAGES and STAGES[name].needs_spool else name for name in names]
