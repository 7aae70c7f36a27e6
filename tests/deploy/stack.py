"""The five services as Compose starts them, without containers: the same programs and environment, the same
accounts, access lists and key shares, on a real MongoDB and two real Redis."""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.parts import PORTS, ROOT, env_file, environment_of, run, said, services
from tests.deploy.serving import await_ready
from tests.ports import free_port
from tests.waiting import PATIENCE

# The API as Kubernetes and Swarm run it: more than one, of which one is replaced at a time.
SECOND_API = "session-api+2"
MEMBERS = (*PORTS, SECOND_API)
SEE_ALL_KEYS = ("keys-init", "backup", "restore")
STOP_SECONDS = 60


@dataclass(frozen=True)
class Standing:
    """Where the services run; `secrets` holds what deploy/make_secrets.py made."""

    home: Path
    secrets: Path
    # The checkout that a service runs, by its name; this one unless another is named.
    code: dict[str, Path] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in MEMBERS})
    programs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        """What Compose gives the service, its container's directories moved under `home`."""
        own, name = f"tmp-{name}", name.partition("+")[0]
        keys = self.home / ("keys" if name in SEE_ALL_KEYS else f"shares/{name}")
        variables = env_file() | {
            "LUCID_LEDGER_ORIGIN": "sessions.test/log",
            "LUCID_STORAGE_MIN_FREE_GIB": "0.1",
            # All the load comes from one user.
            "RATE_LIMIT_ENABLED": "false",
            "LUCID_WEBHOOK_ALLOW": "127.0.0.0/8",
        }
        told = environment_of(services()[name], variables=variables)
        told = {key: value.replace("/run/secrets", str(self.secrets)) for key, value in told.items()}
        return told | {
            "PATH": os.environ["PATH"],
            "LUCID_HOME": str(self.home / own),
            "LUCID_KEYS_PATH": str(keys),
            "LUCID_LEDGER_PATH": str(self.home / "ledger"),
            "CHUNK_STORAGE_PATH": str(self.home / "chunks"),
            "SESSION_STORAGE_PATH": str(self.home / "spool"),
            "LUCID_TARGETS_PATH": str(self.home / "targets"),
            "LUCID_RESULTS_PATH": str(self.home / "results"),
            "LUCID_BACKUP_URL": str(self.home / "backups"),
            "LUCID_BACKUP_KEYS": str(self.home / "backup-keys"),
        }

    def manage(self, *words: str, service: str) -> str:
        """What `manage.py` said in that service's environment; it must succeed."""
        where = self.code.get(service, ROOT)
        # A migration on MongoDB makes a hundred indexes, each of them durable before the next.
        ended = run(
            sys.executable, "manage.py", *words, env=self.environment(service), cwd=where, timeout=PATIENCE
        )
        assert ended.returncode == 0, said(ended)
        return ended.stdout

    def prepare(self) -> None:
        """What the one-shots do."""
        for name in ("ledger", "chunks", "spool", "targets", "results"):
            (self.home / name).mkdir()
        self.manage("migrate", "--no-input", service="migrate")
        self.manage("keys", "init", service="keys-init")
        self.share_keys()

    def share_keys(self) -> None:
        """What `keys-share` does, by the code that this service runs."""
        script = self.code.get("keys-share", ROOT) / "deploy/docker/share_keys.py"
        shared = run(sys.executable, script, self.home / "keys", self.home / "shares")
        assert shared.returncode == 0, said(shared)
        # One volume under Compose, mounted in all of them.
        (self.home / "keys/sessions").mkdir(exist_ok=True)
        for name in ("session-api", "session-storage"):
            sessions = self.home / "shares" / name / "sessions"
            if not sessions.is_symlink():
                sessions.rmdir()
                sessions.symlink_to(self.home / "keys/sessions")

    def answer(self, name: str, path: str) -> tuple[int, str]:
        """The status and body of a service's own address."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=60) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError as error:
            return 0, str(error)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All five are up and ready within the block; after it each has ended on SIGTERM."""
        try:
            self.start(*PORTS)
            yield
        finally:
            self.stop(*self.programs)

    def start(self, *names: str) -> None:
        """Each of these runs and is ready."""
        for name in names:
            self.programs[name] = self._begun(name)
        for name in names:
            await_ready(
                lambda name=name: self.is_ready(name), program=self.programs[name], log=self.log(name)
            )  # type: ignore[misc]

    def stop(self, *names: str) -> None:
        """Each of these has ended, as a container does on `docker stop`."""
        # All at once, since each takes its time to stop in order.
        ending = [self.programs.pop(name) for name in names]
        for program in ending:
            program.terminate()
        for program in ending:
            try:
                program.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)

    def is_ready(self, name: str) -> bool:
        """Whether it says that it can do its work."""
        return self.answer(name, "/health/ready")[0] == 200

    def log(self, name: str) -> Path:
        """What it has said, from its first start on."""
        return self.home / f"{name}.log"

    def _begun(self, name: str) -> "subprocess.Popen[bytes]":
        service = name.partition("+")[0]
        words = [sys.executable, "manage.py", "service", service, "--port", str(self.ports[name])]
        # Nothing of this test's own environment may reach the service.
        with self.log(name).open("ab") as out:
            return subprocess.Popen(
                words,
                env=self.environment(name),
                cwd=self.code.get(name, ROOT),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
