"""Broker and cache over TLS: `rediss://` addresses work for whatever asks a Redis; strangers are refused."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.deploy.parts import ROOT, run, said, system_tool
from tests.deploy.serving import await_ready, started
from tests.ports import free_port
from tests.waiting import PATIENCE

PROGRAM = """
import json
import django
django.setup()
from django.conf import settings
from tasks.celery import app
from lucid_sessions.operations import doctor, private_redis
# Within a second, which a busy machine does not always have.
answered = any(private_redis.answers(settings.REDIS_URL) for _ in range(10))
told = {"health": answered, "transport": app.connection().transport_cls}
try:
    with app.connection_for_write() as connection:
        box = connection.SimpleQueue("sent-over-tls")
        box.put({"chunk": 1})
        told["message"] = box.get(timeout=60).payload
        told["class"] = type(connection.transport).__module__
except Exception as error:
    told["refused"] = type(error).__name__
told["doctor"] = {one.name: one.well for one in doctor.look() if one.name in ("names", "broker", "cache")}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two certificates for 127.0.0.1 and their keys: `own` and `other`."""
    openssl, home = system_tool("openssl", package="openssl"), tmp_path_factory.mktemp("tls")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for name in ("own", "other"):
        files = ("-keyout", home / f"{name}.key", "-out", home / f"{name}.crt")
        names = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
        ended = run(openssl, "req", "-x509", *curve, *names, *files)
        assert ended.returncode == 0, said(ended)
    return home


@pytest.fixture(scope="module")
def port(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a Redis answers over TLS only."""
    home, chosen = tmp_path_factory.mktemp("redis"), free_port()
    command = (
        system_tool("redis-server", package="redis-server 7"),
        *("--port", "0", "--tls-port", str(chosen), "--bind", "127.0.0.1", "--dir", str(home), "--save", ""),
        *("--tls-cert-file", certificate / "own.crt", "--tls-key-file", certificate / "own.key"),
        *("--tls-auth-clients", "no"),
    )
    with started(*command, log=home / "log") as program:
        await_ready(lambda: _pings(chosen, certificate), program=program, log=home / "log")
        yield chosen


def _pings(port: int, certificate: Path) -> bool:
    try:
        with redis.Redis(
            port=port, host="127.0.0.1", ssl=True, ssl_ca_certs=str(certificate / "own.crt")
        ) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _told(port: int, *, trusting: Path) -> dict[str, object]:
    url = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={trusting}"
    env = os.environ | {
        "REDIS_URL": url,
        "CACHE_URL": url,
        "DJANGO_SETTINGS_MODULE": "lucid_sessions.settings",
    }
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_messages_health_and_counters_go_over_tls(port: int, certificate: Path) -> None:
    told = _told(port, trusting=certificate / "own.crt")
    assert told["health"] is True
    assert told["message"] == {"chunk": 1}
    assert told["class"] == "tasks.transport"
    assert told["doctor"] == {"names": True, "broker": True, "cache": True}


def test_a_certificate_that_nobody_vouches_for_is_refused(port: int, certificate: Path) -> None:
    told = _told(port, trusting=certificate / "other.crt")
    assert told["health"] is False
    assert "refused" in told
    assert told["doctor"] == {"names": True, "broker": False, "cache": False}
