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
BETWEEN, KEY, PARTED = 1, 5, 28  # pictures of H.264, and what holds a part of one
PICTURES, SOUND = 0, 2  # channels of the connection (RFC 2326, 10.12); between them is what tells of them


class Relay:
    """One viewer's connection. `later` is added to the times of pictures, ticks of 90 kHz.

    It begins with the next picture that is no key frame, so that it happens between two of those; the
    earliest is the one behind the key frame with the number `since_key`.
    `sound_later` is added to those of sound, ticks of its rate; while `is_mute` no sound is passed on.
    """

    def __init__(self, to: int) -> None:
        self.later = self.sound_later = 0
        self.since_key = 0
        self.is_mute = False
        self._added, self._keys, self._picture_is_over = 0, 0, True
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
                viewer.sendall(self._passed(begun, sent))

    def _passed(self, begun: bytes, sent: IO[bytes]) -> bytes:
        """An interleaved packet, or a line of an answer."""
        if begun != b"$":
            return begun + sent.readline()
        head = sent.read(3)
        packet = sent.read(struct.unpack(">xH", head)[0])
        if head[0] == SOUND:
            return b"" if self.is_mute else b"$" + head + _later(packet, self.sound_later)
        return b"$" + head + (self._shifted(packet) if head[0] == PICTURES else packet)

    def _shifted(self, packet: bytes) -> bytes:
        kind = _kind(packet)
        if self._picture_is_over and kind == BETWEEN and self._keys >= self.since_key:
            self._added = self.later
        self._keys += kind == KEY
        self._picture_is_over = bool(packet[1] & 0x80)
        return _later(packet, self._added)


def _later(packet: bytes, by: int) -> bytes:
    """A packet of RTP whose time is later by so many ticks."""
    (time,) = struct.unpack_from(">I", packet, 4)
    return packet[:4] + struct.pack(">I", (time + by) % WRAP) + packet[8:]


def _kind(packet: bytes) -> int:
    """What of H.264 begins with the packet, in whole or in parts (RFC 6184); 0: nothing."""
    kind, part = packet[12] & 31, packet[13]
    if kind != PARTED:
        return kind
    return part & 31 if part & 0x80 else 0


@contextmanager
def relaying(to: int) -> Iterator[Relay]:
    """A relay to a port of this machine."""
    relay = Relay(to)
    try:
        yield relay
    finally:
        relay.close()
