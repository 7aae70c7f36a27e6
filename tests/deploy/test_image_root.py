"""The images' content without an engine: Debian 13's packages and the hashed requirements as a directory.

In it every service runs as nobody on a read-only root, and together they take a recording to its verified
end. The recorder's own root, which has a desktop beside Python: check_recorder_root.py.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.containers import NOBODY, Containers, effective, made_root
from tests.deploy.imaged import STARTED, imaged
from tests.deploy.parts import DEPLOY, ONE_AT_A_TIME, run, said

pytestmark = ONE_AT_A_TIME


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root directory of every image but the recorder's."""
    with made_root("runtime", home=tmp_path_factory.mktemp("image")) as root:
        yield root


@pytest.fixture(scope="module")
def running(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The services, started in it after the one-shots."""
    with imaged(image, home=tmp_path_factory.mktemp("containers")) as made:
        yield made


def test_there_is_no_program_but_python(image: Path) -> None:
    programs = {path.name for folder in ("usr/bin", "usr/sbin") for path in (image / folder).iterdir()}
    assert {name for name in programs if not re.fullmatch(r"python3[\d.]*", name)} == set()
    setuid = [path for path in image.rglob("*") if path.is_file() and path.lstat().st_mode & 0o6000]
    assert setuid == []


def test_it_has_the_directories_that_the_dockerfile_makes() -> None:
    wanted = set(re.findall(r"/state/(\S+)", (DEPLOY / "docker/Dockerfile").read_text().split("chmod -R")[0]))
    script = (DEPLOY / "docker/make-root").read_text()
    (made,) = re.findall(r"for state in (storage/chunks .*?); do", script, flags=re.S)
    assert set(made.replace("\\\n", " ").split()) == wanted


def test_the_recorders_root_has_the_packages_of_its_stage() -> None:
    stage = re.search(
        r"install -y --no-install-recommends (ca-certificates .*?) \\\n +&&",
        (DEPLOY / "docker/Dockerfile").read_text(),
        re.DOTALL,
    )
    script = re.search(r'recorder\) packages="(.*?)"', (DEPLOY / "docker/make-root").read_text())
    assert stage
    assert script
    # A root without dpkg wants what debian:trixie-slim has anyway to be named.
    anyway = {"base-files", "dash", "libc-bin", "netbase", "tzdata", "util-linux"}
    assert set(stage[1].replace("\\", "").split()) == set(script[1].split()) - anyway


@pytest.mark.parametrize("name", STARTED)
def test_a_service_runs_as_nobody_and_its_health_check_says_yes(running: Containers, name: str) -> None:
    assert running.is_healthy(name)
    found = effective(running.programs[name].pid)
    assert set(found["Uid"]) == {str(NOBODY)}
    assert (found["CapEff"], found["CapPrm"], found["NoNewPrivs"]) == (["0" * 16], ["0" * 16], ["1"])


def test_what_is_in_it_can_be_listed_for_scanners(image: Path) -> None:
    # It loads jsonschema, which makes forty parsers of addresses: too much for whoever merely collects tests.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    told = run(sys.executable, DEPLOY / "docker/sbom.py", image, "lucid-session-api", "0.1.0").stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(told) is None
    names = {part["name"]: part["purl"] for part in json.loads(told)["components"]}
    assert names["django"].startswith("pkg:pypi/django@5.2.")
    assert names["libc6"].startswith("pkg:deb/debian/libc6@")
    installed = list((image / "opt/packages").glob("*.dist-info"))
    assert len(names) == len(installed) + len(list((image / "var/lib/dpkg/status.d").iterdir()))


def test_nothing_can_be_written_but_its_volumes_and_tmp(running: Containers) -> None:
    tried = (
        "import sys\nfor place in ('/app', '/opt/packages', '/usr/bin', '/', '/keys', '/tmp', '/results'):\n"
    )
    tried += " try: open(place + '/x', 'w').close(); print(place)\n except OSError: pass"
    ended = running.ask("session-api", "/usr/bin/python3", "-c", tried)
    assert said(ended).split() == ["/tmp", "/results"]


def test_a_recording_goes_through_them_to_its_verified_end(running: Containers) -> None:
    manage = ("/usr/bin/python3", "/app/manage.py")
    words = ("record", "synthetic://320x240", "--duration", "2", "--wait", "--json")
    recorded = running.ask("session-api", *manage, *words)
    assert json.loads(recorded.stdout)["status"] == "completed", said(recorded)
    checked = running.ask("session-api", *manage, "verify", "--all", "--deep")
    assert checked.returncode == 0, said(checked)
