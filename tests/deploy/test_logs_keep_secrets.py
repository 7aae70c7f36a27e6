"""Secrets go in through the API and commands, and none of them comes out in any log.

The logs are those of every service, of MongoDB, of both Redis, and what the commands said.
"""

import base64
import sys
from pathlib import Path

import pytest

from tests.deploy import people
from tests.deploy.parts import ONE_AT_A_TIME, ROOT, run, said
from tests.deploy.stack import Standing

pytestmark = ONE_AT_A_TIME

RIGHT = "secret-of-otto-12345"
WRONG = "not-the-password-of-olivia-77"
TARGET = "password-of-a-desktop-4711"
IN_A_QUERY = "token-in-a-query-string-0815"
GUESSED = "a-guessed-encryption-password-99"
COMMAND = "password-on-a-command-line-31"


@pytest.fixture(scope="module")
def told(standing: Standing, recorded: dict[str, object]) -> dict[str, str]:
    """What must not be in a log, by what it is; all of it has been used by now."""
    session = str(recorded["session"])
    commands = [standing.manage("verify", session, "--deep", service="session-api")]
    commands.append(_with_a_wrong_password(standing, session))
    commands.append(_a_desktop_from_the_command_line(standing))
    (standing.home / "commands.log").write_text("\n".join(commands))
    return _secret_files(standing.secrets) | _private_keys(standing.home) | _through_the_api(standing)


def _with_a_wrong_password(standing: Standing, session: str) -> str:
    given = standing.environment("session-api")
    del given["ENCRYPTION_PASSWORD_FILE"]
    given |= {"ENCRYPTION_PASSWORD": GUESSED, "LOG_LEVEL": "DEBUG"}
    ended = run(sys.executable, "manage.py", "verify", session, "--deep", env=given, cwd=ROOT)
    assert ended.returncode != 0
    return said(ended)


def _a_desktop_from_the_command_line(standing: Standing) -> str:
    # Refused, as a password in an address is; what it says must not repeat it.
    words = ("record", f"rdp://someone:{COMMAND}@127.0.0.1:1", "--duration", "1")
    return said(run(sys.executable, "manage.py", *words, env=standing.environment("session-api"), cwd=ROOT))


def _through_the_api(standing: Standing) -> dict[str, str]:
    people.enrol(standing, "otto", password=RIGHT)
    client = people.Client(standing)
    wrong = client.ask("POST", "/api/v1/auth/token", {"username": "otto", "password": WRONG})
    pair = client.ask("POST", "/api/v1/auth/token", {"username": "otto", "password": RIGHT})[1]
    client.token = pair["access"]
    body = {
        "name": "a desktop",
        "rdp_config": {"host": "127.0.0.1", "port": 1, "username": "someone", "password": TARGET},
    }
    answers = [
        client.ask("POST", "/api/v1/sessions", body),
        client.ask("POST", "/api/v1/sessions", body | {"password": TARGET, "nonsense": TARGET}),
        client.ask("GET", f"/api/v1/sessions?token={IN_A_QUERY}"),
        client.ask("POST", "/api/v1/auth/refresh", {"refresh": pair["refresh"]}),
        client.ask("POST", "/api/v1/auth/refresh", {"refresh": pair["refresh"]}),
    ]
    assert wrong[0] == 401
    assert TARGET not in str(answers)
    return {
        "a wrong password": WRONG,
        "a password": RIGHT,
        "an access token": pair["access"].rpartition(".")[2],
        "a refresh token": pair["refresh"].rpartition(".")[2],
        "a desktop's password": TARGET,
        "a token in an address": IN_A_QUERY,
        "a guessed encryption password": GUESSED,
        "a password on a command line": COMMAND,
    }


def _secret_files(secrets: Path) -> dict[str, str]:
    """The secret part of every file: of a URL its password, of an access list nothing (it holds a hash)."""
    found = {}
    for path in secrets.iterdir():
        text = path.read_text().strip()
        if path.name.endswith(("_acl", "tls_certificate")) or (path.name.startswith("s3_") and not text):
            continue  # nothing, where no bucket is used
        found[path.name] = text.split("://")[1].split("@")[0].split(":")[1] if "://" in text else text[-60:]
    return found


def _private_keys(home: Path) -> dict[str, str]:
    found = {}
    for path in (home / "keys").rglob("*.key"):
        held = path.read_bytes().strip()
        found[path.name] = held.decode("ascii", errors="replace")
        found[f"{path.name} in base 64"] = base64.b64encode(held).decode()
    return found


def test_there_are_secrets_and_logs_to_look_at(told: dict[str, str], standing: Standing) -> None:
    assert {"encryption_password", "jwt_secret_key", "writer.key", "log.key", "recovery.key"} <= set(told)
    assert min(len(secret) for secret in told.values()) >= 16
    assert {"session-api.log", "commands.log", "mongod.log", "redis.log"} <= {
        path.name for path in standing.home.rglob("*.log")
    }


def test_what_happened_is_in_the_log(told: dict[str, str], standing: Standing) -> None:
    # Else there was nothing to find.
    assert len(told) > 15
    assert "Unauthorized: /api/v1/auth/token" in standing.log("session-api").read_text()
    assert "intact" in (standing.home / "commands.log").read_text()


def test_no_secret_is_in_any_log(told: dict[str, str], standing: Standing) -> None:
    logs = {path: path.read_text(errors="replace") for path in standing.home.rglob("*.log")}
    found = [
        f"{name} in {path.relative_to(standing.home)}"
        for path, text in logs.items()
        for name, secret in told.items()
        if secret in text
    ]
    assert found == []


def test_no_secret_is_among_the_figures(told: dict[str, str], standing: Standing) -> None:
    text = standing.answer("session-api", "/metrics")[1]
    assert [name for name, secret in told.items() if secret in text] == []
