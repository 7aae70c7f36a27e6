"""What every process of ours would have in memory for nothing is not loaded."""

import os
import subprocess
import sys
from pathlib import Path

from .processes import ROOT

# FFmpeg's libraries, numpy and rich: forty megabytes, for those that look into pictures or paint tracebacks.
LOADED = """
import sys
import django
django.setup()
import lucid_sessions.urls, tasks.celery, tasks.pipeline
print(sorted({"av", "numpy", "rich"} & set(sys.modules)))
import rich.console
"""


def test_services_load_no_library_that_only_some_work_needs(tmp_path: Path) -> None:
    mine = {"DJANGO_SETTINGS_MODULE": "lucid_sessions.settings", "LUCID_HOME": str(tmp_path)}
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | mine, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
