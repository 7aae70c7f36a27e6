"""The archive can be read on a machine that has none of our services."""

import subprocess
import sys

import lucid_sessions.archive as archive


def test_importing_the_archive_brings_in_no_framework() -> None:
    code = "import sys, lucid_sessions.archive; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.split(".")[0] for name in done.stdout.split()}
    assert roots.isdisjoint({"django", "celery", "kombu", "redis", "rest_framework", "recorder", "tasks"})


def test_the_front_door_names_exactly_what_it_offers() -> None:
    assert sorted(archive.__all__) == sorted(set(archive.__all__))
    assert all(hasattr(archive, name) for name in archive.__all__)
