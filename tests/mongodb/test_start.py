"""What a command does before it does anything, with MongoDB."""

import os
import subprocess
import sys
from pathlib import Path

from tests.operations.processes import ROOT

# Every program that is started while Django is set up and the backend imported.
WATCH = """
import sys
started = []
sys.addaudithook(lambda event, args: started.append(args) if event == "subprocess.Popen" else None)
import django
django.setup()
from django.db import connection
assert connection.vendor == "mongodb"
print(started)
import ctypes.util
print(ctypes.util.find_library("c"))
"""


def test_a_start_looks_for_no_maps_and_starts_no_program(tmp_path: Path) -> None:
    mine = {
        "DJANGO_SETTINGS_MODULE": "lucid_sessions.settings",
        "MONGODB_URL": "mongodb://127.0.0.1:1/lucid",
        "LUCID_HOME": str(tmp_path),
    }
    command = [sys.executable, "-c", WATCH]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | mine, capture_output=True, text=True, check=True
    )
    started, found = done.stdout.splitlines()
    assert started == "[]"
    # Whoever looks for a library afterwards finds it.
    assert found.startswith("libc.")
