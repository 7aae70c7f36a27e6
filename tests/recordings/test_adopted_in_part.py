"""What a lost host had acknowledged and no copy has: it is named as missing, and nothing waits for it."""

import json
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.blobs import Where
from lucid_sessions.errors import Retryable
from lucid_sessions.recordings import (
    adoption,
    failpoints,
    intake,
    lost_hosts,
    reconcile,
    shredding,
    verification,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, RecorderHost, Session, Take
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


@dataclass(frozen=True)
class Adopted:
    """A session whose host is lost, and the copy of its first segment too; another has adopted the rest."""

    session: Session
    lost: str
    copy: Copy
    content: bytes
    by: Installation
    said: adoption.Adopted


@pytest.fixture
def adopted(host: Installation, mirror: SpoolMirror, tmp_path: Path) -> Adopted:
    session = mirrored.recorded(host)
    mirror.acknowledge(host.spool)
    intake.Intake(host.spool, mirror).scan()
    first = next(copy for copy in mirror.copies() if not copy.name.endswith(".json"))
    content, lost = mirror.get(first), host.spool.identity
    mirror.forget(first)
    shutil.rmtree(host.spool_root)
    other = mirrored.another(host, tmp_path)
    said = adoption.adopt(other, lost)
    factories.end(session)
    return Adopted(session, lost, first, content, other, said)


def _sealed(session: Session, world: Installation) -> list[str]:
    """The reasons why chunks of the session, which is sealed now, are missing."""
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    return [one["reason"] for one in verification.verify(session).missing]


@pytest.mark.parametrize("released", [False, True])
def test_a_session_is_sealed_without_what_has_no_second_copy_and_goes_when_its_host_is_given_up(
    adopted: Adopted, mirror: SpoolMirror, released: bool
) -> None:
    lost, session, other = adopted.lost, adopted.session, adopted.by
    assert (adopted.said.segments, len(adopted.said.problems)) == (2, 1)
    assert _sealed(session, other) == [adoption.NO_COPY.format(spool=lost)]
    if released:
        intake.Intake(other.spool, mirror).release()
    # The end of the track stays as long as its session.
    assert adoption.known(other) == {other.spool.identity: 1 if released else 3}
    shredding.begin(session, cause="test")
    assert archived.finish(session, other).status == Status.EXPIRING
    assert any(lost in line for line in shredding.waits_for(session))
    lost_hosts.declare(lost)
    assert archived.finish(session, other).status == Status.DELETED
    record = json.loads(LedgerRecord.objects.get(kind="shredded").entry)
    assert record["lost_spools"] == [lost]
    # Nor is anything left where the rest was adopted.
    assert adoption.known(other) == {}
    assert not (other.spool_root / "takes" / session.pk.hex).exists()


def test_a_copy_that_turns_up_later_is_adopted_after_all(adopted: Adopted, mirror: SpoolMirror) -> None:
    session, other = adopted.session, adopted.by
    assert len(_sealed(session, other)) == 1
    mirror.put(adopted.copy, adopted.content)
    assert adoption.adopt(other, adopted.lost).problems == []
    assert _sealed(session, other) == []
    assert set(Chunk.objects.values_list("state", flat=True)) == {State.ANCHORED}
    assert adoption.known(other).keys() == {other.spool.identity}


def test_the_spool_of_a_host_that_lives_is_not_adopted_whatever_its_takes_say(
    host: Installation, mirror: SpoolMirror, tmp_path: Path
) -> None:
    session = mirrored.recorded(host)
    mirror.acknowledge(host.spool)
    factories.end(session)
    other, lost = mirrored.another(host, tmp_path), host.spool.identity
    RecorderHost.objects.create(spool=lost, name="it lives")
    with pytest.raises(Retryable, match="heard from within the last half minute"):
        adoption.adopt(other, lost)
    assert adoption.known(other).keys() == {lost}
    RecorderHost.objects.update(seen_at=timezone.now() - lost_hosts.SILENT)
    # A lease that is further ahead than any is given was written under another clock.
    Take.objects.update(ended_at=None, lease_until=timezone.now() + timedelta(days=1))
    assert adoption.adopt(other, lost).segments == 3


def test_what_a_host_records_that_returns_while_it_is_adopted_stays_its_own(
    host: Installation, mirror: SpoolMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, lost = mirrored.recorded(host), host.spool.identity
    mirror.acknowledge(host.spool)
    other = mirrored.another(host, tmp_path)

    def come_back(place: str) -> None:
        """It is heard from, and goes on: with what the adoption has not listed."""
        if place != "adopt.filed" or RecorderHost.objects.exists():
            return
        RecorderHost.objects.create(spool=lost, name="it was cut off only")
        factories.acknowledge(session, host, counter=4)
        mirror.acknowledge(host.spool)
        intake.Intake(host.spool, mirror).scan()

    monkeypatch.setattr(failpoints, "reach", come_back)
    with pytest.raises(Retryable, match="heard from"):
        adoption.adopt(other, lost)
    assert not Take.objects.exclude(spool=lost, ended_at=None).exists()
    assert not Chunk.objects.filter(quarantined_at__isnull=False).exists()
    factories.end(session)
    for world in (host, other):
        reconcile.work_inline(world)
    session.refresh_from_db()
    report = verification.verify(session, deep=True)
    assert (session.status, report.findings, report.complete) == (Status.COMPLETED, [], True)


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
