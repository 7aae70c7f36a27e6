"""The states of sessions and chunks, the stages, and who may follow whom. Pure: no Django here.

Chunk:    RECORDED -> CAPTURED -> COMPRESSED -> ENCRYPTED -> STORED -> ANCHORED, then EXPIRED.
Session:  created -> starting -> recording <-> paused -> stopping -> processing -> completed | failed,
          then expiring -> deleted. A chunk that comes after the seal takes it back to processing.

What lies between CAPTURED and STORED is recomputable, so a chunk whose scratch files are lost goes
back to CAPTURED. STORED goes back there only from quarantine, when a person puts back a chunk whose blob
is lost and whose segment is not.
"""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """How far a chunk has got."""

    RECORDED = "recorded"
    CAPTURED = "captured"
    COMPRESSED = "compressed"
    ENCRYPTED = "encrypted"
    STORED = "stored"
    ANCHORED = "anchored"
    EXPIRED = "expired"


class Stage(NamedTuple):
    """One step of the chain; its name is the Celery queue too."""

    name: str
    needs: State
    gives: State
    needs_spool: bool


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("capture", State.RECORDED, State.CAPTURED, needs_spool=True),
        Stage("compress", State.CAPTURED, State.COMPRESSED, needs_spool=True),
        Stage("encrypt", State.COMPRESSED, State.ENCRYPTED, needs_spool=True),
        Stage("store", State.ENCRYPTED, State.STORED, needs_spool=True),
        Stage("anchor", State.STORED, State.ANCHORED, needs_spool=False),
    )
}

# `export` is served where ENCRYPTION_PASSWORD is, `webhooks` where the deliverer's key is.
OTHER_QUEUES = ("pipeline", "maintenance", "export", "webhooks")
QUEUES = (*STAGES, *OTHER_QUEUES)

# What the engine still has to do something about.
UNFINISHED = (State.RECORDED, State.CAPTURED, State.COMPRESSED, State.ENCRYPTED, State.STORED)
# States in which a chunk's blob lies in the archive.
ARCHIVED = (State.STORED, State.ANCHORED)
# How a quarantine's reason begins that is about the stored blob, and ends once that is good again.
BAD_BLOB = "scrub: "
# How it begins where the blob is good again, and its chunk stays in quarantine all the same.
UNLOCKED = f"{BAD_BLOB}the blob is good again, but cannot be locked as its legal hold demands: "

_ORDER = {state: place for place, state in enumerate(State)}


def is_past(state: str, other: State) -> bool:
    """True when `state` comes after `other`."""
    return _ORDER[State(state)] > _ORDER[other]


def stage_for(state: str) -> Stage | None:
    """The stage that a chunk in `state` waits for; None when nothing remains."""
    return next((stage for stage in STAGES.values() if stage.needs == state), None)


def stages_from(name: str) -> list[str]:
    """`name` and every stage after it, in order."""
    names = list(STAGES)
    return names[names.index(name) :]


class Status(StrEnum):
    """How far a session has got."""

    CREATED = "created"
    STARTING = "starting"
    RECORDING = "recording"
    PAUSED = "paused"
    STOPPING = "stopping"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRING = "expiring"
    DELETED = "deleted"


class Desired(StrEnum):
    """What the owner wants the recorder to do."""

    NOTHING = "nothing"
    RECORD = "record"
    PAUSE = "pause"
    STOP = "stop"


ARROWS: dict[Status, frozenset[Status]] = {
    Status.CREATED: frozenset({Status.STARTING, Status.FAILED, Status.EXPIRING}),
    Status.STARTING: frozenset({Status.RECORDING, Status.STOPPING, Status.PROCESSING, Status.FAILED}),
    Status.RECORDING: frozenset({Status.PAUSED, Status.STOPPING, Status.PROCESSING}),
    Status.PAUSED: frozenset({Status.RECORDING, Status.STOPPING, Status.PROCESSING}),
    Status.STOPPING: frozenset({Status.PROCESSING, Status.FAILED}),
    Status.PROCESSING: frozenset({Status.COMPLETED, Status.FAILED}),
    # Back to processing: a chunk came after the seal, so a new revision of it is due.
    Status.COMPLETED: frozenset({Status.PROCESSING, Status.EXPIRING}),
    Status.FAILED: frozenset({Status.PROCESSING, Status.EXPIRING}),
    Status.EXPIRING: frozenset({Status.DELETED}),
    Status.DELETED: frozenset(),
}

TRACKS = ("screen", "input", "audio", "thumb")
# A recorder holds, or may yet take, a session in one of these.
LIVE = (Status.STARTING, Status.RECORDING, Status.PAUSED, Status.STOPPING)
ENDED = (Status.COMPLETED, Status.FAILED)


def sources_of(target: Status) -> tuple[Status, ...]:
    """Every status from which `target` may be reached."""
    return tuple(source for source, targets in ARROWS.items() if target in targets)
