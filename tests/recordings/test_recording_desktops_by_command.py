"""`manage.py record rdp://..`: the certificate first, then the password, and that where nobody sees it."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from lucid_sessions.recordings import targets
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import RecorderHost, Session
from tests.recorder.test_targets import make_certificate, tls_server
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "Tristan-da-Cunha-1961"
ASK = "from lucid_sessions.recordings.management.desktops import *; import hashlib\n" + (
    "t = parse('rdp://operator@192.0.2.7'); p = password_for(t, {'password_stdin': False})\n"
    "print('sha', hashlib.sha256(p.encode()).hexdigest())"
)


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Any:
    settings.LUCID_TARGET_ALLOW = ["127.0.0.0/8"]
    settings.LUCID_STORAGE_MIN_FREE_GIB = 0
    make_certificate(tmp_path)
    with tls_server(tmp_path) as port:
        yield port


def record(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("record", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(str(end.code or 0)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_an_unpinned_server_shows_its_fingerprint_and_gets_no_password(
    world: Installation, server: int
) -> None:
    code, _, told = record(f"rdp://operator@127.0.0.1:{server}")
    assert code == 2
    fingerprint = told.partition("SHA-256 ")[2][:64]
    assert "No password was sent" in told
    assert not Session.objects.exists()
    code, _, told = record(f"rdp://operator@127.0.0.1:{server}", "--fingerprint", fingerprint)
    assert (code, "--password-stdin" in told) == (2, True)
    assert not Session.objects.exists()


def test_a_script_gives_the_password_on_standard_input(
    world: Installation, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\nmore\n"))
    RecorderHost.objects.create(spool="8c3d7a1c", name="desk-3")
    source = f"rdp://operator@127.0.0.1:{server}"
    code, out, told = record(
        source.replace("rdp", "RDP"), "--ignore-cert", "--domain", "corp", "--password-stdin"
    )
    assert (code, told) == (0, "")
    session = Session.objects.get()
    assert session.source == f"{source}?domain=corp&ignore_cert=1"
    assert targets.password_of(world.keys, session.pk) == PASSWORD
    assert PASSWORD not in out


def test_the_terminal_is_asked_without_showing_what_is_typed() -> None:
    ours, theirs = pty.openpty()
    asked = subprocess.Popen(
        [sys.executable, "-c", ASK], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    while b"Password of operator@192.0.2.7:3389: " not in seen:
        seen += os.read(ours, 1024)
    os.write(ours, PASSWORD.encode() + b"\n")
    while b"sha " not in seen:
        seen += os.read(ours, 1024)
    assert asked.wait(PATIENCE) == 0
    os.close(ours)
    assert PASSWORD.encode() not in seen


@pytest.mark.parametrize("source", ["rdp://u@[::1", "x11://[0", "rdp://u@a..b", "vnc://" + "a" * 64])
def test_what_is_no_address_is_refused_in_one_line(world: Installation, source: str) -> None:
    code, _, told = record(source)
    assert code == 2
    assert told.count("\n") == 1
    assert source.partition("@")[2] in told
    assert not Session.objects.exists()


def test_a_kind_in_capitals_is_the_same_kind(world: Installation, settings: Any) -> None:
    settings.LUCID_STORAGE_MIN_FREE_GIB = 0
    assert record("SYNTHETIC://320x180")[0] == 0
    assert Session.objects.get().source == "synthetic://320x180"


def test_what_no_recorder_takes_is_not_said_to_be_recording(world: Installation, settings: Any) -> None:
    settings.LUCID_STORAGE_MIN_FREE_GIB = 0
    code, out, told = record("synthetic://", "--detach")
    assert (code, "waits for a recorder: synthetic://" in out) == (0, True)
    assert "`manage.py recorder` runs" in told
    RecorderHost.objects.create(spool="8c3d7a1c", name="desk-3")
    code, out, told = record("synthetic://", "--detach")
    assert (code, "recording synthetic://" in out, told) == (0, True, "")
