"""What `make run` and `make demo` install is enough for all of the product, whatever tests need besides."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.programs import needed_library

ROOT = Path(__file__).parent.parent
RUN = ("base", "embedded", "bootstrap")
IMPORT_ALL = """
import importlib, os, pkgutil, sys
lacking = set(sys.argv[1].split())
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in lacking:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Lacking())
os.environ["DJANGO_SETTINGS_MODULE"] = "lucid_sessions.settings"
import django
django.setup()
found = 0
for package in ("lucid_sessions", "recorder", "tasks"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not module.name.startswith("lucid_sessions.mongodb"):
            importlib.import_module(module.name)
            found += 1
print(found)
"""


def _named(requirements: Path) -> set[str]:
    names = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==", requirements.read_text(), re.MULTILINE)
    return {_plain(name) for name in names}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_whole_product_can_be_imported_with_what_run_installs() -> None:
    # A source of its own says so when its library is missing; nothing else imports it.
    needed_library("xcb", package="libxcb1")
    there = set().union(*(_named(ROOT / "requirements" / f"{name}.txt") for name in RUN))
    lacking = [
        module for module, names in packages_distributions().items() if not there & {_plain(n) for n in names}
    ]
    lacking = [name for name in lacking if name not in ("lucid_sessions", "recorder", "tasks")]
    assert {"pymongo", "pytest", "schemathesis"} <= set(lacking)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, " ".join(lacking)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 200
