"""A sealer that dies between any two of its writes: no leaf twice, none missing, checkpoints consistent."""

import json
import signal
import subprocess
import sys
from collections import Counter

import pytest

from lucid_sessions import archive
from lucid_sessions.recordings import pipeline, sealing, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Checkpoint, Chunk, LedgerRecord
from tests import factories
from tests.tasks.workers import environment
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

PLACES = [
    "seal.selected",
    "seal.body-written",
    "seal.appended",
    "seal.effect",
    "seal.applied",
    "seal.published",
]
SEAL = """
import django; django.setup()
from lucid_sessions.recordings import sealing
from lucid_sessions.recordings.installation import installation
sealing.seal(installation())
"""


@pytest.mark.parametrize("passing", [1, 2])
@pytest.mark.parametrize("place", PLACES)
def test_a_killed_sealer_leaves_nothing_that_the_next_cannot_finish(
    world: Installation, place: str, passing: int
) -> None:
    first = factories.recorded_session(world, segments=2, name="first")
    _store(first, world)
    sealing.seal(world)
    old = archive.open_checkpoint(world.log().checkpoint_text() or "", world.keys.log_vkey)

    second = factories.recorded_session(world, segments=2, name="second")
    _store(second, world)
    died = _seal_elsewhere(world, failpoint=f"{place}:{passing}")
    # With fewer passings than asked for, the sealer finishes: then there was nothing to kill.
    assert died in (-signal.SIGKILL, 0)
    if passing == 1:
        assert died == -signal.SIGKILL

    sealing.seal(world)
    _assert_each_leaf_once()
    new = world.log().checkpoint()
    assert new is not None
    proof = world.log().consistency_proof(old.size, new.size)
    archive.verify_consistency(
        old_size=old.size, old_root=old.root, new_size=new.size, new_root=new.root, proof=proof
    )
    assert verification.verify(second, deep=True).findings == []
    assert verification.verify_log().findings == []
    assert Checkpoint.objects.filter(size=new.size, root=new.root.hex()).exists()


def test_a_database_older_than_the_log_gets_its_records_back(world: Installation) -> None:
    session = factories.recorded_session(world)
    _store(session, world)
    sealing.seal(world)
    lost = LedgerRecord.objects.order_by("-index")[:2]
    LedgerRecord.objects.filter(pk__in=[row.pk for row in lost]).delete()
    sealing.seal(world)
    assert LedgerRecord.objects.count() == world.log().size
    _assert_each_leaf_once()


def _store(session: object, world: Installation) -> None:
    ids = list(Chunk.objects.filter(session=session).values_list("pk", flat=True))
    pipeline.run(["capture", "compress", "encrypt", "store"], ids, world=world)


def _seal_elsewhere(world: Installation, *, failpoint: str) -> int:
    env = environment(world, "", LUCID_FAILPOINT=failpoint)
    return subprocess.run([sys.executable, "-c", SEAL], env=env, timeout=PATIENCE, check=False).returncode


def _assert_each_leaf_once() -> None:
    leaves: Counter[str] = Counter()
    for record in LedgerRecord.objects.filter(kind="batch"):
        body = _body(record.body)
        leaves.update(leaf["blob"] for leaf in body["leaves"])
    assert leaves == Counter(Chunk.objects.values_list("blob", flat=True))


def _body(name: str) -> dict[str, list[dict[str, str]]]:
    from lucid_sessions.recordings.installation import installation

    content: dict[str, list[dict[str, str]]] = json.loads(installation().log().read_body(name))
    return content
