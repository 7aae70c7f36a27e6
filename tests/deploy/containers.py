"""Processes in the images' root directories as an engine starts them, where there is no engine.

A container here: a mount namespace with the root read-only, /tmp and /dev/shm in memory, Compose's volumes,
secrets and environment, the Dockerfile's environment, user 65532, no capabilities, no new privileges, chroot;
and one network namespace for all of them, where each has its own port and is asked by its own health check.
What an engine adds beyond that (a network, process ids and limits for each) is not here.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy import spaces
from tests.deploy.parts import DEPLOY, ROOT, env_file, environment_of, run, said, services, system_tool
from tests.programs import lacking

NOBODY = 65532
# What a root takes, roughly.
ROOT_KIB = 700 * 1024
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


@contextlib.contextmanager
def made_root(kind: str, *, home: Path) -> Iterator[Path]:
    """The directory that deploy/docker/make-root fills, within the block."""
    if os.geteuid() != 0:
        lacking("Only root can build and enter the images' root directory: run the tests as root.")
    system_tool("mmdebstrap", package="mmdebstrap")
    into = home / "root"
    with _in_memory(home):
        ended = subprocess.run(
            [DEPLOY / "docker/make-root", kind, into],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, said(ended)
        # Here the bind mounts of volumes and secrets go.
        (into / "run/secrets").mkdir(parents=True)
        (into / "dev/shm").mkdir(exist_ok=True)
        yield into


@contextlib.contextmanager
def _in_memory(home: Path) -> Iterator[None]:
    """What is written to `home` goes to memory, where there is plenty, and is gone after the block.

    Twenty thousand small files that nobody needs afterwards would keep a disk busy for a minute.
    """
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    plenty = int(lines["MemAvailable"].split()[0]) > 8 * ROOT_KIB
    if plenty:
        mounted = run("mount", "-t", "tmpfs", "-o", f"mode=0755,size={2 * ROOT_KIB}k", "tmpfs", home)
        assert mounted.returncode == 0, said(mounted)
    try:
        yield
    finally:
        if plenty:
            run("umount", "--lazy", home)
        else:
            shutil.rmtree(home, ignore_errors=True)


def image_environment(target: str) -> dict[str, str]:
    """ENV of a stage of the Dockerfile and of those that it builds on."""
    told: dict[str, str] = {}
    for stage in reversed(list(_stages(target))):
        for block in re.findall(r"^ENV ((?:.*\\\n)*.*)$", stage, flags=re.M):
            told |= dict(word.split("=", 1) for word in block.replace("\\\n", " ").split())
    return told


def command_of(target: str) -> list[str]:
    """ENTRYPOINT and CMD of a stage, its own or those of what it builds on."""

    def nearest(instruction: str) -> list[str]:
        said = (re.search(rf"^{instruction} (\[.*\])$", stage, flags=re.M) for stage in _stages(target))
        return list(json.loads(next(one[1] for one in said if one)))

    return [*nearest("ENTRYPOINT"), *nearest("CMD")]


def _stages(target: str) -> Iterator[str]:
    """The text of a stage of the Dockerfile, then that of the one that it builds on, and so on."""
    text = (DEPLOY / "docker/Dockerfile").read_text()
    while found := re.search(
        rf"^FROM (\S+) AS {re.escape(target)}$(.*?)(?=^FROM |\Z)", text, flags=re.M | re.S
    ):
        yield found[2]
        target = found[1]


@dataclass(frozen=True)
class Containers:
    """Compose's services in `root`; volumes lie under `home`, `secrets` are deploy/make_secrets.py's.

    All of them are in the network namespace `space`.
    """

    root: Path
    home: Path
    secrets: Path
    space: str
    programs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def words(self, name: str, *command: str) -> list[str]:
        """The command line that enters the container of `name` and runs `command` in it."""
        mounts = [str(self.secrets), "/run/secrets", "ro"]
        for mount in services()[name].get("volumes", []):
            source, path, mode = (*mount.split(":"), "rw")[:3]
            mounts += [str(self._volume(source, path)), path, mode]
        count = str(len(mounts) // 3)
        entered = ("unshare", "--mount", "sh", "-c", ENTER, "sh", str(self.root), count, *mounts, *command)
        return spaces.inside(self.space, *entered)

    def environment(self, name: str) -> dict[str, str]:
        """What an engine would set for it."""
        service = services()[name]
        target = service.get("build", {}).get("target", "runtime")
        variables = env_file() | {
            "LUCID_LEDGER_ORIGIN": "image.test/log",
            "LUCID_STORAGE_MIN_FREE_GIB": "0.1",
            "LUCID_TARGET_ALLOW": "127.0.0.0/8",
        }
        told = environment_of(service, variables=variables)
        return {"PATH": PROGRAM_PATH} | image_environment(target) | told

    def ask(self, name: str, *command: str, told: str = "") -> "subprocess.CompletedProcess[str]":
        """A command in a fresh container of that service, ended; `told` is its input."""
        return run(*self.words(name, *command), env=self.environment(name), cwd=ROOT, input=told)

    def one_shot(self, name: str) -> None:
        """The service ran to its end, well."""
        service = services()[name]
        ended = self.ask(name, *service["entrypoint"], *service["command"])
        assert ended.returncode == 0, said(ended)

    def start(self, name: str) -> None:
        """The service's process has been started."""
        command = command_of(services()[name]["build"]["target"])
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
        """What its health check says."""
        kind, *command = services()[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.ask(name, *command).returncode == 0

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
