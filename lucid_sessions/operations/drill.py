"""What `make drill` does: record, back up, destroy everything, restore, and compare to the last bit.

Real parts throughout: the recorder with its children, the steps of the chain, the commands that an operator
would use, each in a process of its own as after a disaster.
"""

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connections

from lucid_sessions.errors import LucidError, Refused, Retryable
from lucid_sessions.operations.programs import RECORDER_STOP_SECONDS, environment
from lucid_sessions.recordings import installation as outside
from lucid_sessions.recordings import playback, reconcile, sealing, sessions, shredding
from lucid_sessions.recordings.lifecycle import ENDED, Status
from lucid_sessions.recordings.models import Session

SOURCE = "synthetic://320x180"
CONFIG = {"resolution": "320x180", "frame_rate": 10, "segment_seconds": 1.0}
PATIENCE_SECONDS = 120.0
# What an installation consists of; the backup lies outside.
EVERYTHING = ("spool", "blobs", "ledger", "keys", "lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
SHREDDED = "drill: shredded"
LATE = "drill: after the backup"


@dataclass
class Outcome:
    """What the drill found: exact copies of how many, and how long it took."""

    exact: int = 0
    sessions: int = 0
    readable_shredded: int = 0
    lost_late: int = 0
    backup_seconds: float = 0.0
    restore_seconds: float = 0.0
    verify_seconds: float = 0.0
    rpo_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


@contextmanager
def recorder(log: Path) -> Iterator[None]:
    """The recorder of this home, as long as the block lasts."""
    with log.open("ab") as out:
        process = subprocess.Popen(_manage("recorder"), env=environment(), stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(RECORDER_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def record(names: list[str], *, seconds: float) -> list[Session]:
    """Sessions of a drawn desktop, recorded at the same time, archived and sealed."""
    started = []
    for name in names:
        config = {**CONFIG, "maximum_seconds": seconds}
        started.append(sessions.start(sessions.create(SOURCE, name=name, recording_config=config)))
    deadline = time.monotonic() + PATIENCE_SECONDS + seconds
    while Session.objects.filter(pk__in=[one.pk for one in started]).exclude(status__in=ENDED).exists():
        reconcile.work_inline(outside.installation())
        if time.monotonic() > deadline:
            raise Retryable(f"The sessions were not sealed in time: see {settings.LUCID_HOME / 'log'}")
        time.sleep(0.2)
    return started


def shred(session: Session) -> None:
    """The session is shredded, and the log says so."""
    world = outside.installation()
    session.refresh_from_db()
    shredding.begin(session, cause="drill")
    shredding.advance(session, world=world)
    sealing.seal(world)
    session.refresh_from_db()
    if session.status != Status.DELETED:
        raise Retryable(f"The session was not shredded: {list(shredding.waits_for(session))}")


def backup(shelf: Path) -> float:
    """Seconds that `manage.py backup` took."""
    return _timed("backup", shelf, "--copy")


def fingerprints() -> dict[str, list[str]]:
    """By session, the SHA-256 of every segment, decrypted; empty for one that nobody can read."""
    found: dict[str, list[str]] = {}
    for session in Session.objects.order_by("created_at"):
        try:
            segments = [playback.segment(chunk) for chunk in playback.archived(session)]
        except LucidError:
            segments = []
        found[str(session.pk)] = [hashlib.sha256(one).hexdigest() for one in segments]
    return found


def destroy() -> None:
    """Nothing of the installation is left; Refused when any of it lies elsewhere than in its home."""
    if elsewhere := _elsewhere():
        raise Refused(f"Nothing was destroyed: outside {settings.LUCID_HOME} lie {', '.join(elsewhere)}.")
    connections.close_all()
    for name in EVERYTHING:
        path = settings.LUCID_HOME / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    outside.installation.cache_clear()
    outside.identity.cache_clear()


def _elsewhere() -> list[str]:
    """What of this installation is not below its home: directories, databases, stores."""
    world = outside.installation()
    targets = Path(settings.LUCID_TARGETS_PATH or world.keys_root)
    databases = [Path(one["NAME"]) for one in settings.DATABASES.values()]
    paths = [world.spool_root, world.blobs_root, world.ledger_root, world.keys_root, targets, *databases]
    stores = filter(None, [world.blobs_url, *world.also, world.tier_url, world.spool_url])
    return [*(str(one) for one in paths if not one.is_relative_to(settings.LUCID_HOME)), *stores]


def restore(shelf: Path) -> float:
    """Seconds that `manage.py restore` took, with a new log since nobody knows what the old one signed."""
    origin = f"{settings.LUCID_LEDGER_ORIGIN}/restored"
    return _timed("restore", shelf, "--log", "continue", "--origin", origin, "--spool-lost", "all")


def verify() -> float:
    """Seconds that `manage.py verify --all --deep` took to find everything intact and complete."""
    return _timed("verify", "--all", "--deep")


def compare(before: dict[str, list[str]], *, shredded: str, late: str) -> Outcome:
    """What came back, against what was there."""
    after, outcome = fingerprints(), Outcome()
    for session, segments in before.items():
        if session == shredded:
            outcome.readable_shredded += bool(after.get(session))
        elif session == late:
            outcome.lost_late += not after.get(session)
        else:
            outcome.sessions += 1
            outcome.exact += bool(segments) and after.get(session) == segments
    return outcome


def _timed(*arguments: object) -> float:
    began = time.perf_counter()
    done = subprocess.run(_manage(*arguments), env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Retryable(f"`manage.py {arguments[0]}` failed ({done.returncode}): {said[-1] if said else ''}")
    return time.perf_counter() - began


def _manage(*arguments: object) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *map(str, arguments)]
