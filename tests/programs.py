"""The programs that some tests want and that no wheel brings. `.ci/run` installs them all."""

import ctypes.util
import os
import shutil
from pathlib import Path
from typing import Never

import pytest


def needed(name: str, *, package: str = "") -> str:
    """The program's path; without it the test is skipped and says so, but in CI it fails."""
    found = shutil.which(name)
    return found or lacking(f"{name} is not installed: install the Debian package {package or name}.")


def needed_library(name: str, *, package: str) -> None:
    """Nothing, where the shared library is installed; else as `needed`."""
    if ctypes.util.find_library(name) is None:
        lacking(f"lib{name} is not installed: install the Debian package {package}.")


def without_libxcb(report: pytest.CollectReport) -> None:
    """A module of tests that cannot even be imported without libxcb is skipped and says so; not in CI."""
    missing = "cannot load library 'libxcb" in str(report.longrepr)
    if report.failed and missing and not os.environ.get("CI"):
        why = "libxcb is not installed: install the Debian package libxcb1."
        report.outcome, report.longrepr = "skipped", (report.nodeid, 0, why)


def lacking(why: str) -> Never:
    """Skip with the reason; where CI runs, nothing may be skipped, so fail."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def descendants(pid: int) -> list[int]:
    """The processes that this one started, and what those started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found
