"""An endpoint as others run one: a web server that keeps what it is sent and answers as it is told."""

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from lucid_sessions.recordings import events
from lucid_sessions.recordings.webhooks import deliveries, endpoints

# What it can do instead of answering with a status.
HANG, DRIP = -1, -2


@dataclass
class Receiver:
    """What came, and what it answers: one of `answers` after the other, then 204."""

    port: int = 0
    scheme: str = "http"
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hooks"


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on loopback, until the block ends."""
    known = Receiver(scheme="https" if context else "http")

    class Handler(http.server.BaseHTTPRequestHandler):
        receiver = known
        do_POST = do_GET = _answer  # noqa: N815 - http.server's names

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        known.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield known
        finally:
            known.over.set()
            server.shutdown()


@contextmanager
def about_to_hear(*names: str) -> Iterator[Receiver]:
    """A receiver with an endpoint, to which events of these names are to be sent: nothing is sent yet."""
    with receiving() as found:
        endpoints.create(found.url, kinds=[], description="", by="admin")
        for name in names:
            events.note(events.QUOTA, name, facts={})
        deliveries.prepare()
        yield found


def _answer(self: Any) -> None:
    known: Receiver = self.receiver
    body = self.rfile.read(int(self.headers["Content-Length"] or 0))
    known.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
    status = known.answers.pop(0) if known.answers else 204
    if status == HANG:
        known.over.wait(30)
        return
    if status == DRIP:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(300):
            if known.over.is_set():
                return
            with suppress(OSError):
                self.wfile.write(f"X-{number}: x\r\n".encode())
            time.sleep(0.1)
        return
    self.send_response(status)
    for name, value in known.headers.items():
        self.send_header(name, value)
    self.end_headers()
