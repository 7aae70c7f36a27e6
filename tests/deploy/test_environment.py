"""The application accepts what Compose gives each service, and refuses the example unchanged."""

import os
import sys
from pathlib import Path

import pytest

from tests.deploy.parts import PORTS, ROOT, WORKERS, env_file, filled, run, said, services, system_tool

SHOW = (
    "from lucid_sessions import environment, settings as s;"
    "print(environment.LUCID_PROFILE, bool(s.ENCRYPTION_PASSWORD), s.MONGO, s.REDIS_URL.split(':')[1])"
)


@pytest.fixture(scope="module")
def secret_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("secrets")
    system_tool("openssl", package="openssl")
    ended = run(sys.executable, ROOT / "deploy/make_secrets.py", "--into", into)
    assert ended.returncode == 0, said(ended)
    return into


def _load(environment: dict[str, str]) -> str:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return said(run(sys.executable, "-c", SHOW, env=base | environment, cwd=ROOT))


def _given(name: str, *, secret_files: Path) -> dict[str, str]:
    """What Compose would put into the container's environment."""
    variables = env_file() | {"LUCID_LEDGER_ORIGIN": "sessions.test/log"}
    wanted = services()[name]["environment"]
    given = {key: filled(str(value), variables=variables) for key, value in wanted.items()}
    return {key: value.replace("/run/secrets", str(secret_files)) for key, value in given.items()}


def test_the_example_unchanged_is_refused_by_compose() -> None:
    with pytest.raises(ValueError, match="LUCID_LEDGER_ORIGIN"):
        filled(services()["session-api"]["environment"]["LUCID_LEDGER_ORIGIN"], variables=env_file())


def test_the_example_unchanged_is_refused_by_the_application() -> None:
    assert "SECRET_KEY is missing, shorter than 16 characters or still a placeholder" in _load(env_file())


@pytest.mark.parametrize("name", ["JWT_SECRET_KEY", "ENCRYPTION_PASSWORD", "ENCRYPTION_SALT"])
def test_each_secret_of_the_example_is_a_placeholder_that_is_refused(name: str) -> None:
    secrets = ("SECRET_KEY", "JWT_SECRET_KEY", "ENCRYPTION_PASSWORD", "ENCRYPTION_SALT")
    mine = {secret: "0123456789abcdef" * 4 for secret in secrets if secret != name}
    assert f"{name} is missing, shorter than 16" in _load(env_file() | mine)


@pytest.mark.parametrize("name", [*PORTS, "keys-init", "migrate"])
def test_the_settings_accept_what_compose_gives(name: str, secret_files: Path) -> None:
    opens = name in ("session-api", "keys-init")
    assert _load(_given(name, secret_files=secret_files)).split() == [
        "production",
        str(opens),
        "True",
        "//celery",
    ]


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_starts_without_the_password(name: str, secret_files: Path) -> None:
    assert _load(_given(name, secret_files=secret_files)).split()[:2] == ["production", "False"]


def test_the_health_check_and_prometheus_ask_for_hosts_that_django_allows() -> None:
    hosts = services()["session-api"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert {"localhost", "127.0.0.1", "session-api"} <= set(hosts)
