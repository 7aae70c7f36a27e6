"""What a lost host had acknowledged and no copy has: it is named as missing, and nothing waits for it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lucid_sessions.blobs import Where
from lucid_sessions.recordings import adoption, intake, lost_hosts, reconcile, shredding, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, Session
from lucid_sessions.recordings.spool_mirror import Copy, SpoolMirror, mirror_of
from tests import factories
from tests.recordings import archived, mirrored

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def host(world: Installation, bucket: Where, settings: Any) -> Installation:
    return mirrored.host(bucket, settings)


@pytest.fixture
def mirror(host: Installation) -> SpoolMirror:
    found = mirror_of(host)
    assert found is not None
    return found


def _lose(host: Installation, mirror: SpoolMirror) -> tuple[Session, Copy, bytes]:
    """A session whose host is lost, and the copy of its first segment, which is lost too."""
    session = mirrored.recorded(host)
    mirror.acknowledge(host.spool)
    intake.Intake(host.spool, mirror).scan()
    first = next(copy for copy in mirror.copies() if not copy.name.endswith(".json"))
    content = mirror.get(first)
    mirror.forget(first)
    shutil.rmtree(host.spool_root)
    return session, first, content


def _sealed(session: Session, world: Installation) -> list[str]:
    """The reasons why chunks of the session, which is sealed now, are missing."""
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    return [one["reason"] for one in verification.verify(session).missing]


def test_a_session_is_sealed_without_what_has_no_second_copy_and_goes_when_its_host_is_given_up(
    host: Installation, mirror: SpoolMirror, tmp_path: Path
) -> None:
    lost = host.spool.identity
    session, _, _ = _lose(host, mirror)
    other = mirrored.another(host, tmp_path)
    done = adoption.adopt(other, lost)
    assert (done.segments, len(done.problems)) == (2, 1)
    factories.end(session)
    assert _sealed(session, other) == [adoption.NO_COPY.format(spool=lost)]
    shredding.begin(session, cause="test")
    assert archived.finish(session, other).status == Status.EXPIRING
    assert any(lost in line for line in shredding.waits_for(session))
    lost_hosts.declare(lost)
    assert archived.finish(session, other).status == Status.DELETED
    record = json.loads(LedgerRecord.objects.get(kind="shredded").entry)
    assert record["lost_spools"] == [lost]


def test_a_copy_that_turns_up_later_is_adopted_after_all(
    host: Installation, mirror: SpoolMirror, tmp_path: Path
) -> None:
    lost = host.spool.identity
    session, copy, content = _lose(host, mirror)
    other = mirrored.another(host, tmp_path)
    adoption.adopt(other, lost)
    factories.end(session)
    assert len(_sealed(session, other)) == 1
    mirror.put(copy, content)
    assert adoption.adopt(other, lost).problems == []
    assert _sealed(session, other) == []
    assert set(Chunk.objects.values_list("state", flat=True)) == {State.ANCHORED}
    assert adoption.known(other).keys() == {other.spool.identity}


def test_chunks_of_a_spool_whose_takes_another_host_has_can_be_given_up(world: Installation) -> None:
    """As an adoption by an earlier release left them."""
    session = factories.recorded_session(world, segments=2)
    Chunk.objects.update(spool="5b1f0c77")
    assert lost_hosts.declare("5b1f0c77") == lost_hosts.GivenUp(chunks=2, takes=0)
    reasons = {lost_hosts.REASON.format(spool="5b1f0c77")}
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == Status.FAILED
    assert {one["reason"] for one in verification.verify(session).missing} == reasons
