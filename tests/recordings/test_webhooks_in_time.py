"""An attempt to send a webhook is over in time, whatever the name server or the receiver do."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from lucid_sessions.recordings.webhooks import sending
from tests.operations.processes import ROOT
from tests.waiting import is_over_within

# How long a receiver goes on if nobody hangs up, and what is short enough to know that it was hung up on.
DRIPS_SECONDS, SOON_SECONDS = 8.0, 4.0


@contextmanager
def dripping(*, begin: bytes, drop: bytes) -> Iterator[int]:
    """The port of a receiver that sends the beginning and then drop after drop, to whoever comes."""
    over = threading.Event()

    def drip(taken: socket.socket) -> None:
        until = time.monotonic() + DRIPS_SECONDS
        with suppress(OSError), taken:
            taken.sendall(begin)
            while time.monotonic() < until and not over.wait(0.1):
                taken.sendall(drop)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)


def post(url: str) -> float:
    """Seconds until it was given up."""
    began = time.monotonic()
    with pytest.raises(sending.NotDelivered, match="no answer within 1 s"):
        sending.post(url, b"{}", headers={}, allowed=["127.0.0.0/8"], within=1.0)
    return time.monotonic() - began


def after(seconds: float, ask: Callable[..., Any]) -> Callable[..., Any]:
    """The same answer, that much later."""

    def later(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return ask(*args, **kwargs)

    return later


SENDER = """
import sys
from lucid_sessions.recordings.webhooks import sending
print(sending.post(sys.argv[1], b"{}", headers={}, allowed=["127.0.0.0/8"], within=6.0).status)
"""


def test_the_time_in_which_we_stood_still_is_not_the_receivers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        command = [sys.executable, "-c", SENDER, url]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as sender:
            taken, _ = server.accept()
            with taken:
                taken.recv(4096)
                sender.send_signal(signal.SIGSTOP)
                taken.sendall(b"HTTP/1.1 204 No ")
                time.sleep(7.0)
                sender.send_signal(signal.SIGCONT)
                time.sleep(0.5)
                taken.sendall(b"Content\r\n\r\n")
                said, _ = sender.communicate()
    assert said == "204\n"


def test_a_slow_look_up_leaves_no_time_to_connect(monkeypatch: Any) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", after(1.2, socket.getaddrinfo))
    with dripping(begin=b"", drop=b"HTTP/1.1 100 Continue\r\n\r\n") as port:
        assert is_over_within(SOON_SECONDS, lambda: post(f"http://127.0.0.1:{port}/"))


def test_time_that_is_over_while_it_connects_is_over(monkeypatch: Any) -> None:
    monkeypatch.setattr(socket, "create_connection", after(1.2, socket.create_connection))
    with dripping(begin=b"", drop=b"HTTP/1.1 100 Continue\r\n\r\n") as port:
        assert is_over_within(SOON_SECONDS, lambda: post(f"http://127.0.0.1:{port}/"))


def test_a_receiver_that_only_ever_goes_on_is_cut_off() -> None:
    with dripping(begin=b"", drop=b"HTTP/1.1 100 Continue\r\n\r\n") as port:
        assert is_over_within(SOON_SECONDS, lambda: post(f"http://127.0.0.1:{port}/"))


def test_a_certificate_that_drips_in_is_cut_off() -> None:
    # A record of the handshake, of which one byte comes after the other.
    with dripping(begin=b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", drop=b"\x03") as port:
        assert is_over_within(SOON_SECONDS, lambda: post(f"https://127.0.0.1:{port}/"))
