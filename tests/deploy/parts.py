"""The deployment files as values, and the real tools that check them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import lacking
from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

# Whole installations of dozens of processes: beside each other they are slower than one after the other.
ONE_AT_A_TIME = pytest.mark.xdist_group("whole installations")

# DESIGN 2: port, queues' services; Flower has no health of ours.
PORTS = {
    "session-api": 8087,
    "pipeline-manager": 8083,
    "session-recorder": 8084,
    "chunk-processor": 8085,
    "session-storage": 8086,
}
WORKERS = ("pipeline-manager", "session-recorder", "chunk-processor", "session-storage", "flower")
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?:(?P<rule>:?[-?])(?P<other>[^}]*))?\}")


@cache
def compose() -> dict[str, Any]:
    """docker-compose.yml with its anchors resolved."""
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


def env_file(path: Path = ROOT / ".env.example") -> dict[str, str]:
    """The variables that an .env file sets, as Compose and a shell read it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: value.strip('"') for name, value in pairs}


def filled(text: str, *, variables: Mapping[str, str]) -> str:
    """The text with `${NAME-default}` as Compose would put it; ValueError where Compose would stop."""

    def value(match: re.Match[str]) -> str:
        name, rule, other = match["name"], match["rule"] or "", match["other"] or ""
        given = variables.get(name)
        if given is not None and (given or not rule.startswith(":")):
            return given
        if rule.endswith("?"):
            raise ValueError(f"{name}: {other}")
        return other

    return VARIABLE.sub(value, text).replace("$$", "$")


def environment_of(service: Mapping[str, Any], *, variables: Mapping[str, str]) -> dict[str, str]:
    """The service's variables as Compose sets them; those without a value only where it knows one."""
    named: Mapping[str, object] = service.get("environment", {})
    passed = {name: variables[name] for name, value in named.items() if value is None and name in variables}
    return passed | {
        name: filled(str(value), variables=variables) for name, value in named.items() if value is not None
    }


def strings(value: object) -> Iterator[str]:
    """Every string in a tree of mappings and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, Sequence):
        for part in value:
            yield from strings(part)


def tool(name: str, *, package: str) -> str:
    """The path of a program of ours (a wheel's) or the system's that checks deployment files."""
    return _found(name, package=package, path=str(Path(sys.executable).parent))


def system_tool(name: str, *, package: str) -> str:
    """The system's, where a wheel brings an older one of that name."""
    return _found(name, package=package, path="")


def _found(name: str, *, package: str, path: str) -> str:
    """Its path; without the program the test is skipped and says so, but in CI it fails."""
    places = [*([path] if path else []), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    return found or lacking(f"{name} is not installed, so its files were not checked: install {package}.")


def run(*command: str | Path, timeout: float = PATIENCE, **options: Any) -> subprocess.CompletedProcess[str]:
    """The ended program with its words, whatever its exit status."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout, **options)


def said(ended: subprocess.CompletedProcess[str]) -> str:
    return ended.stdout + ended.stderr
