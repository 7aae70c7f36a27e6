"""An installation in a home of its own, worked by processes of its own: it can be lost and restored."""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.operations.backup.forks import ROOT, Forks

CREDENTIALS = (("AWS_ACCESS_KEY_ID", "for-tests"), ("AWS_SECRET_ACCESS_KEY", "any secret will do"))
PLACES = ("spool", "blobs", "ledger", "keys", "lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")


@dataclass(frozen=True)
class Site:
    """One installation: its home, and what else its processes find in their environment."""

    home: Path
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "MONGODB_URL")
        found = {name: os.environ[name] for name in kept if name in os.environ}
        if "MONGODB_URL" in found:
            # A database of this home's own on the server that the environment names.
            server, _, options = found["MONGODB_URL"].partition("?")
            found["MONGODB_URL"] = f"{server.rstrip('/')}/{_name(self.home)}?{options}"
        return found | {
            "LUCID_HOME": str(self.home),
            "LUCID_PROFILE": "embedded",
            "LUCID_LEDGER_ORIGIN": "test.invalid/backed-up",
            "LUCID_STORAGE_MIN_FREE_GIB": "0",
            "DJANGO_SETTINGS_MODULE": "lucid_sessions.settings",
            "LOG_LEVEL": "ERROR",
            "PYTHONPATH": str(ROOT),
            **dict(self.extra),
        }

    def manage(self, *arguments: object, expect: int | None = 0) -> "Said":
        """What `manage.py` said; its exit code is as expected (None: any)."""
        return _run([str(ROOT / "manage.py"), *map(str, arguments)], self, expect)

    def python(self, code: str, expect: int | None = 0) -> "Said":
        """What a script inside the installation said."""
        begin = "import django; django.setup()\n"
        return _run(["-c", begin + code], self, expect)

    def facts(self, code: str) -> Any:
        """What the script's `found` holds, by JSON."""
        said = self.python(f"{code}\nimport json; print(json.dumps(found, default=str, sort_keys=True))")
        return json.loads(said.out.splitlines()[-1])

    def lose(self, *places: str) -> None:
        """These parts of the home are gone, by default all."""
        for place in places or PLACES:
            path = self.home / place
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if not places or "lucid.sqlite3" in places:
            self.remove_database()

    def files(self) -> dict[str, bytes]:
        """Every file of the home but its locks, the database and local copies of buckets."""
        kept = [folder for folder in self.home.iterdir() if folder.name != "backup-work"]
        paths = [path for folder in kept for path in (folder, *folder.rglob("*")) if path.is_file()]
        return {
            str(path.relative_to(self.home)): path.read_bytes()
            for path in paths
            if "lock" not in path.name and not path.name.startswith("lucid.sqlite3")
        }

    def twin(self, home: Path) -> "Site":
        """A copy of the installation at another home."""
        shutil.copytree(self.home, home)
        if "MONGODB_URL" in os.environ:
            client = _mongo()
            for name in client[_name(self.home)].list_collection_names():
                rows = client[_name(self.home)][name]
                rows.aggregate([{"$out": {"db": _name(home), "coll": name}}])
                for index, facts in rows.index_information().items():
                    if index != "_id_":
                        options = {key: facts[key] for key in facts if key not in ("key", "v", "ns")}
                        client[_name(home)][name].create_index(facts["key"], name=index, **options)
        return Site(home, self.extra)

    def remove_database(self) -> None:
        """The MongoDB database of this home is gone; SQLite's goes with the home."""
        if "MONGODB_URL" in os.environ:
            _mongo().drop_database(_name(self.home))


@dataclass(frozen=True)
class Said:
    """How a process ended, and what it printed."""

    code: int
    out: str
    err: str


def _mongo() -> Any:
    from pymongo import MongoClient

    return MongoClient(os.environ["MONGODB_URL"])


def _name(home: Path) -> str:
    return "lucid_" + hashlib.sha256(str(home).encode()).hexdigest()[:12]


def _run(arguments: list[str], site: Site, expect: int | None) -> Said:
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        code = _forks.run(arguments, env=site.environment, out=out, err=err)
        said = Said(code, out.read_text(), err.read_text())
    assert expect is None or said.code == expect, f"{arguments[-6:]} ended with {said}"
    return said


_forks = Forks()
atexit.register(_forks.end)

POPULATE = """
from tests import factories
from lucid_sessions.recordings import sealing, pipeline
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.models import Chunk
def record(name, segments=3, sealed=True):
    world = installation()
    session = factories.recorded_session(world, segments=segments, name=name)
    ids = list(Chunk.objects.filter(session=session).values_list("pk", flat=True))
    pipeline.run(["capture", "compress", "encrypt", "store"], ids, world=world)
    if sealed:
        sealing.seal(world)
    return session
"""

# The same password opens in a tenth of the time; the cost that users have is tested with the slots.
CHEAP_SLOT = """
from lucid_sessions.archive.slots import SlotCost, make_slot
from lucid_sessions.operations.backup.recovery import unlock
from lucid_sessions.recordings.installation import installation
root = installation().keys.root
password, salt = ((root / "secrets" / f"encryption_{name}").read_bytes() for name in ("password", "salt"))
(slot,) = (root / "slots").glob("*.lsk")
facts = {"password": password, "salt": salt, "repository": installation().keys.repository}
slot.write_bytes(make_slot(unlock(installation()), **facts, cost=SlotCost(64 << 10, passes=1, lanes=4)))
"""

# Runs something in a child, which shares the start-up; `dies_at` kills it at a failpoint.
CHILDREN = """
import os, signal
from django.db import connections
from lucid_sessions.recordings import failpoints
def child(act, place=""):
    connections.close_all()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            failpoints.arm(place)
            act()
            code = 0
        except BaseException:
            import traceback; traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""

ROWS = """
from lucid_sessions.operations.backup import rows
# All but what the backup itself notes once it has succeeded.
found = sorted(line.decode() for line in rows.lines() if b'"pk": "backup"' not in line)
"""


def build(home: Path) -> Site:
    """A fresh installation with two sealed sessions."""
    site = Site(home)
    site.manage("prepare")
    site.python(CHEAP_SLOT + POPULATE + "record('first'); record('second')")
    return site
