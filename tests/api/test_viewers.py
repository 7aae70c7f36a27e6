"""Many viewers and slow downloads on the real server: bounded memory, and nobody shuts the others out."""

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.operations.processes import output
from tests.waiting import PATIENCE, until

from .live import HOST, Live, live_api

MIB = 1024**2
SIZE = 16 * MIB
WORKERS, VIEWERS = 2, 50
# What unlocking takes for a moment; no worker has so much before.
UNLOCKING = 256
# What one chunk of 16 MiB may cost a worker.
MOST_FOR_ONE = 64
# A piece on its way in Python, one in the server, one in its connection's buffer.
MOST_FOR_A_VIEWER = 1.5


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home: Path = tmp_path_factory.mktemp("viewers") / "home"
    with live_api(home, "--segments", "3", "--bytes", str(SIZE)) as running:
        yield running
        assert "Traceback" not in output(home)


def segment(live: Live, number: int) -> str:
    return f"/api/v1/sessions/{live.held['session']}/segments/{live.held['chunks'][number]}.mp4"


def asked(live: Live, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(HOST, live.port, timeout=PATIENCE)) as connection:
        connection.request("GET", path, headers=live.bearer)
        answer = connection.getresponse()
        return answer.status, answer.read()


def begin(live: Live, path: str) -> socket.socket:
    """A viewer who has asked, and takes in little by little."""
    viewer = socket.create_connection((HOST, live.port), timeout=PATIENCE)
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    head = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {live.bearer['Authorization']}\r\n"
    viewer.sendall(f"{head}Connection: close\r\n\r\n".encode())
    return viewer


def finish(viewer: socket.socket) -> bytes:
    with viewer.makefile("rb") as answer:
        return answer.read().partition(b"\r\n\r\n")[2]


def memory(live: Live) -> dict[int, float]:
    """The most that each worker had in memory since `forget`, in MiB."""
    return {worker: figure(worker, "VmHWM") for worker in live.workers}


def forget(live: Live) -> dict[int, float]:
    """What each has now; the most is counted from here."""
    for worker in live.workers:
        Path(f"/proc/{worker}/clear_refs").write_text("5")
    return {worker: figure(worker, "VmRSS") for worker in live.workers}


def figure(process: int, name: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


@pytest.fixture(scope="module")
def warm(live: Live) -> Live:
    """Each worker has unlocked the repository's key once."""

    def all_have() -> bool:
        status, _ = asked(live, segment(live, 0))
        assert status == 200
        return [most > UNLOCKING for most in memory(live).values()] == [True] * WORKERS

    until(all_have)
    return live


def test_a_chunk_of_16_mib_costs_a_worker_no_more_than_64(warm: Live) -> None:
    before = forget(warm)
    status, media = asked(warm, segment(warm, 1))
    assert (status, len(media)) == (200, SIZE)
    assert hashlib.sha256(media).hexdigest() == warm.held["raw_sha256"][1]
    cost = max(most - before[worker] for worker, most in memory(warm).items())
    assert cost <= MOST_FOR_ONE, f"{cost:.0f} MiB"


def test_fifty_viewers_at_once_share_what_was_decrypted_and_shut_nobody_out(warm: Live) -> None:
    before = forget(warm)
    with ExitStack() as stack:
        viewers = [stack.enter_context(begin(warm, segment(warm, 2))) for _ in range(VIEWERS)]
        for viewer in viewers:
            assert viewer.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        # All of them are in the middle of it now, and take no more.
        assert asked(warm, "/health")[0] == 200
        assert asked(warm, f"/api/v1/sessions/{warm.held['session']}")[0] == 200
        cost = {worker: most - before[worker] for worker, most in memory(warm).items()}
        for viewer in viewers:
            assert hashlib.sha256(finish(viewer)).hexdigest() == warm.held["raw_sha256"][2]
    assert max(cost.values()) <= MOST_FOR_ONE + VIEWERS * MOST_FOR_A_VIEWER, cost


def test_slow_downloads_of_blobs_shut_nobody_out(warm: Live) -> None:
    path = f"/api/v1/sessions/{warm.held['session']}/chunks/{warm.held['chunks'][1]}/download"
    with ExitStack() as stack:
        viewers = [stack.enter_context(begin(warm, path)) for _ in range(VIEWERS)]
        for viewer in viewers:
            assert viewer.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        assert asked(warm, "/health")[0] == 200
        assert len(finish(viewers[-1])) > SIZE


def test_a_change_that_is_sent_in_chunks_is_made(live: Live) -> None:
    path, pieces = f"/api/v1/sessions/{live.held['session']}", [b'{"description": "in ch', b'unks"}']
    with closing(http.client.HTTPConnection(HOST, live.port, timeout=PATIENCE)) as connection:
        headers = {**live.bearer, "Content-Type": "application/json"}
        # Without a length to be known: so it is sent in chunks.
        connection.request("PATCH", path, body=iter(pieces), headers=headers)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["description"]) == (200, "in chunks")
