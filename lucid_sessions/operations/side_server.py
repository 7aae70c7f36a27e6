"""Health and metrics of a service that is not a web server: a small one in the worker's parent process."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import metrics
from .health import Health

# A client that sends nothing must not keep a thread for ever.
CLIENT_SECONDS = 5


@contextmanager
def serving(
    address: str, port: int, *, health: Health, exposition: Callable[[], bytes] | None
) -> Iterator[int]:
    """While the block runs, health and metrics answer on this port (0: any), which is yielded."""

    class Handler(_Handler):
        answers = health
        figures = staticmethod(exposition) if exposition else None

    with _Server((address, port), Handler) as server:
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # The parent of a container's processes must not wait for a slow scraper when it is to stop.
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    answers: Health
    figures: Callable[[], bytes] | None = None
    timeout = CLIENT_SECONDS
    server_version = "lucid"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one probe or scrape."""
        path = self.path.partition("?")[0]
        if path == "/metrics" and self.figures is not None:
            self._send(200, self.figures(), metrics.CONTENT_TYPE)
            return
        answer = self.answers.at(path)
        if answer is None:
            self._send(404, b'{"detail": "not found"}', "application/json")
        else:
            self._send(answer.status, json.dumps(answer.body).encode(), "application/json")

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's names
        """Probes come every few seconds: nobody wants a line for each."""
