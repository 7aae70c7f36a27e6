"""Passwords of desktops: sealed for one session, opened by recorders only, gone when the session is."""

import json
import os
import time
from uuid import uuid4

import pytest

from lucid_sessions import archive
from lucid_sessions.errors import Refused, Tampered
from lucid_sessions.recordings import intake, keyring, sessions, targets
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import LedgerRequest, Session
from recorder.supervisor import Event

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "Tristan-da-Cunha-ü-1961"
SOURCE = "rdp://operator@192.0.2.7"


def kept(world: Installation) -> list[str]:
    return sorted(path.name for path in (world.keys_root / "targets").glob("*"))


def view(world: Installation) -> DatabaseView:
    return DatabaseView(world.spool, intake.Intake(world.spool), host="test")


def test_a_password_is_sealed_of_one_length_and_opens_for_its_session_only() -> None:
    recorder, repository, session = archive.Identity.generate(), b"r" * 16, uuid4()
    place = {"repository": repository, "session": session}
    sealed = archive.seal_password(PASSWORD, **place, to=recorder.recipient)
    assert len(sealed) == len(archive.seal_password("x", **place, to=recorder.recipient))
    assert archive.open_password(sealed, **place, by=recorder) == PASSWORD
    for wrong in (
        {**place, "session": uuid4(), "by": recorder},
        {**place, "repository": b"s" * 16, "by": recorder},
        {**place, "by": archive.Identity.generate()},
    ):
        with pytest.raises(Tampered):
            archive.open_password(sealed, **wrong)
    with pytest.raises(Refused, match="510 bytes"):
        archive.seal_password("x" * 511, **place, to=recorder.recipient)


def test_the_recorder_gets_the_password_with_its_claim(world: Installation) -> None:
    session = sessions.create(SOURCE, name="a desktop", password=PASSWORD)
    sessions.start(session)
    path = world.keys_root / "targets" / f"{session.pk}.sealed"
    assert path.stat().st_mode & 0o777 == 0o600
    tenure = view(world).claim(session.pk)
    assert tenure is not None
    assert tenure.secret == PASSWORD
    assert PASSWORD not in repr(tenure)


def test_no_row_and_no_file_shows_the_password(world: Installation) -> None:
    session = sessions.create(SOURCE, name="a desktop", password=PASSWORD)
    row = Session.objects.filter(pk=session.pk).values().get()
    assert PASSWORD not in repr(row)
    for path in world.keys_root.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()


@pytest.mark.parametrize("kind", ["ended", "failed"])
def test_the_password_goes_when_the_session_ends(world: Installation, kind: str) -> None:
    session = sessions.create(SOURCE, name="a desktop", password=PASSWORD)
    sessions.start(session)
    recorder = view(world)
    tenure = recorder.claim(session.pk)
    assert tenure is not None
    recorder.beat()
    assert len(kept(world)) == 1
    recorder.report(session.pk, tenure.take, Event(kind, "over"))  # type: ignore[arg-type]
    recorder.beat()
    assert kept(world) == []


def test_the_password_of_a_session_that_nobody_took_goes_when_it_is_stopped(world: Installation) -> None:
    session = sessions.create(SOURCE, name="a desktop", password=PASSWORD)
    sessions.start(session)
    sessions.stop(session)
    recorder = view(world)
    recorder.wanted()
    recorder.beat()
    assert kept(world) == []


def test_a_password_waits_for_its_session_to_be_written_but_not_for_ever(world: Installation) -> None:
    unborn = uuid4()
    targets.keep(world.keys, unborn, PASSWORD)
    view(world).beat()
    assert len(kept(world)) == 1
    old = time.time() - 2 * targets.UNBORN_SECONDS
    os.utime(world.keys_root / "targets" / f"{unborn}.sealed", (old, old))
    view(world).beat()
    assert kept(world) == []


def test_a_password_that_cannot_be_opened_ends_the_session_with_a_reason(world: Installation) -> None:
    session = sessions.create(SOURCE, name="a desktop", password=PASSWORD)
    sessions.start(session)
    path = world.keys_root / "targets" / f"{session.pk}.sealed"
    sealed = path.read_bytes()
    path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert view(world).claim(session.pk) is None
    session.refresh_from_db()
    assert "cannot be opened" in session.reason


def test_an_older_keyring_gets_a_recorders_key_on_the_next_init(world: Installation) -> None:
    path = world.keys_root / "repository.json"
    public = json.loads(path.read_text())
    del public["recorder"]
    path.write_text(json.dumps(public))
    ring = keyring.Keyring(world.keys_root)
    with pytest.raises(Refused, match="keys init"):
        targets.keep(ring, uuid4(), PASSWORD)
    ring = keyring.create(world.keys_root, origin="", password="", salt="")
    session = uuid4()
    targets.keep(ring, session, PASSWORD)
    assert targets.password_of(ring, session) == PASSWORD
    assert ring.public | {"recorder": ""} == public | {"recorder": ""}


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("rdp://operator:Saxifrage@192.0.2.7", "holds a password"),
        ("rdp://192.0.2.7", "names no user"),
        ("rdp://operator@127.0.0.1", "this machine itself"),
        ("rdp://operator@169.254.169.254", "clouds keep"),
        ("vnc://[::ffff:127.0.0.1]", "this machine itself"),
        ("rdp://operator@192.0.2.7?fingerprint=12", "64 hexadecimal digits"),
        ("rdp://operator@192.0.2.7?ignore_cert=yes", "ignore_cert=1"),
    ],
)
def test_an_address_that_cannot_work_leaves_nothing(world: Installation, source: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        sessions.create(source, name="a desktop", password=PASSWORD)
    assert "Saxifrage" not in str(refused.value)
    assert not Session.objects.exists()
    assert kept(world) == []


@pytest.mark.parametrize("password", [f"{PASSWORD}\n", f"{PASSWORD}\nand more", f"{PASSWORD}\rmore"])
def test_a_password_of_which_rdp_would_send_the_first_line_is_refused(
    world: Installation, password: str
) -> None:
    with pytest.raises(Refused, match=r"password: .* has a line break") as refusal:
        sessions.create(SOURCE, name="a desktop", password=password)
    assert PASSWORD not in str(refusal.value)
    assert not Session.objects.exists()
    assert sessions.create("vnc://192.0.2.7", name="takes it whole", password=password)


def test_rdp_wants_a_password_and_other_sources_none(world: Installation) -> None:
    with pytest.raises(Refused, match="password is needed"):
        sessions.create(SOURCE, name="a desktop")
    with pytest.raises(Refused, match="only rdp"):
        sessions.create("synthetic://64x48", name="a desktop", password=PASSWORD)
    assert sessions.create("vnc://192.0.2.7", name="an open desktop").source == "vnc://192.0.2.7:5900"


def test_which_certificate_was_accepted_goes_to_the_ledger(world: Installation) -> None:
    session = sessions.create(SOURCE, name="a desktop", password=PASSWORD)
    facts = {
        "server": "192.0.2.7:3389",
        "certificate_sha256": "ab" * 32,
        "certificate_checked": "not checked",
    }
    view(world).report(session.pk, 1, Event("connected", "", facts))
    asked = LedgerRequest.objects.get(kind="audit")
    assert asked.facts == {
        "event": "connected",
        "session": str(session.pk),
        "take": 1,
        "certificate_sha256": "ab" * 32,
        "certificate_checked": "not checked",
    }
