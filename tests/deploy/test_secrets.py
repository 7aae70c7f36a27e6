"""deploy/make_secrets.py makes every secret that Compose names, once, and shows none."""

import stat
import sys
from pathlib import Path

from tests.deploy.parts import DEPLOY, ROOT, compose, run, said, system_tool


def _make(into: Path) -> str:
    system_tool("openssl", package="openssl")
    ended = run(sys.executable, DEPLOY / "make_secrets.py", "--into", into, "--host", "sessions.test")
    assert ended.returncode == 0, said(ended)
    return said(ended)


def test_every_secret_that_compose_names_is_made(tmp_path: Path) -> None:
    _make(tmp_path / "secrets")
    named = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
    assert named <= {path.name for path in (tmp_path / "secrets").iterdir()}


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    _make(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert "nothing made" in _make(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_secret_is_shown_and_nobody_else_gets_into_the_directory(tmp_path: Path) -> None:
    into = tmp_path / "secrets"
    words = _make(into)
    assert stat.S_IMODE(into.stat().st_mode) == 0o700
    told = {path.name: path.read_text().strip() for path in into.iterdir()}
    assert {name for name, text in told.items() if not text} == {"s3_access_key_id", "s3_secret_access_key"}
    assert [name for name, text in told.items() if text and text in words] == []


def test_a_container_of_another_user_can_read_its_file(tmp_path: Path) -> None:
    _make(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o444}


def test_no_text_secret_ends_in_a_newline_that_would_become_part_of_it(tmp_path: Path) -> None:
    _make(tmp_path)
    for name in ("mongodb_url", "redis_url", "cache_url", "secret_key", "encryption_password"):
        text = (tmp_path / name).read_text()
        assert text == text.strip()


def test_the_secrets_are_kept_out_of_the_repository_and_of_the_images() -> None:
    assert run("git", "check-ignore", "-q", "deploy/secrets/jwt_secret_key", cwd=ROOT).returncode == 0
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert not [line for line in ignored if line.startswith(("!deploy/secrets", "!.env", "!deploy/\n"))]
