"""The keys for a cluster, made by the very lines of docs/deployment.md; kubectl is a stand-in that looks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lucid_sessions.recordings.keyring import Keyring
from tests.deploy.parts import DEPLOY, ROOT, said
from tests.deploy.stores import make_secrets

# Notes each object with the files that it would hold; a file that is not there is an error.
KUBECTL = """#!/bin/sh
for word in "$@"; do case "$word" in --from-file=*) from=${word#*=};; *) name=$word;; esac; done
echo "$name $(find "$from" -maxdepth 1 -type f -printf '%f ')" >>objects
test -e "$from"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the lines were run, as in a clone of this repository."""
    home = tmp_path_factory.mktemp("clone")
    (home / "deploy").mkdir()
    (home / "deploy/docker").symlink_to(DEPLOY / "docker")
    make_secrets(home / "deploy/secrets")
    (home / "manage.py").symlink_to(ROOT / "manage.py")
    (home / ".venv").symlink_to(sys.prefix)
    (home / "kubectl").write_text(KUBECTL)
    (home / "kubectl").chmod(0o755)
    guide = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^3\. \*\*Keys\*\*.*?```sh\n(.*?)```", guide, flags=re.M | re.S)
    ended = subprocess.run(
        ["sh", "-eu", "-c", lines],
        cwd=home,
        env={"PATH": f"{home}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, said(ended)
    return home


def test_the_cluster_is_given_each_key_where_its_files_look_for_it(made: Path) -> None:
    objects = {line.split()[0]: set(line.split()[1:]) for line in (made / "objects").read_text().splitlines()}
    assert objects.pop("keys-public") == {"repository.json"}
    assert [name.suffix for name in map(Path, objects.pop("keys-slots"))] == [".lsk"]
    assert objects.pop("keys-backup") == {f"{one}.key" for one in ("backup", *KEYS.values())}
    assert objects == {f"keys-{name}": {f"{key}.key"} for name, key in KEYS.items()}
    for name in objects:
        assert f"secretName: {name}" in "".join(
            one.read_text() for one in (DEPLOY / "k8s/base").glob("*.yaml")
        )


KEYS = {
    "session-api": "creator",
    "pipeline-manager": "log",
    "session-recorder": "recorder",
    "chunk-processor": "writer",
    "session-storage": "webhook",
}


def test_the_archive_opens_with_the_password_of_the_secrets_and_no_other_lies_about(made: Path) -> None:
    secrets = made / "deploy/secrets"
    password, salt = ((secrets / f"encryption_{name}").read_text().strip() for name in ("password", "salt"))
    assert Keyring(made / "keys").unlock(password, salt)
    assert sorted(path.name for path in (made / "keys").rglob("encryption_*")) == []
