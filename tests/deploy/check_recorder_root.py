"""The recorder's own image as a root directory: a private display and an RDP client beside Python.

`make image-recorder` runs it. It is not among the tests: its root is 850 MB, and all else that the tests say
of images is said of the other root. The desktop is the demonstration's, outside the root; the recorder's
service in the root connects to it, starts its Xvfb and FreeRDP 3 there, and what it records is whole.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import spaces
from tests.deploy.containers import NOBODY, Containers, effective, made_root
from tests.deploy.imaged import imaged, listens
from tests.deploy.parts import DEPLOY, said, system_tool
from tests.deploy.serving import await_ready, started

MANAGE = ("/usr/bin/python3", "/app/manage.py")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """All services, in the recorder's root."""
    with (
        made_root("recorder", home=tmp_path_factory.mktemp("image")) as root,
        imaged(root, home=tmp_path_factory.mktemp("containers")) as made,
    ):
        yield made


def test_the_recorder_runs_as_nobody_and_its_health_check_says_yes(running: Containers) -> None:
    assert running.is_healthy("session-recorder")
    assert set(effective(running.programs["session-recorder"].pid)["Uid"]) == {str(NOBODY)}


def test_the_library_that_looks_at_displays_is_found(running: Containers) -> None:
    ended = running.ask("session-recorder", "/usr/bin/python3", "-c", "import xcffib; print(xcffib.soname)")
    assert "libxcb.so.1" in said(ended)


def test_an_rdp_desktop_is_recorded_to_its_verified_end(running: Containers, tmp_path: Path) -> None:
    for name, package in (("xrdp", "xrdp"), ("Xvnc", "tigervnc-standalone-server")):
        system_tool(name, package=package)
    log = tmp_path / "log"
    desktop = (sys.executable, str(DEPLOY / "docker/demo_desktop.py"), "--address", "127.0.0.1")
    words = spaces.inside(running.space, *desktop, "--home", str(tmp_path / "home"))
    with started(*words, log=log) as program:
        await_ready(lambda: listens(3389, pid=program.pid), program=program, log=log)
        (fingerprint,) = re.findall(r"fingerprint (\S+)", log.read_text())
        source = ("rdp://anybody@127.0.0.1", "--fingerprint", fingerprint, "--password-stdin")
        recorded = running.ask(
            "session-api", *MANAGE, "record", *source, *["--duration", "5", "--wait", "--json"], told="any\n"
        )
    assert json.loads(recorded.stdout)["status"] == "completed", said(recorded)
    checked = running.ask("session-api", *MANAGE, "verify", "--all", "--deep")
    assert checked.returncode == 0, said(checked)
