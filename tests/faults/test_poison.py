"""Messages that are none: garbage, pickles, strangers' tasks, and one of a hundred megabytes."""

import base64
import json
import os
import pickle
import time
from functools import cache

import pytest

from lucid_sessions.recordings import hints
from lucid_sessions.recordings.lifecycle import State
from lucid_sessions.recordings.models import Chunk
from tasks.pipeline import CeleryPublisher
from tests.faults.ground import Ground, trials
from tests.faults.load import THREADS, Engine, finish, running
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def _envelope(task: str, body: bytes, **changes: object) -> dict[str, object]:
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": task, "id": "1", "lang": "py", "root_id": "1"},
        "properties": {
            "correlation_id": "1",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "capture"},
            "delivery_tag": "1",
            "body_encoding": "base64",
        },
        **changes,
    }


class Evil:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.fault(10, "poison messages: no JSON, no envelope, a pickle, unknown tasks, wrong arguments")
def test_poison_messages_run_nothing_and_stop_nobody(ground: Ground) -> None:
    trace = ground.home / "ran"
    with running(ground, *THREADS) as engine:
        client = engine.redis.client
        for number in range(trials(10_000, 500)):
            client.lpush("capture", _poison(ground, number, str(trace)))
            ground.trials += 1
            if number % 500 == 499:
                ground.strike(engine.feed())  # behind all that poison
                until(lambda: client.llen("capture") == 0, every=0.05)
                ground.note_recoveries()
        finish(engine)
        assert [worker.poll() for worker in engine.workers] == [None], "the worker has never ended"
    assert not trace.exists(), "a message's code was run"


@pytest.mark.fault(10, "a message of 100 MB: until what came after it is stored")
@pytest.mark.timeout(1800)
def test_a_message_of_a_hundred_megabytes_holds_up_nobody(ground: Ground) -> None:
    with running(ground, *THREADS) as engine:
        for _ in range(trials(30, 1)):
            _pass_a_large_message(engine)
        finish(engine)
        assert [worker.poll() for worker in engine.workers] == [None], "the worker has never ended"


def _pass_a_large_message(engine: Engine) -> None:
    """One comes, and work right after it: the worker takes that up without being told again."""
    large = _large()
    hints.register(None)
    session = engine.ground.session(segments=2)
    hints.register(CeleryPublisher())
    engine.redis.client.lpush("capture", large)
    came = time.monotonic()
    hints.hint(session.chunks.order_by("sequence"))
    hinted = set(session.chunks.values_list("hinted_at", flat=True))
    stored = Chunk.objects.filter(session=session, state__in=(State.STORED, State.ANCHORED))
    until(lambda: stored.count() == 2, every=0.01)
    engine.ground.recoveries.append(time.monotonic() - came)
    engine.ground.trials += 1
    assert set(session.chunks.values_list("hinted_at", flat=True)) == hinted


@cache
def _large() -> bytes:
    return json.dumps(_envelope("pipeline.capture", b'[["' + b"x" * (100 << 20) + b'"], {}, {}]')).encode()


def _poison(ground: Ground, number: int, trace: str) -> bytes:
    evil = pickle.dumps(Evil(trace))
    arguments = json.dumps([[["no uuid"]], {}, {"chain": None}]).encode()
    several = [
        lambda: ground.rng.randbytes(ground.rng.randint(0, 200)),
        lambda: b"{",
        lambda: b"[]",
        lambda: b"{}",
        lambda: b"null",
        lambda: b"1e999",
        lambda: b"[" * 5000,
        lambda: json.dumps({"body": 1, "headers": 2, "properties": 3}).encode(),
        lambda: json.dumps(_envelope("pipeline.capture", b"\xff\xfe")).encode(),
        lambda: json.dumps(_envelope("os.system", b"[]")).encode(),
        lambda: json.dumps(_envelope("pipeline.capture", arguments)).encode(),
        lambda: json.dumps(_envelope("pipeline.capture", evil, **_pickled())).encode(),
        lambda: json.dumps(_envelope("pipeline.anchor", b'[["a", "b"], 3]')).encode(),
        lambda: json.dumps(_envelope("pipeline.store", b"[[[]], {}, {}]", properties={})).encode(),
    ]
    return several[number % len(several)]()


def _pickled() -> dict[str, object]:
    return {"content-type": "application/x-python-serialize", "content-encoding": "binary"}
