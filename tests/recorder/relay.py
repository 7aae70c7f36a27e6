"""A relay in front of an RTSP server: what it passes on can be shifted in time, and cut off as by a reset."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection
WRAP = 1 << 32


class Relay:
    """One viewer's connection. `later` is added to the times of pictures, ticks of 90 kHz.

    It begins with the next picture that is no key frame, so that it happens between two of those.
    """

    def __init__(self, to: int) -> None:
        self.later = 0
        self._added, self._picture_is_over = 0, True
        self._listener, self._to = socket.create_server(("127.0.0.1", 0)), to
        self.port = self._listener.getsockname()[1]
        self._viewers: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self) -> None:
        """Break off the connection with the viewer, as a device does that loses its power."""
        viewer = self._viewers[-1]  # before came whoever only asked whether this is an RTSP server
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        viewer.shutdown(socket.SHUT_RD)  # whoever waits on the socket would hold it open
        viewer.close()

    def close(self) -> None:
        """Relay nothing more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                viewer, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._viewers.append(viewer)
                threading.Thread(target=self._pass_asked, args=(viewer, server), daemon=True).start()
                threading.Thread(target=self._pass_sent, args=(viewer, server), daemon=True).start()

    def _pass_asked(self, viewer: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), server:
            while asked := viewer.recv(1 << 16):
                server.sendall(asked)

    def _pass_sent(self, viewer: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), viewer, server.makefile("rb") as sent:
            while begun := sent.read(1):
                viewer.sendall(begun + self._rest_of(begun, sent))

    def _rest_of(self, begun: bytes, sent: IO[bytes]) -> bytes:
        """An interleaved packet, or a line of an answer."""
        if begun != b"$":
            return sent.readline()
        head = sent.read(3)
        packet = sent.read(struct.unpack(">xH", head)[0])
        return head + (self._shifted(packet) if head[0] == 0 else packet)

    def _shifted(self, packet: bytes) -> bytes:
        marked_kind, number, time = struct.unpack_from(">xBHI", packet)
        if self._picture_is_over and _is_between(packet):
            self._added = self.later
        self._picture_is_over = bool(marked_kind & 0x80)
        return packet[:1] + struct.pack(">BHI", marked_kind, number, (time + self._added) % WRAP) + packet[8:]


def _is_between(packet: bytes) -> bool:
    """Whether it begins a picture of H.264 that is no key frame, in whole or in parts (RFC 6184)."""
    kind = packet[12] & 31
    return (packet[13] & 31 if kind == 28 else kind) == 1


@contextmanager
def relaying(to: int) -> Iterator[Relay]:
    """A relay to a port of this machine."""
    relay = Relay(to)
    try:
        yield relay
    finally:
        relay.close()
