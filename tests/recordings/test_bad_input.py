"""Bad input gives one clear line that names the thing and the fix, the right exit code, and no trace."""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from django.core.management import call_command

from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session, SessionKey
from tests.programs import lacking, needed_library

pytestmark = pytest.mark.django_db(transaction=True)


def _audio_only(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 44100), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("foo://x", {}, "unknown kind"),
        ("file:///nowhere/at-all.mp4", {}, "does not exist"),
        ("EMPTY", {}, "is empty (0 bytes)"),
        ("GARBAGE", {}, "is no video that can be read"),
        ("AUDIO", {}, "holds no pictures but only sound"),
        ("synthetic://640x480", {"duration": 0.0}, "Maximum duration 0.0 is out of range"),
        ("synthetic://640x480", {"fps": 0}, "Frame rate 0 is out of range"),
        ("synthetic://640x480", {"fps": 500}, "Frame rate 500 is out of range"),
        ("x11://:7777", {}, "no display :7777"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_one_line(
    world: Installation,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    options: dict[str, float],
    said: str,
) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "garbage.mp4").write_bytes(b"this is no video" * 100)
    _audio_only(tmp_path / "audio.mp4")
    files = {name.upper(): (tmp_path / f"{name}.mp4").as_uri() for name in ("empty", "garbage", "audio")}
    if source.startswith("x11:"):
        needed_library("xcb", package="libxcb1")
    with pytest.raises(SystemExit) as exit_:
        call_command("record", files.get(source, source), **options)
    told = capsys.readouterr().err.strip()
    assert exit_.value.code == 2
    assert said in told
    assert len(told.splitlines()) == 1
    assert (Session.objects.count(), SessionKey.objects.count()) == (0, 0)
    assert not (world.keys_root / "sessions").exists()


def test_a_full_disk_refuses_before_anything_is_made(
    world: Installation, settings: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.LUCID_STORAGE_MIN_FREE_GIB = 1_000_000.0
    with pytest.raises(SystemExit) as exit_:
        call_command("record", "synthetic://640x480")
    assert exit_.value.code == 3
    assert "Free space or lower LUCID_STORAGE_MIN_FREE_GIB" in capsys.readouterr().err
    assert Session.objects.count() == 0


def test_a_wrong_password_is_named(
    world: Installation, settings: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    from lucid_sessions.recordings import installation

    settings.ENCRYPTION_PASSWORD = "not the right one at all"
    installation.identity.cache_clear()
    from tests import factories

    session = factories.recorded_session(world)
    with pytest.raises(SystemExit) as exit_:
        call_command("verify", str(session.pk), deep=True)
    installation.identity.cache_clear()
    assert exit_.value.code == 2
    assert "ENCRYPTION_PASSWORD" in capsys.readouterr().err


def test_json_says_the_error_too(world: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("record", "foo://x", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["exit"] == 2
    assert "unknown kind" in told["error"]


def test_a_place_that_cannot_be_written_is_a_wrong_argument(tmp_path: Path) -> None:
    there = f"mount -t tmpfs -o ro tmpfs {tmp_path}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", there], check=False).returncode:
        lacking("this machine lets nobody mount in a name space of their own: user namespaces are needed.")
    command = f"{there} && exec {sys.executable} manage.py migrate_store --export {tmp_path}/rows.zst"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"the directory {tmp_path} cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
