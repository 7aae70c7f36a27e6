"""Others vouch for the log: their word outlives the database, and shows a past that was written anew."""

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.errors import Refused, Tampered
from lucid_sessions.ledger import Anchor, Authority, Log
from lucid_sessions.recordings import anchoring, evidence, ledger_rows, reconcile, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Checkpoint
from tests import factories
from tests.authority import Stamper, stamping
from tests.recordings.archived import sealed
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stamper(tmp_path: Path, settings: object) -> Iterator[Stamper]:
    with stamping(tmp_path / "authority") as found:
        settings.LUCID_TIMESTAMP_URLS = {"clock-house": found.url}
        settings.LUCID_TIMESTAMP_ROOTS = str(found.roots)
        yield found


def test_without_authorities_nothing_is_asked(world: Installation) -> None:
    sealed(world)
    assert anchoring.tick(world) == 0
    assert verification.verify_log(world).integrity


def test_a_checkpoint_is_anchored_once_and_again_only_when_it_is_time(
    world: Installation, stamper: Stamper, settings: object
) -> None:
    assert anchoring.tick(world) == 0  # nothing is in the log yet
    sealed(world)
    assert [anchoring.tick(world) for _ in range(3)] == [1, 0, 0]
    size = world.log().size
    sealed(world, name="later")
    assert anchoring.tick(world) == 0  # there is more, but it was asked just now
    settings.LUCID_TIMESTAMP_HOURS = 0
    assert [anchoring.tick(world) for _ in range(2)] == [1, 0]
    assert [one.size for one in world.log().anchors.all()] == [world.log().size, size]
    assert stamper.stamped == 2
    assert verification.verify_log(world).integrity


def test_a_proof_that_no_longer_holds_is_a_finding_and_its_authority_is_asked_again(
    world: Installation, stamper: Stamper
) -> None:
    sealed(world)
    anchoring.tick(world)
    (anchor,) = world.log().anchors.all()
    proof = world.log().anchors.root / str(anchor.size) / anchor.file
    proof.write_bytes(proof.read_bytes()[:-40])
    sealed(world, name="later")
    assert [anchoring.tick(world) for _ in range(2)] == [1, 0]
    assert [one.size for one in world.log().anchors.all()] == [world.log().size, anchor.size]
    assert not verification.verify_log(world).integrity


def test_an_authority_that_is_away_holds_up_neither_archiving_nor_the_others(
    world: Installation, stamper: Stamper, settings: object
) -> None:
    settings.LUCID_TIMESTAMP_URLS = {"away": "http://127.0.0.1:9/", **settings.LUCID_TIMESTAMP_URLS}
    sealed(world)
    assert anchoring.tick(world) == 1
    assert [one.name for one in world.log().anchors.all()] == ["clock-house"]


def test_the_wait_for_somebodys_word_is_counted_until_it_comes(
    world: Installation, stamper: Stamper, settings: object
) -> None:
    assert anchoring.waiting_seconds(world) == {"clock-house": 0.0}  # there is nothing to vouch for
    sealed(world)
    Checkpoint.objects.update(created_at=timezone.now() - timedelta(hours=2))
    assert 7200 <= anchoring.waiting_seconds(world)["clock-house"] < 7300
    anchoring.tick(world)
    assert anchoring.waiting_seconds(world) == {"clock-house": 0.0}
    sealed(world, name="later")
    assert 0 < anchoring.waiting_seconds(world)["clock-house"] < 300


def test_settings_that_cannot_be_meant_are_refused(settings: object, tmp_path: Path) -> None:
    settings.LUCID_TIMESTAMP_URLS = {"house": "http://127.0.0.1:9/"}
    settings.LUCID_TIMESTAMP_ROOTS = ""
    with pytest.raises(Refused, match="LUCID_TIMESTAMP_ROOTS"):
        anchoring.authorities()
    settings.LUCID_TIMESTAMP_ROOTS = str(tmp_path / "none.pem")
    with pytest.raises(Refused, match=r"none\.pem, cannot be read"):
        anchoring.authorities()
    (tmp_path / "none.pem").write_bytes(b"x")
    settings.LUCID_TIMESTAMP_URLS = {"../house": "http://127.0.0.1:9/"}
    with pytest.raises(Refused, match="letters, digits and hyphens"):
        anchoring.authorities()


def test_a_past_written_anew_with_our_own_key_is_found(world: Installation, stamper: Stamper) -> None:
    sealed(world)
    anchoring.tick(world)
    (anchor,) = world.log().anchors.all()
    _write_another_past(world, size=anchor.size + 1)
    report = verification.verify_log(world)
    assert not report.integrity
    (problem,) = [one.problem for one in report.findings if "anchor" in one.problem]
    assert f"anchor of size {anchor.size} by clock-house" in problem
    assert "written anew" in problem


def test_a_forged_anchor_is_found(world: Installation, stamper: Stamper, tmp_path: Path) -> None:
    sealed(world)
    note = (world.log().checkpoint_text() or "").encode()
    with stamping(tmp_path / "impostor", name="Impostor") as impostor:
        proof = Authority("clock-house", impostor.url, impostor.roots.read_bytes()).stamp(note)
    world.log().anchors.add(Anchor(world.log().size, "clock-house", note, proof))
    report = verification.verify_log(world)
    assert [one.problem for one in report.findings if "clock-house" in one.problem]


def test_an_anchor_of_an_authority_that_is_no_longer_named_is_not_called_sound(
    world: Installation, stamper: Stamper, settings: object
) -> None:
    sealed(world)
    anchoring.tick(world)
    (anchor,) = world.log().anchors.all()
    at = anchoring.check(world.log(), anchor)
    assert at is not None
    assert abs((datetime.now(UTC) - at).total_seconds()) < 300
    settings.LUCID_TIMESTAMP_URLS = {}
    assert anchoring.check(world.log(), anchor) is None


def test_evidence_holds_the_first_anchored_checkpoint_and_openssl_believes_it(
    world: Installation, stamper: Stamper, tmp_path: Path
) -> None:
    for writer in world.keys.public["writers"]:
        ledger_rows.request("writer-added", key=f"writer-added:{writer['key_id']}", facts=writer)
    session = sealed(world)
    anchoring.tick(world)
    (anchor,) = world.log().anchors.all()
    sealed(world, name="later")  # the log has grown since: the proofs are still to what was anchored
    evidence.write(session, tmp_path / "evidence.zip")
    with zipfile.ZipFile(tmp_path / "evidence.zip") as bundle:
        bundle.extractall(tmp_path / "bundle")
    assert (tmp_path / "bundle/checkpoint").read_bytes() == anchor.note
    assert _openssl_believes(tmp_path / "bundle", stamper)
    done = subprocess.run(["python3", "-I", "verify.py"], cwd=tmp_path / "bundle", capture_output=True)
    assert done.returncode == 0, done.stdout
    assert b"anchors/clock-house.tsr names this checkpoint" in done.stdout
    changed = bytearray(anchor.note)
    changed[-2] ^= 1
    (tmp_path / "bundle/checkpoint").write_bytes(changed)
    assert not _openssl_believes(tmp_path / "bundle", stamper)


def test_commands_anchor_now_and_list_what_holds(
    world: Installation, stamper: Stamper, settings: object
) -> None:
    sealed(world)
    assert "clock-house vouches for the checkpoint" in _said("anchor")
    assert stamper.stamped == 1
    assert "clock-house vouches" in _said("anchor")
    assert stamper.stamped == 1  # of the same checkpoint once
    assert "records  clock-house  20" in _said("anchors")
    folder = world.log().anchors.root / str(world.log().size)
    (folder / "clock-house.tsr").write_bytes(b"0")
    assert "DOES NOT HOLD" in _said("anchors", code=1)
    settings.LUCID_TIMESTAMP_URLS = {}
    with pytest.raises(SystemExit) as end:
        call_command("ledger", "anchor")
    assert end.value.code == 2


def test_what_the_commands_say_of_anchors_is_there_for_programs_too(
    world: Installation, stamper: Stamper
) -> None:
    sealed(world)
    size, folder = world.log().size, world.log().anchors.root / str(world.log().size)
    assert json.loads(_said("anchors", "--json")) == {"anchors": []}
    mine = {"name": "clock-house", "size": size}
    assert json.loads(_said("anchor", "--json")) == {"vouched": [mine], "pending": []}
    (good,) = json.loads(_said("anchors", "--json"))["anchors"]
    assert good.items() >= (mine | {"holds": True}).items()
    assert good["told"] == good["at"] == datetime.fromisoformat(good["at"]).isoformat()
    (folder / "clock-house.tsr").write_bytes(b"0")
    (bad,) = json.loads(_said("anchors", "--json", code=1))["anchors"]
    assert (bad["holds"], bad["at"]) == (False, None)
    assert "DOES NOT HOLD" in bad["told"]


def test_a_chunk_that_is_recorded_while_an_authority_hangs_is_anchored_in_the_log(
    world: Installation, settings: object, tmp_path: Path
) -> None:
    session = factories.recorded_session(world)
    settings.LUCID_TIMESTAMP_URLS = {"away": "http://127.0.0.1:9/"}
    (tmp_path / "roots.pem").write_bytes(b"")
    settings.LUCID_TIMESTAMP_ROOTS = str(tmp_path / "roots.pem")
    anchoring.tick(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == "completed"


def test_a_note_that_names_another_size_is_refused(world: Installation, stamper: Stamper) -> None:
    sealed(world)
    note = (world.log().checkpoint_text() or "").encode()
    with pytest.raises(Tampered, match="is one of size"):
        Anchor(999, "clock-house", note, b"").checkpoint(world.log().vkey)


def _write_another_past(world: Installation, *, size: int) -> None:
    """A log of other records under the same key, as whoever holds key and pin could write."""
    kept = world.ledger_root / "anchors"
    for path in world.ledger_root.iterdir():
        if path != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    world.keys.log_pin.unlink()
    forged: Log = world.log_for_appending()
    forged.extend([b'{"kind":"forged","number":%d}' % number for number in range(size)])


def _openssl_believes(bundle: Path, stamper: Stamper) -> bool:
    argv = ["openssl", "ts", "-verify", "-in", "anchors/clock-house.tsr", "-data", "checkpoint"]
    argv += ["-CAfile", str(stamper.roots)]
    return (
        subprocess.run(argv, cwd=bundle, capture_output=True, timeout=PATIENCE, check=False).returncode == 0
    )


def _said(action: str, *options: str, code: int = 0) -> str:
    out, ended = io.StringIO(), 0
    try:
        call_command("ledger", action, *options, stdout=out)
    except SystemExit as end:
        ended = int(end.code or 0)
    assert ended == code
    return out.getvalue()


def test_an_anchored_note_that_is_not_text_any_more_is_a_finding(
    world: Installation, stamper: Stamper, tmp_path: Path
) -> None:
    session = sealed(world)
    anchoring.tick(world)
    (anchor,) = world.log().anchors.all()
    path = world.log().anchors.root / str(anchor.size) / "checkpoint"
    path.write_bytes(b"\x80" + path.read_bytes()[1:])
    (finding,) = verification.verify_log(world).findings
    assert "not text" in finding.problem
    with pytest.raises(Tampered, match="not text"):
        evidence.write(session, tmp_path / "evidence.zip")
