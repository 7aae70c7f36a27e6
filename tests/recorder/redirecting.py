"""A relay in front of an RDP server that knows its key: it sends clients on to another address."""

import contextlib
import select
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
PATIENCE = 30.0  # seconds for the other side to take what is sent on
ENDED = None


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
            self._relay(theirs.wrap_socket(server), ours.wrap_socket(client, server_side=True))

    def _relay(self, server: ssl.SSLSocket, client: ssl.SSLSocket) -> None:
        """Both ways in one thread: a TLS connection cannot be read and written by two at a time."""
        is_active = False
        while True:
            pieces = {one: _said(one) for one in _readable(server, client)}
            begins = DEMAND in (pieces.get(server) or b"")[:20]
            if self._sends_on and (begins or (is_active and not pieces)):
                client.sendall(_elsewhere("127.0.0.2"))
                return
            if ENDED in pieces.values():
                return
            for one, piece in pieces.items():
                (client if one is server else server).sendall(piece or b"")
            is_active = is_active or begins


def _readable(*ends: ssl.SSLSocket) -> list[ssl.SSLSocket]:
    """Who has said something within `REST`."""
    if decrypted := [one for one in ends if one.pending()]:
        return decrypted
    return select.select(ends, [], [], REST)[0]


def _said(end: ssl.SSLSocket) -> bytes | None:
    """What is there of it: nothing when it was a record of TLS itself, or part of one."""
    end.settimeout(0)
    try:
        return end.recv(1 << 16) or ENDED
    except ssl.SSLWantReadError:
        return b""
    finally:
        end.settimeout(PATIENCE)


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
