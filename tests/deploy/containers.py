"""Processes in the images' root directories as an engine starts them, where there is no engine.

A container here: a mount namespace with the root read-only, /tmp and /dev/shm in memory, Compose's volumes,
secrets and environment, the Dockerfile's environment, user 65532, no capabilities, no new privileges, chroot.
What an engine adds beyond that (a network, process ids and limits of its own) is not here.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.parts import DEPLOY, ROOT, env_file, filled, run, said, services, system_tool
from tests.ports import free_port
from tests.programs import lacking

NOBODY = 65532
PROGRAM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Arguments: the root, the number of mounts, "FROM TO MODE" each, then the command.
ENTER = """
set -eu
root=$1 mounts=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root" && mount -o remount,ro,bind "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp" && mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/dev/shm"
while [ "$mounts" -gt 0 ]; do
    mount --bind "$1" "$root$2" && mount -o "remount,$3,bind" "$root$2"
    shift 3; mounts=$((mounts - 1))
done
exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid \\
    chroot --groups=65532 --userspec=65532:65532 "$root" "$@"
"""


def make_root(kind: str, *, into: Path) -> Path:
    """The directory that deploy/docker/make-root has filled."""
    if os.geteuid() != 0:
        lacking("Only root can build and enter the images' root directory: run the tests as root.")
    system_tool("mmdebstrap", package="mmdebstrap")
    # Here the bind mounts of volumes and secrets go.
    ended = subprocess.run(
        [DEPLOY / "docker/make-root", kind, into], capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, said(ended)
    (into / "run/secrets").mkdir(parents=True)
    (into / "dev/shm").mkdir(exist_ok=True)
    return into


def environment_of(target: str) -> dict[str, str]:
    """ENV of a stage of the Dockerfile and of those that it builds on."""
    text = (DEPLOY / "docker/Dockerfile").read_text()
    found = re.search(rf"^FROM (\S+) AS {target}$(.*?)(?=^FROM |\Z)", text, flags=re.M | re.S)
    if found is None:
        return {}
    told = environment_of(found[1])
    for block in re.findall(r"^ENV ((?:.*\\\n)*.*)$", found[2], flags=re.M):
        told |= dict(word.split("=", 1) for word in block.replace("\\\n", " ").split())
    return told


@dataclass(frozen=True)
class Containers:
    """Compose's services in `root`; volumes lie under `home`, `secrets` are deploy/make_secrets.py's."""

    root: Path
    home: Path
    secrets: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in services()})
    programs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def words(self, name: str, *command: str) -> list[str]:
        """The command line that enters the container of `name` and runs `command` in it."""
        mounts = [str(self.secrets), "/run/secrets", "ro"]
        for mount in services()[name].get("volumes", []):
            source, path, mode = (*mount.split(":"), "rw")[:3]
            mounts += [str(self._volume(source, path)), path, mode]
        count = str(len(mounts) // 3)
        return ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(self.root), count, *mounts, *command]

    def environment(self, name: str) -> dict[str, str]:
        """What an engine would set for it."""
        service = services()[name]
        target = service.get("build", {}).get("target", "runtime")
        variables = env_file() | {
            "LUCID_LEDGER_ORIGIN": "image.test/log",
            "LUCID_STORAGE_MIN_FREE_GIB": "0.1",
        }
        told = {k: filled(str(v), variables=variables) for k, v in service.get("environment", {}).items()}
        return {"PATH": PROGRAM_PATH} | environment_of(target) | told

    def ask(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command in a fresh container of that service, ended."""
        return run(*self.words(name, *command), env=self.environment(name), cwd=ROOT)

    def one_shot(self, name: str) -> None:
        """The service ran to its end, well."""
        service = services()[name]
        ended = self.ask(name, *service["entrypoint"], *service["command"])
        assert ended.returncode == 0, said(ended)

    def start(self, name: str) -> None:
        """The service's process has been started."""
        command = ["/usr/bin/python3", "/app/manage.py", "service", name, "--port", str(self.ports[name])]
        with self.log(name).open("ab") as out:
            self.programs[name] = subprocess.Popen(
                self.words(name, *command), env=self.environment(name), stdout=out, stderr=subprocess.STDOUT
            )

    def stop(self) -> None:
        """Every service has ended, on SIGTERM or by force."""
        for program in self.programs.values():
            program.terminate()
        for program in self.programs.values():
            try:
                program.wait(60)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def is_healthy(self, name: str) -> bool:
        """What the image's health check says, on this container's port."""
        kind, *command = services()[name]["healthcheck"]["test"]
        assert kind == "CMD"
        told = [re.sub(r"(?<=127\.0\.0\.1:)\d+", str(self.ports[name]), word) for word in command]
        return self.ask(name, *told).returncode == 0

    def log(self, name: str) -> Path:
        """What it has said."""
        return self.home / f"{name}.log"

    def _volume(self, name: str, path: str) -> Path:
        """The volume's directory; a fresh one takes the owner and mode of what it covers."""
        volume = self.home / "volumes" / name
        if not volume.exists():
            covered = self.root / path.lstrip("/")
            volume.mkdir(parents=True, mode=0o700)
            os.chown(volume, covered.stat().st_uid, covered.stat().st_gid)
        return volume


def effective(pid: int) -> dict[str, Any]:
    """Who a process is, by the kernel: user ids, capabilities, whether it may gain any."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: lines[name].split() for name in ("Uid", "CapEff", "CapPrm", "NoNewPrivs")}


def removed(root: Path) -> None:
    """The root is gone from the disk."""
    shutil.rmtree(root, ignore_errors=True)
