"""The application accepts what Compose gives each service, and refuses the example unchanged."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import global_settings

from tests.deploy.parts import (
    PORTS,
    ROOT,
    WORKERS,
    compose,
    env_file,
    environment_of,
    filled,
    run,
    said,
    services,
    system_tool,
)

# SQLite's, the tests', the image's own, and the name of the module that speaks to Celery.
ELSEWHERE = {
    "DATABASE_URL",
    "CONN_MAX_AGE",
    "LUCID_TEST_DATABASE",
    "STATIC_ROOT",
    "LUCID_PUBLISHER",
}
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
    given = environment_of(services()[name], variables=variables)
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


def _settings() -> set[str]:
    """The names of all variables that the settings read."""
    code = "".join(path.read_text() for path in (ROOT / "lucid_sessions").glob("*.py"))
    return set(re.findall(r'\b(?:env\.\w+|choice|path)\(\s*"([A-Z_0-9]+)"', code))


def _named(whole: dict[str, Any], *, with_values: bool = False) -> set[str]:
    """The variables that our services get in a compose file, secrets' files under the name of the secret."""
    ours = [one for one in whole["services"].values() if one["image"].startswith("lucid-")]
    given = [pair for one in ours for pair in one.get("environment", {}).items()]
    return {name.removesuffix("_FILE") for name, value in given if value is not None or not with_values}


@pytest.mark.parametrize("file", ["docker-compose.yml", "deploy/swarm/stack.yml"])
def test_whatever_can_be_set_can_be_set_with_containers_too(file: str) -> None:
    whole = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    assert _settings() - _named(whole) - ELSEWHERE == set()


def test_the_example_names_every_setting_that_the_compose_file_does_not_fix() -> None:
    assert _settings() - set(env_file()) - _named(compose(), with_values=True) - ELSEWHERE == set()


def test_a_shell_reads_the_example_as_compose_does() -> None:
    told = run("sh", "-c", "set -a; . ./.env.example; exec env", env={}, cwd=ROOT)
    read = dict(line.split("=", 1) for line in told.stdout.splitlines())
    assert (told.stderr, {name: read[name] for name in env_file()}) == ("", env_file())


def test_a_setting_that_can_be_set_has_an_effect() -> None:
    code = "\n".join(
        path.read_text() for part in ("lucid_sessions", "tasks") for path in (ROOT / part).rglob("*.py")
    )
    # Django's own, and the two that decide which database there is.
    elsewhere = {*dir(global_settings), "DATABASE_URL", "CONN_MAX_AGE", "LUCID_TEST_DATABASE"}
    read = {name for name in _settings() - elsewhere if len(re.findall(rf"^.*\b{name}\b", code, re.M)) < 2}
    assert read == set()


def test_the_example_gives_what_is_merely_passed_on_its_default() -> None:
    passed = [name for name, value in services()["session-api"]["environment"].items() if value is None]
    show = f"from lucid_sessions import settings as s; print([getattr(s, n) for n in {passed}])"
    base = {"PATH": os.environ["PATH"], "LUCID_HOME": "/nowhere"}
    given = base | {name: env_file()[name] for name in passed}
    as_given, by_default = (run(sys.executable, "-c", show, env=env, cwd=ROOT) for env in (given, base))
    assert as_given.returncode == 0, said(as_given)
    assert as_given.stdout == by_default.stdout


def test_the_health_check_and_prometheus_ask_for_hosts_that_django_allows() -> None:
    hosts = services()["session-api"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert {"localhost", "127.0.0.1", "session-api"} <= set(hosts)
