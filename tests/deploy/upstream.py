"""A small API of its own process, so that a test can kill it: python -m tests.deploy.upstream NAME PORT"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GO_ON = threading.Event()
# What is decrypted, or long, and so comes in two halves here.
STREAMED = ("/playback.m3u8", "/audit/export.csv", "/audit/export.ndjson", ".webp")
MUCH = b"x" * (32 << 20)


class Answer(BaseHTTPRequestHandler):
    """Says what it was asked, and who may see Flower: whoever carries the right cookie."""

    protocol_version = "HTTP/1.1"
    # One write an answer, as servers do: killed between its head and its body, no proxy could ask again.
    wbufsize = -1

    def do_GET(self) -> None:
        if self.path.endswith(STREAMED):
            self._give_half()
            return
        if self.path == "/much":
            self._give(200, MUCH)
            return
        if self.path == "/go-on":
            GO_ON.set()
        status = 200
        if self.path == "/api/v1/auth/flower":
            status = {"may": 204, "may-not": 403, "broken": 404}.get(self.headers.get("Cookie", ""), 401)
        told = {"name": sys.argv[1], "path": self.path, "headers": dict(self.headers)}
        self._give(status, b"" if status == 204 else json.dumps(told).encode())

    def _give(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _give_half(self) -> None:
        """The other half comes when somebody asks for /go-on, and not before."""
        GO_ON.clear()
        self.send_response(200)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"half")
        self.wfile.flush()
        if GO_ON.wait(60):
            self.wfile.write(b"rest")
        else:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Silence."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Answer).serve_forever()
