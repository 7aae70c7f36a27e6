"""A gateway before the server, as nginx is one, whose server goes away and comes back."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Gateway:
    """Passes connections on; while it is `away` it cuts them, or answers 502."""

    def __init__(self, address: str) -> None:
        """Listens at once."""
        server = urlsplit(address)
        self._server = (str(server.hostname), int(server.port or 80))
        self._listener = socket.create_server(("localhost", 0))
        self.address = f"http://localhost:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._answer: bytes | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    @contextmanager
    def away(self, answer: bytes) -> Iterator[None]:
        """While the block runs nobody gets more than this answer."""
        self._answer = answer
        self._cut()
        yield
        self._answer = None

    def close(self) -> None:
        """Nothing more is taken."""
        self._listener.close()
        self._cut()

    def _cut(self) -> None:
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self._answer is not None:
                client.recv(65536)
                client.sendall(self._answer)
                return
            with socket.create_connection(self._server) as server:
                self._open |= {client, server}
                if self._answer is not None:  # it went away while we came through
                    self._cut()
                asking = threading.Thread(target=_pump, args=[client, server], daemon=True)
                asking.start()
                _pump(server, client)
                asking.join()
                self._open -= {client, server}


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
