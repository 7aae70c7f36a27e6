"""A real RDP desktop through recorder, workers, ledger and back; its password is found nowhere on the way."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from django.apps import apps
from django.core import serializers

from lucid_sessions.recordings import playback, sealing, sessions, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import QUEUES, Status
from lucid_sessions.recordings.models import LedgerRecord, Session
from tests import servers
from tests.recorder.remote import ALLOWED, PASSWORD, USER, shadow
from tests.tasks.workers import end, environment, workers
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_remote_desktop_is_archived_and_its_password_is_nowhere(
    world: Installation, tmp_path: Path, settings: pytest.FixtureRequest
) -> None:
    settings.LUCID_TARGET_ALLOW = list(ALLOWED)  # type: ignore[attr-defined]
    log = tmp_path / "recorder.log"
    with servers.redis_server() as redis_url, shadow(tmp_path / "server") as server:
        env = environment(world, redis_url, LUCID_TARGET_ALLOW=ALLOWED[0], LUCID_STORAGE_MIN_FREE_GIB="0")
        source = f"rdp://{USER}@127.0.0.1:{server.port}?ignore_cert=1"
        config = {"frame_rate": 10, "resolution": "800x600", "quality": "low", "segment_seconds": 1.0}
        with workers(",".join(QUEUES), env=env, logs=tmp_path), log.open("wb") as out:
            argv = [sys.executable, "manage.py", "recorder"]
            recorder = subprocess.Popen(argv, env=env, stdout=out, stderr=out, start_new_session=True)
            try:
                session = sessions.create(source, name="desk", recording_config=config, password=PASSWORD)
                sessions.start(session)
                until(lambda: state(session) == Status.RECORDING)
                assert_hidden(world, tmp_path)
                until(lambda: session.chunks.count() >= 3)  # type: ignore[attr-defined]
                sessions.stop(session)
                until(lambda: sealed(session, world), every=0.5)
                until(lambda: not list((world.keys_root / "targets").glob("*")))
                recorder.send_signal(signal.SIGTERM)
                assert recorder.wait(PATIENCE) == 0
            finally:
                end(recorder)
    assert_hidden(world, tmp_path)
    report = verification.verify(session, deep=True)
    assert (report.findings, report.complete) == ([], True)
    assert playback.export(session, tmp_path / "out.mp4")
    (audit,) = LedgerRecord.objects.filter(kind="audit")
    assert '"certificate_checked":"not checked"' in audit.entry


def assert_hidden(world: Installation, tmp_path: Path) -> None:
    """No argument, environment, row, file or log has the password in it."""
    secret = PASSWORD.encode()
    for process in Path("/proc").glob("[0-9]*"):
        for what in ("cmdline", "environ"):
            try:
                assert secret not in (process / what).read_bytes()
            except OSError:
                continue
    for model in apps.get_app_config("recordings").get_models():
        assert PASSWORD not in serializers.serialize("json", model.objects.all())
    for root in {tmp_path, world.spool_root, world.blobs_root, world.ledger_root, world.keys_root}:
        for folder, _, names in os.walk(root):
            for path in (Path(folder, name) for name in names):
                with suppress(FileNotFoundError):  # renamed or taken away while everything is at work
                    assert path.is_symlink() or secret not in path.read_bytes(), path


def state(session: Session) -> str:
    return str(Session.objects.values_list("status", flat=True).get(pk=session.pk))


def sealed(session: Session, world: Installation) -> bool:
    """There is no beat here, so what it would ask for is asked for by us."""
    if state(session) == Status.PROCESSING:
        sealing.seal(world)
    return state(session) == Status.COMPLETED
