"""Authority, witness and chain, all real, vouch side by side: none waits, and one bundle holds all."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.ledger import Account, Log
from lucid_sessions.recordings import anchoring, evidence, ledger_rows, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Checkpoint
from tests.authority import Stamper, stamping
from tests.outside import CHAIN_ID, PAYING, Anvil, Observer, anvil, witness
from tests.recordings.archived import sealed
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

EVM = f"evm-{CHAIN_ID}"
A_WITNESS = "witness.example/w1+2229cb68+BMwvmo1yOY1IpB67cYxtkV8IrhxWC2Tf5OCDLJfLQov1"


@pytest.fixture(scope="module")
def chain() -> Iterator[Anvil]:
    with anvil() as found:
        yield found


@pytest.fixture
def node(chain: Anvil, settings: Any) -> Anvil:
    settings.LUCID_EVM_URL, settings.LUCID_EVM_CHAIN_ID = chain.url, CHAIN_ID
    settings.LUCID_EVM_KEY, settings.LUCID_EVM_CONFIRMATIONS = PAYING, 2
    chain.do("anvil_dropAllTransactions")
    return chain


@pytest.fixture
def observer(world: Installation, tmp_path: Path, settings: Any) -> Iterator[Observer]:
    with witness(tmp_path / "witness", origin=world.keys.log_origin, vkey=world.keys.log_vkey) as found:
        settings.LUCID_WITNESS_URLS = {"witness-one": found.url}
        settings.LUCID_WITNESS_KEYS = {"witness-one": found.vkey}
        yield found


@pytest.fixture
def stamper(tmp_path: Path, settings: Any) -> Iterator[Stamper]:
    with stamping(tmp_path / "authority") as found:
        settings.LUCID_TIMESTAMP_URLS = {"clock-house": found.url}
        settings.LUCID_TIMESTAMP_ROOTS = str(found.roots)
        yield found


def test_one_bundle_holds_the_word_of_all_three_and_is_checked_without_us(
    world: Installation, node: Anvil, observer: Observer, stamper: Stamper, tmp_path: Path
) -> None:
    for writer in world.keys.public["writers"]:
        ledger_rows.request("writer-added", key=f"writer-added:{writer['key_id']}", facts=writer)
    session = sealed(world)
    assert anchoring.tick(world) == 2  # the chain has it, and it is not final there
    sealed(world, name="later")
    node.mine(2)
    assert [anchoring.tick(world) for _ in range(2)] == [1, 0]
    assert {one.file for one in world.log().anchors.all()} == {
        "clock-house.tsr",
        "witness-one.cosigned",
        f"{EVM}.evm.json",
    }
    assert verification.verify_log(world).integrity
    evidence.write(session, tmp_path / "evidence.zip")
    with zipfile.ZipFile(tmp_path / "evidence.zip") as bundle:
        bundle.extractall(tmp_path / "bundle")
    assert _run(tmp_path / "bundle", "verify.py", code=0).count("names this checkpoint") == 3
    account = Account.from_text(PAYING).address
    said = _run(
        tmp_path / "bundle", "verify_anchors.py", "--witness-key", observer.vkey, "--account", account, code=0
    )
    assert "cosigned by witness.example/w1 at 20" in said
    assert f"of chain {CHAIN_ID} carries this checkpoint's digest, signed by {account}" in said
    assert "NOT CHECKED" in _run(tmp_path / "bundle", "verify_anchors.py", code=0)
    assert "sent by" in _run(tmp_path / "bundle", "verify_anchors.py", "--account", "0x" + "1" * 40, code=1)
    other = observer.vkey[:-1] + ("A" if observer.vkey[-1] != "A" else "B")
    assert "does not hold" in _run(tmp_path / "bundle", "verify_anchors.py", "--witness-key", other, code=1)
    _check_forgeries(tmp_path / "bundle", observer)


def test_what_was_asked_for_and_is_not_in_the_bundle_does_not_hold(
    world: Installation, stamper: Stamper, tmp_path: Path
) -> None:
    session = sealed(world)
    anchoring.tick(world)
    evidence.write(session, tmp_path / "evidence.zip")
    bundle = tmp_path / "bundle"
    with zipfile.ZipFile(tmp_path / "evidence.zip") as members:
        members.extractall(bundle)
    account, key = "0x" + "1" * 40, A_WITNESS
    for taken_out in (False, True):
        assert f"no transaction signed by {account}" in _run(
            bundle, "verify_anchors.py", "--account", account, code=1
        )
        assert "no cosignature by " + key.partition("+")[0] in _run(
            bundle, "verify_anchors.py", "--witness-key", key, code=1
        )
        assert ("nobody vouches" in _run(bundle, "verify_anchors.py", code=0)) == taken_out
        manifest = json.loads((bundle / "manifest.json").read_text())
        kept = {name: one for name, one in manifest["files"].items() if not name.startswith("anchors/")}
        (bundle / "manifest.json").write_text(json.dumps({**manifest, "files": kept}))


def test_each_stands_for_itself(
    world: Installation, node: Anvil, observer: Observer, stamper: Stamper, settings: Any
) -> None:
    settings.LUCID_EVM_CHAIN_ID, settings.LUCID_TIMESTAMP_ROOTS = 1, ""
    sealed(world)
    assert anchoring.tick(world) == 1
    assert [one.name for one in world.log().anchors.all()] == ["witness-one"]


def test_a_chain_is_asked_for_no_more_than_a_transaction_a_day(
    world: Installation, node: Anvil, settings: Any
) -> None:
    before = node.sent()
    for number in range(2):
        sealed(world, name=f"session {number}", segments=1)
        anchoring.tick(world)
        node.mine(2)
        anchoring.tick(world)
    assert node.sent() == before + 1
    assert anchoring.waiting_seconds(world) == {EVM: 0.0}  # it is not due for a day
    settings.LUCID_EVM_HOURS = 0
    assert anchoring.waiting_seconds(world)[EVM] > 0
    anchoring.tick(world)
    node.mine(2)
    assert anchoring.tick(world) == 1
    assert anchoring.waiting_seconds(world) == {EVM: 0.0}


def test_a_chain_that_never_answered_is_overdue_after_a_day(world: Installation, settings: Any) -> None:
    settings.LUCID_EVM_URL, settings.LUCID_EVM_KEY = "http://127.0.0.1:9/", PAYING
    sealed(world)
    assert anchoring.tick(world) == 0
    assert anchoring.waiting_seconds(world) == {"evm-1": 0.0}
    Checkpoint.objects.update(created_at=timezone.now() - timedelta(hours=30))
    assert 21_500 <= anchoring.waiting_seconds(world)["evm-1"] < 21_700


def test_commands_tell_what_is_sent_what_is_final_and_what_the_chain_holds(
    world: Installation, node: Anvil, settings: Any
) -> None:
    before = node.do("evm_snapshot")
    sealed(world)
    size = world.log().size
    assert f"{EVM} has the checkpoint of {size} records; it is not final yet" in _said("anchor", code=3)
    node.mine(2)
    assert f"{EVM} vouches for the checkpoint of {size} records" in _said("anchor")
    assert "in the chain, 2 blocks deep" in _said("anchors")
    assert "sound" in _said("verify")
    settings.LUCID_EVM_URL = "http://127.0.0.1:9/"
    assert "whether the chain holds it is not known" in _said("anchors")
    assert "sound" in _said("verify")  # what cannot be asked is no finding
    settings.LUCID_EVM_URL = node.url
    node.do("evm_revert", before)
    assert "does not find" in _said("anchors", code=1)
    assert "NOT SOUND" in _said("verify", code=1)
    assert anchoring.tick(world) == 0
    node.mine(2)
    assert anchoring.tick(world) == 1
    assert "in the chain" in _said("anchors")


def test_where_the_key_is_not_anchors_are_verified_and_none_is_sent(
    world: Installation, node: Anvil, settings: Any
) -> None:
    sealed(world)
    anchoring.tick(world)
    node.mine(2)
    anchoring.tick(world)
    settings.LUCID_EVM_KEY, settings.LUCID_EVM_ACCOUNTS = "", [Account.from_text(PAYING).address.upper()[2:]]
    with pytest.raises(Refused, match="LUCID_EVM_ACCOUNTS names"):
        anchoring.authorities()
    settings.LUCID_EVM_ACCOUNTS = [Account.from_text(PAYING).address]
    assert "in the chain" in _said("anchors")
    sealed(world, name="later")
    settings.LUCID_EVM_HOURS = 0
    assert anchoring.tick(world) == 0
    assert world.log().anchors.sent(EVM) is None
    settings.LUCID_EVM_ACCOUNTS = ["0x" + "1" * 40]
    assert "does not name" in _said("anchors", code=1)
    # A word that does not hold is none: whoever is on call is told, however often it comes.
    assert anchoring.waiting_seconds(world)[EVM] > 0


def test_settings_that_cannot_be_meant_are_refused(settings: Any) -> None:
    settings.LUCID_WITNESS_URLS = {"witness-one": "http://127.0.0.1:9/"}
    settings.LUCID_WITNESS_KEYS = {"witness-one": A_WITNESS}
    assert [one.name for one in anchoring.authorities()] == ["witness-one"]
    for name, value, why in (
        ("LUCID_WITNESS_KEYS", {}, "has no key of witness-one"),
        ("LUCID_WITNESS_KEYS", {"witness-one": "x"}, "not a verifier key"),
        ("LUCID_WITNESS_URLS", {"a/b": "http://127.0.0.1:9"}, "letters, digits and hyphens"),
    ):
        before = getattr(settings, name)
        setattr(settings, name, value)
        with pytest.raises(Refused, match=why):
            anchoring.authorities()
        setattr(settings, name, before)
    settings.LUCID_EVM_URL = "http://127.0.0.1:9/"
    with pytest.raises(Refused, match="set LUCID_EVM_KEY"):
        anchoring.authorities()
    settings.LUCID_EVM_KEY, settings.LUCID_EVM_CONFIRMATIONS = PAYING, 0
    with pytest.raises(Refused, match="at least 1"):
        anchoring.authorities()


def test_two_that_ask_at_once_do_not_both_pay(world: Installation, node: Anvil) -> None:
    sealed(world)
    with world.log().anchors.alone():
        assert anchoring.tick(world) == 0
        with pytest.raises(Retryable, match="Another process is asking"):
            anchoring.anchor_now(world)
    assert world.log().anchors.sent(EVM) is None


def test_a_copy_gets_the_words_that_came_later_for_a_checkpoint_that_it_has(
    world: Installation, node: Anvil, stamper: Stamper, tmp_path: Path
) -> None:
    sealed(world)
    anchoring.tick(world)
    copy = Log(tmp_path / "copy", vkey=world.log().vkey).anchors
    copy.bring(world.log().anchors)
    node.mine(2)
    anchoring.tick(world)
    copy.bring(world.log().anchors)
    assert [one.file for one in copy.all()] == ["clock-house.tsr", f"{EVM}.evm.json"]


def _check_forgeries(bundle: Path, observer: Observer) -> None:
    """Another transaction in the anchor's place, and a cosignature of something else, are found offline."""
    path = bundle / f"anchors/{EVM}.evm.json"
    said = json.loads(path.read_text())
    digest = said["digest"]
    for forged in (
        said["transaction"].replace(digest, "00" * 32),
        said["transaction"][:-1] + ("1" if said["transaction"][-1] == "0" else "0"),
        "0x01" + said["transaction"][4:],
        "0x02",
    ):
        path.write_text(json.dumps({**said, "transaction": forged}))
        assert "FAIL" in _run(bundle, "verify_anchors.py", "--account", said["from"], code=1)
    path.write_text(json.dumps(said))
    cosigned = bundle / "anchors/witness-one.cosigned"
    cosigned.write_bytes(cosigned.read_bytes()[:-10] + b"AAAAAAAA=\n")
    assert "FAIL" in _run(bundle, "verify_anchors.py", "--witness-key", observer.vkey, code=1)


def _run(bundle: Path, script: str, *arguments: str, code: int) -> str:
    """What a verifier says, run as its user does: isolated, from the bundle."""
    argv = [sys.executable, "-I", script, *arguments]
    done = subprocess.run(argv, cwd=bundle, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def _said(action: str, *, code: int = 0) -> str:
    out, ended = io.StringIO(), 0
    try:
        call_command("ledger", action, stdout=out, stderr=out)
    except SystemExit as end:
        ended = int(end.code or 0)
    assert ended == code, out.getvalue()
    return out.getvalue()
