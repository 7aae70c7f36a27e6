"""A relay in front of an RDP server that knows its key: it sends clients on to another address."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

BY_ADDRESS = 1  # LB_TARGET_NET_ADDRESS (MS-RDPBCGR 2.2.13.1)
SHARED = 1003  # the channel of the desktop itself, as xrdp numbers them
DEMAND = b"\x11\x00"  # the type of the packet with which a desktop begins
REST = 0.1  # seconds without a packet: it stands between two


class Redirecting:
    """Passes on what a server at `to` says, at 127.0.0.1 and at 127.0.0.2, until `redirect`."""

    def __init__(self, to: int, *, certificate: Path) -> None:
        self._to, self._certificate, self.port = to, certificate, free_port()
        self._listeners = [socket.create_server((one, self.port)) for one in ("127.0.0.1", "127.0.0.2")]
        self.followed = self._sends_on = False
        for listener, act in zip(self._listeners, (self._pass, self._follow), strict=True):
            threading.Thread(target=self._serve, args=(listener, act), daemon=True).start()

    def redirect(self) -> None:
        """Send whoever is connected, or connects, on to 127.0.0.2."""
        self._sends_on = True

    def close(self) -> None:
        """Relay nothing more."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _serve(self, listener: socket.socket, act: Callable[[socket.socket], None]) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=act, args=(client,), daemon=True).start()

    def _follow(self, client: socket.socket) -> None:
        self.followed = True
        server = socket.create_connection(("127.0.0.1", self._to))
        threading.Thread(target=_copy, args=(client, server), daemon=True).start()
        _copy(server, client)

    def _pass(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._to))
        with contextlib.suppress(OSError):
            server.sendall(client.recv(4096))  # which protection: TLS
            client.sendall(server.recv(4096))
            ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ours.load_cert_chain(self._certificate)
            theirs.check_hostname, theirs.verify_mode = False, ssl.CERT_NONE
            inner = ours.wrap_socket(client, server_side=True)
            outer = theirs.wrap_socket(server)
            threading.Thread(target=_copy, args=(inner, outer), daemon=True).start()
            self._relay(outer, inner)

    def _relay(self, server: ssl.SSLSocket, client: ssl.SSLSocket) -> None:
        server.settimeout(REST)
        is_active = False
        while True:
            packet = b""
            with contextlib.suppress(TimeoutError):
                packet = server.recv(1 << 16)
            begins = DEMAND in packet[:20]
            if self._sends_on and (begins or (is_active and not packet)):
                client.sendall(_elsewhere("127.0.0.2"))
                return
            client.sendall(packet)
            is_active = is_active or begins


def _copy(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while piece := one.recv(1 << 16):
            other.sendall(piece)


def _elsewhere(address: str) -> bytes:
    """A Server Redirection PDU with an address (MS-RDPBCGR 2.2.13.3.1)."""
    name = (address + "\0").encode("utf-16-le")
    packet = struct.pack("<III", 0, BY_ADDRESS, len(name)) + name
    packet = struct.pack("<HH", 0x400, len(packet) + 4) + packet
    packet = struct.pack("<HHHH", len(packet) + 8, 0x1A, 1002, 0) + packet
    packet = struct.pack(">BHHBH", 0x68, 1, SHARED, 0x70, 0x8000 | len(packet)) + packet
    return struct.pack(">BBHBBB", 3, 0, len(packet) + 7, 2, 0xF0, 0x80) + packet


@contextmanager
def redirecting(to: int, *, certificate: Path) -> Iterator[Redirecting]:
    """A relay in front of the RDP server that listens there and shows this certificate."""
    relay = Redirecting(to, certificate=certificate)
    try:
        yield relay
    finally:
        relay.close()
