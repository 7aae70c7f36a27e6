"""The programs that some tests want and that no wheel brings. `.ci/run` installs them all."""

import ctypes.util
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Never

import pytest

PROGRAMS = Path(__file__).parent.parent / ".venv" / "programs"
# The Debian packages of programs that are not called as their package is.
PACKAGES = {
    "Xvfb": "xvfb",
    "Xvnc": "tigervnc-standalone-server",
    "freerdp-shadow-cli": "freerdp2-shadow-x11",
    "ip": "iproute2",
    "openssl": "openssl",
    "pacat": "pulseaudio-utils",
    "pactl": "pulseaudio-utils",
    "parec": "pulseaudio-utils",
    "vncpasswd": "tigervnc-tools",
    "xfreerdp": "freerdp3-x11, or freerdp2-x11 on Debian 12",
    "xrdp-chansrv": "xrdp",
}


def needed(name: str, *, package: str = "") -> str:
    """The program's path; without it the test is skipped and says so, but in CI it fails."""
    found = shutil.which(name)
    return found or lacking(
        f"{name} is not installed: install the Debian package {package or PACKAGES.get(name, name)}."
    )


def fetched(name: str) -> Path:
    """What `deploy/scripts/test-programs` brings; without it as `needed`."""
    found = PROGRAMS / name
    return found if found.exists() else lacking(f"{name} is not there: run deploy/scripts/test-programs.")


def needed_root(why: str) -> None:
    """Nothing, for root; else as `needed`."""
    if os.geteuid() != 0:
        lacking(f"Only root can do this: {why}.")


def needed_library(name: str, *, package: str) -> None:
    """Nothing, where the shared library is installed; else as `needed`."""
    if ctypes.util.find_library(name) is None:
        lacking(f"lib{name} is not installed: install the Debian package {package}.")


LIBRARIES = {"cannot load library 'libxcb": "libxcb1", "Unable to find libfuse": "fuse3"}


def without_libraries(report: pytest.CollectReport) -> None:
    """Tests that cannot even be imported without a system library are skipped and say so; not in CI."""
    if not report.failed or os.environ.get("CI"):
        return
    for complaint, package in LIBRARIES.items():
        if complaint in str(report.longrepr):
            why = f"A library is not installed: install the Debian package {package}."
            report.outcome, report.longrepr = "skipped", (report.nodeid, 0, why)


def lacking(why: str) -> Never:
    """Skip with the reason; where CI runs, nothing may be skipped, so fail."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def refuse_skips(report: pytest.TestReport) -> None:
    """Where CI runs, a test that was skipped has failed: a mark can skip without asking `lacking`."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        report.outcome, report.longrepr = "failed", f"Nothing may be skipped in CI: {report.longrepr}"


def descendants(pid: int) -> list[int]:
    """The processes that this one started, and what those started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended while we looked
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found
