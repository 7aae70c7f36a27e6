"""The programs that some tests want and that no wheel brings. `.ci/run` installs them all."""

import os
import shutil
from typing import Never

import pytest


def needed(name: str, *, package: str = "") -> str:
    """The program's path; without it the test is skipped and says so, but in CI it fails."""
    found = shutil.which(name)
    return found or lacking(f"{name} is not installed: install the Debian package {package or name}.")


def lacking(why: str) -> Never:
    """Skip with the reason; where CI runs, nothing may be skipped, so fail."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
