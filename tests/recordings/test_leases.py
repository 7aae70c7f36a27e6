"""Claims: who may work on a chunk, and whose result counts."""

from datetime import timedelta

import pytest
from django.utils import timezone

from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.recordings import leases, pipeline, setbacks
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, State
from lucid_sessions.recordings.models import Chunk
from lucid_sessions.recordings.requeue import requeue
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

CAPTURE = STAGES["capture"]


@pytest.fixture
def chunk(world: Installation) -> Chunk:
    factories.recorded_session(world, segments=1)
    return Chunk.objects.get()


def _claim(chunk: Chunk, world: Installation) -> list[Chunk]:
    return leases.claim(CAPTURE, [chunk.pk], spool=world.spool.identity)


def test_a_chunk_is_claimed_once(chunk: Chunk, world: Installation) -> None:
    assert [one.pk for one in _claim(chunk, world)] == [chunk.pk]
    assert _claim(chunk, world) == []


def test_a_chunk_of_another_spool_is_left_alone(chunk: Chunk, world: Installation) -> None:
    assert leases.claim(CAPTURE, [chunk.pk], spool="00000000") == []


def test_an_expired_claim_is_taken_over_and_the_first_holder_cannot_commit(
    chunk: Chunk, world: Installation
) -> None:
    (zombie,) = _claim(chunk, world)
    Chunk.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    (second,) = _claim(chunk, world)
    assert not leases.commit(zombie, state=State.CAPTURED, facts={})
    assert leases.commit(second, state=State.CAPTURED, facts={"raw_sha256": "00"})
    assert Chunk.objects.get().raw_sha256 == "00"


def test_a_lease_from_a_clock_far_ahead_counts_as_over(chunk: Chunk, world: Installation) -> None:
    _claim(chunk, world)
    Chunk.objects.update(lease_until=timezone.now() + timedelta(days=1))
    assert _claim(chunk, world)


def test_a_batch_leaves_out_what_killed_a_worker_and_alone_it_is_counted(
    chunk: Chunk, world: Installation
) -> None:
    other = factories.recorded_session(world, segments=1, name="other").chunks.get()
    _claim(chunk, world)
    Chunk.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    batch = leases.claim(CAPTURE, [chunk.pk, other.pk], spool=world.spool.identity)
    assert [one.pk for one in batch] == [other.pk]
    (alone,) = _claim(chunk, world)
    assert alone.losses == 1


def test_a_chunk_over_which_workers_keep_dying_is_quarantined(chunk: Chunk, world: Installation) -> None:
    Chunk.objects.update(losses=setbacks.MOST_ATTEMPTS + 1)
    pipeline.run(["capture"], [chunk.pk], world=world)
    assert "died over this chunk" in Chunk.objects.get(quarantined_at__isnull=False).reason


def test_work_that_is_interrupted_goes_back_at_once(chunk: Chunk, world: Installation) -> None:
    with pytest.raises(KeyboardInterrupt), leases.kept(_claim(chunk, world)):
        raise KeyboardInterrupt
    assert _claim(chunk, world)


@pytest.mark.usefixtures("long_waits")
@pytest.mark.parametrize("error", [Retryable("the disk is full"), Refused("this is no video")])
def test_a_failed_step_waits_with_its_reason_and_a_growing_delay(
    chunk: Chunk, world: Installation, error: Exception
) -> None:
    (mine,) = _claim(chunk, world)
    setbacks.record(mine, stage="capture", error=error)
    row = Chunk.objects.get()
    assert (row.attempts, row.reason, row.token) == (1, f"capture: {error}", "")
    assert row.next_attempt_at > timezone.now()
    assert _claim(chunk, world) == []


def test_the_environment_may_fail_for_ever_but_the_chunk_itself_eight_times(
    chunk: Chunk, world: Installation
) -> None:
    for _ in range(setbacks.MOST_ATTEMPTS + 1):
        _fail_now(chunk, world, Retryable("the store is away"))
    assert Chunk.objects.get().quarantined_at is None
    Chunk.objects.update(attempts=0)
    for _ in range(setbacks.MOST_ATTEMPTS):
        assert Chunk.objects.get().quarantined_at is None
        _fail_now(chunk, world, Refused("no"))
    assert Chunk.objects.get().quarantined_at is not None


def test_tampering_is_quarantined_at_once_and_requeue_puts_it_back(chunk: Chunk, world: Installation) -> None:
    _fail_now(chunk, world, Tampered("the bytes changed"))
    assert Chunk.objects.get().quarantined_at is not None
    assert requeue(reason="bytes changed") == 1
    row = Chunk.objects.get()
    assert (row.quarantined_at, row.reason, row.attempts) == (None, "", 0)
    assert _claim(chunk, world)


def test_waiting_doubles_and_stays_bounded() -> None:
    waits = [setbacks.wait(attempt) for attempt in range(1, 30)]
    assert all(wait <= setbacks.LONGEST_WAIT for wait in waits)
    assert waits[0] <= setbacks.FIRST_WAIT < waits[8]


def _fail_now(chunk: Chunk, world: Installation, error: Exception) -> None:
    Chunk.objects.update(next_attempt_at=None)
    (mine,) = _claim(chunk, world)
    setbacks.record(mine, stage="capture", error=error)
