"""Browsers and machines that keep their connections: held by the deployment's nginx, before the real API.

A thousand here; LUCID_IDLE_CONNECTIONS=10000 (and as many open files: `ulimit -n 25000`) for the figure of
docs/performance.md. Each is TLS, has asked the API once, waits, and is then still good for another question.
"""

import contextlib
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.api.live import Live, live_api
from tests.deploy.parts import run, said, tool
from tests.deploy.serving import await_ready, started
from tests.deploy.test_nginx import Front, _copy, _healthy
from tests.ports import free_port
from tests.waiting import PATIENCE

CONNECTIONS = int(os.environ.get("LUCID_IDLE_CONNECTIONS", "1000"))
# So that neither ports nor nginx' limits for one address come into it.
FROM_EACH_ADDRESS = 50
QUESTION = b"GET /api/v1/sessions HTTP/1.1\r\nHost: lucid.test\r\n\r\n"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with live_api(tmp_path / "home", ALLOWED_HOSTS="lucid.test,127.0.0.1") as running:
        yield running


@contextlib.contextmanager
def before(live: Live, home: Path) -> Iterator[Front]:
    """nginx with the deployment's files before this API."""
    nginx = tool("nginx", package="nginx-light")
    front = Front(plain=free_port(), secure=free_port(), ports=[live.port])
    main = _copy(home, front=front, flower=free_port())
    # Each stays idle for as long as the making of all others takes.
    text = main.read_text()
    assert text.count("keepalive_timeout 65s;") == 1
    main.write_text(text.replace("keepalive_timeout 65s;", "keepalive_timeout 3600s;"))
    checked = run(nginx, "-t", "-c", main)
    assert checked.returncode == 0, said(checked)
    log = home / "nginx.log"
    with started(nginx, "-c", main, "-g", "daemon off;", log=log) as program:
        await_ready(lambda: _healthy(front), program=program, log=log)
        yield front


def connected(front: Front, number: int, trusting: ssl.SSLContext) -> ssl.SSLSocket:
    number //= FROM_EACH_ADDRESS
    source = (f"127.0.{1 + number // 250}.{1 + number % 250}", 0)
    plain = socket.create_connection(("127.0.0.1", front.secure), timeout=PATIENCE, source_address=source)
    return trusting.wrap_socket(plain)


def status_of(connection: ssl.SSLSocket) -> int:
    """The status of one more answer on this connection."""
    connection.sendall(QUESTION)
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(4096)
        assert piece, "closed"
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    rest = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while rest > 0:
        rest -= len(connection.recv(rest))
    return int(answer.split(b" ", 2)[1])


def test_idle_keep_alive_connections_are_held_through_nginx(live: Live, tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    trusting = ssl._create_unverified_context()  # noqa: S323 - the certificate is the test's own
    with before(live, tmp_path / "nginx") as front, contextlib.ExitStack() as stack:
        held, first = [], set()
        for number in range(CONNECTIONS):
            held.append(stack.enter_context(connected(front, number, trusting)))
            # At once: who connects and says nothing is sent away after 10 s.
            first.add(status_of(held[-1]))
        # 401: the API itself has answered. 429 comes from nginx, to whom asks all at once.
        assert first <= {401, 429}
        established = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED]
        # nginx' ends: a client's own port on its own address may be the same number.
        ours = [one for one in established if one.laddr == ("127.0.0.1", front.secure)]
        assert len(ours) == CONNECTIONS
        # Meanwhile others are served, and each of the idle ones is still good.
        assert front.get("/api/v1/sessions").status == 401
        assert [status_of(one) for one in held[:: CONNECTIONS // 100]].count(401) == 100
    assert live.workers
