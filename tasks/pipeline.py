"""The chain as Celery tasks, one a stage. No decision is made here: `recordings.pipeline` does the work.

    capture -> compress -> encrypt -> store -> anchor

Messages carry chunk ids, never bytes, never keys. A worker that also serves the next stages (LUCID_FUSE)
runs them inline and takes them off the chain that it passes on.
"""

import base64
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from billiard.exceptions import WorkerLostError
from celery import Task, chain, signals
from django.conf import settings

from lucid_sessions.recordings import hints, leases, leaving, pipeline, sealing, setbacks
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.lifecycle import STAGES, stages_from

from . import jobs as jobs  # whoever may hint may announce jobs, too
from . import request_identity as request_identity
from .celery import app
from .haste import in_haste

# After that the lease is over anyway.
LET_GO_SECONDS = leases.LEASE.total_seconds()


class Step(Task):
    """A stage as a task: acknowledged late, never retried by Celery (the row says when it is due again)."""

    acks_late = True
    ignore_result = True
    max_retries = 0


def _step(stage: str) -> Callable[..., Any]:
    @app.task(base=Step, bind=True, name=f"pipeline.{stage}")
    def step(self: Step, chunk_ids: list[str]) -> None:
        stages = [stage, *_fused(self)]
        pipeline.run(stages, _ids(chunk_ids), world=installation())

    return step


def _fused(task: Step) -> list[str]:
    """The next stages of this message's chain that this worker serves too, taken off the chain."""
    serves = set(app.amqp.queues.consume_from)
    waiting = list(task.request.chain or ())
    fused = []
    # Celery keeps what remains of a chain in reverse.
    while waiting:
        following = waiting[-1]
        name = following["task"].removeprefix("pipeline.")
        if name not in settings.LUCID_FUSE or following["options"]["queue"] not in serves:
            break
        fused.append(name)
        waiting.pop()
    task.request.chain = waiting
    return fused


@app.task(base=Step, name="pipeline.anchor")
def anchor(chunk_ids: list[str]) -> None:
    """Make sure that a seal follows, if one is still due; it takes whatever is stored by then."""
    sealing.anchor(_ids(chunk_ids), world=installation())


def _ids(texts: list[str]) -> list[UUID]:
    """The ids that a message of ours carries; ValueError for what we would never have sent."""
    if not isinstance(texts, list) or len(texts) > hints.MOST_CHUNKS:
        raise ValueError("not the chunks of one message")
    return [UUID(one) for one in texts]


@signals.worker_init.connect
def _be_present(**_: Any) -> None:
    """Before a pool is forked: one name for a worker and all its processes, which lasts as long as any."""
    installation().presence.name()


@signals.worker_shutting_down.connect
def _hand_back(**_: Any) -> None:
    """No further chunk of a lot is begun: what is left of it goes back at once."""
    leaving.announce()


@app.task(name="pipeline.let_go", ignore_result=True)
def let_go(chunk_ids: list[str]) -> None:
    """A process of some pool died over these: what it held is due again soon, each chunk alone."""
    setbacks.let_go(_ids(chunk_ids))


@signals.task_failure.connect
def _tell_of_the_dead(
    sender: Any = None, exception: BaseException | None = None, args: Any = (), **_: Any
) -> None:
    """Without this the chunks would wait until the lease of the dead is over.

    A worker that lives is asked to: this is the process that forks, and must not touch the database.
    """
    if isinstance(exception, WorkerLostError) and sender.name in {step.name for step in STEPS.values()}:
        let_go.apply_async(tuple(args[:1]), expires=LET_GO_SECONDS)


STEPS = {**{stage: _step(stage) for stage in STAGES if stage != "anchor"}, "anchor": anchor}


class CeleryPublisher:
    """Hints as real Celery chains on the stages' queues."""

    def publish(self, stage: str, chunk_ids: Sequence[UUID], *, spool: str, patiently: bool = False) -> None:
        """Send the chain from `stage` on."""
        ids = [str(one) for one in chunk_ids]
        steps = chain(*(STEPS[name].si(ids).set(queue=queue_of(name, spool)) for name in stages_from(stage)))
        if patiently:
            steps.apply_async()
        else:
            with in_haste() as connection:
                steps.apply_async(connection=connection, retry=False)

    def depth(self, stage: str, *, spool: str) -> int:
        """Messages that wait in the stage's queue."""
        with app.connection_for_read() as connection:
            return int(connection.default_channel.client.llen(queue_of(stage, spool)))

    def waiting(self, stage: str, *, spool: str) -> set[UUID]:
        """The chunks that the messages in the stage's queue speak of; what is none of ours is passed over."""
        with in_haste() as connection:
            messages = connection.default_channel.client.lrange(queue_of(stage, spool), 0, -1)
        return {pk for message in messages for pk in _ids_in(message)}


def _ids_in(message: bytes) -> list[UUID]:
    """What a message in a queue carries, as kombu's Redis transport and Celery's protocol 2 write it."""
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        arguments, *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
        return _ids(arguments[0])
    return []


def queue_of(stage: str, spool: str) -> str:
    """The stage's queue; on several hosts, that of the host whose spool the stage must read."""
    if settings.LUCID_QUEUE_PER_SPOOL and STAGES[stage].needs_spool:
        return f"{stage}.{spool}"
    return stage


hints.register(CeleryPublisher())
