"""A small API of its own process, so that a test can kill it: python -m tests.deploy.upstream NAME PORT"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    """Says what it was asked, and who may see Flower: whoever carries the right cookie."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = 200
        if self.path == "/api/v1/auth/flower":
            status = {"may": 204, "may-not": 403, "broken": 404}.get(self.headers.get("Cookie", ""), 401)
        told = {"name": sys.argv[1], "path": self.path, "headers": dict(self.headers)}
        body = b"" if status == 204 else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Silence."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Answer).serve_forever()
