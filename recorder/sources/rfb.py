"""The client side of RFB 3.8 (RFC 6143), as far as watching needs it: the handshake and the messages."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from recorder.errors import BadSource, SourceAway, SourceLost
from recorder.sources import rfb_pixels as pixels
from recorder.sources.watchdog import fell_silent

if TYPE_CHECKING:
    from recorder.screen import Picture

HANDSHAKE_SECONDS = 8.0
QUIET = 3.5  # seconds of silence after which the server is asked for a pixel, which it must answer
ANSWER = 4.0  # seconds that it has for that
NONE, VNC_AUTH = 1, 2
PIXELS, SHAPE = 0, -1
LARGEST_TEXT = 1 << 20
LARGEST_CLIPBOARD, MOST_COPIES = 1 << 26, 1000
Copied = tuple[int, int, str]  # CLOCK_MONOTONIC nanoseconds, bytes, SHA-256
CURSOR, DESKTOP_SIZE, EXTENDED_DESKTOP_SIZE, LAST_RECTANGLE = -239, -223, -308, -224
LARGEST_SIDE, LARGEST_POINTER = 8192, 1024
# 32 bits a pixel, little-endian, blue first: as the encoder wants it.
PIXEL_FORMAT = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


class Stream:
    """Exactly as many bytes as asked for; `SourceLost` when the server goes away or hangs.

    `nudge` is called after a stretch of silence; what is then still silent hangs.
    """

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._connection, self.name = connection, name
        self.nudge: Callable[[], None] | None = None
        self._heard = time.monotonic()
        connection.settimeout(HANDSHAKE_SECONDS)

    def read(self, length: int) -> bytes:
        """The next bytes."""
        content = bytearray(length)
        rest = memoryview(content)
        while rest:
            got = self._receive(rest)
            rest = rest[got:]
        return bytes(content)

    def send(self, content: bytes) -> None:
        """Send all of it."""
        try:
            self._connection.sendall(content)
        except OSError as error:
            raise SourceLost(f"{self.name} ended the connection.") from error

    def watch(self, nudge: Callable[[], None]) -> None:
        """From now on silence is answered with `nudge`."""
        self.nudge = nudge
        self._connection.settimeout(QUIET)

    def close(self) -> None:
        """End the connection; a reader that waits on it ends with `SourceLost`."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _receive(self, into: memoryview) -> int:
        try:
            got = self._connection.recv_into(into)
        except TimeoutError:
            got = self._receive_after_silence(into)
        except OSError as error:
            raise SourceLost(f"The connection to {self.name} broke ({error.strerror}).") from error
        if not got:
            raise SourceLost(f"{self.name} ended the connection.")
        self._heard = time.monotonic()
        return got

    def _receive_after_silence(self, into: memoryview) -> int:
        if self.nudge is not None:
            self.nudge()
            self._connection.settimeout(ANSWER)
        try:
            got = self._connection.recv_into(into) if self.nudge else 0
        except OSError as error:
            raise fell_silent(self.name, heard=self._heard) from error
        if self.nudge is None:
            raise SourceAway(f"{self.name} did not answer within {HANDSHAKE_SECONDS:.0f} s.")
        self._connection.settimeout(QUIET)
        return got


@dataclass(frozen=True)
class Desktop:
    """What a server says of its desktop at the beginning."""

    width: int
    height: int
    name: str


def shake_hands(stream: Stream, *, password: str) -> Desktop:
    """Log on as a further viewer; `BadSource` when the server does not let us in."""
    try:
        return _shake_hands(stream, password)
    except SourceLost as error:
        raise SourceAway(f"{error} It happened before the desktop was shown.") from error


def _shake_hands(stream: Stream, password: str) -> Desktop:
    greeting = stream.read(12)
    if not greeting.startswith(b"RFB "):
        raise BadSource(f"What answers at {stream.name} is no VNC server.")
    if greeting < b"RFB 003.008\n":
        raise BadSource(
            f"{stream.name} speaks RFB {greeting[4:11].decode('ascii', 'replace')}; 3.8 is needed."
        )
    stream.send(b"RFB 003.008\n")
    count = stream.read(1)[0]
    if not count:
        raise SourceAway(f"{stream.name} refuses connections: {_reason(stream)}.")
    _authenticate(stream, set(stream.read(count)), password)
    stream.send(b"\x01")  # shared: nobody who watches already is put out
    width, height = struct.unpack(">HH", stream.read(4))
    stream.read(16)
    (length,) = struct.unpack(">I", stream.read(4))
    name = stream.read(min(length, LARGEST_TEXT)).decode("utf-8", "replace")
    check_size(width, height, name=stream.name)
    return Desktop(width, height, name)


def check_size(width: int, height: int, *, name: str) -> None:
    """`SourceLost` unless these sides can be recorded."""
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise SourceLost(f"{name} shows a desktop of {width}x{height}, which cannot be recorded.")


def _authenticate(stream: Stream, offered: set[int], password: str) -> None:
    if password and VNC_AUTH in offered:
        stream.send(bytes([VNC_AUTH]))
        stream.send(answer_to(stream.read(16), password=password))
    elif NONE in offered:
        stream.send(bytes([NONE]))
    elif VNC_AUTH in offered:
        raise BadSource(f"{stream.name} asks for a password and none was given.")
    else:
        kinds = ", ".join(str(kind) for kind in sorted(offered))
        raise BadSource(
            f"{stream.name} offers only the security types {kinds}. "
            "Let it offer VncAuth (2) or None (1) to this host, over a network that you trust."
        )
    if struct.unpack(">I", stream.read(4))[0]:
        raise BadSource(f"{stream.name} refused the password: {_reason(stream)}. It is not tried again.")


def _reason(stream: Stream) -> str:
    (length,) = struct.unpack(">I", stream.read(4))
    return (
        stream.read(min(length, LARGEST_TEXT)).decode("utf-8", "replace").strip(". \n") or "no reason given"
    )


def answer_to(challenge: bytes, *, password: str) -> bytes:
    """RFC 6143, 7.2.2: DES of the challenge under the password's first 8 bytes, their bits reversed."""
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode("utf-8")[:8].ljust(8, b"\0"))
    cipher = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()  # noqa: S305 -- as the protocol has it  # nosec B305
    return cipher.update(challenge) + cipher.finalize()


class Viewer:
    """Keeps a picture of the desktop up to date. `read_message` handles one message of the server."""

    def __init__(self, stream: Stream, desktop: Desktop, *, cursor: bool) -> None:
        self._stream = stream
        self.picture: Picture = np.zeros((desktop.height, desktop.width, 4), dtype=np.uint8)
        self.copied: deque[Copied] = deque(maxlen=MOST_COPIES)
        self._decoder = pixels.Decoder(stream.read)
        # A server draws the pointer into the picture for viewers that do not draw it themselves.
        self._pointer_is_drawn = cursor
        hidden = () if cursor else (CURSOR,)
        wanted = (*pixels.ENCODINGS, EXTENDED_DESKTOP_SIZE, DESKTOP_SIZE, LAST_RECTANGLE, *hidden)
        stream.send(b"\x00\0\0\0" + PIXEL_FORMAT)
        stream.send(struct.pack(f">BxH{len(wanted)}i", 2, len(wanted), *wanted))
        self.ask(whole=True)
        stream.watch(self.nudge)

    def ask(self, *, whole: bool) -> None:
        """Ask for what has changed, or for everything."""
        height, width = self.picture.shape[:2]
        self._stream.send(struct.pack(">BBHHHH", 3, not whole, 0, 0, width, height))

    def nudge(self) -> None:
        """Ask for one pixel, changed or not."""
        self._stream.send(struct.pack(">BBHHHH", 3, 0, 0, 0, 1, 1))

    def read_message(self, update: Callable[[Callable[[], bool]], None]) -> int:
        """Handle the next message; its kind, `SHAPE` for an update that tells of the desktop's shape alone.

        `update` is given what changes the picture, to run it under its lock.
        """
        kind = self._stream.read(1)[0]
        if kind == PIXELS:
            return PIXELS if self._read_update(update) else SHAPE
        if kind == 1:
            _, count = struct.unpack(">xHH", self._stream.read(5))
            self._stream.read(6 * count)
        elif kind == 3:
            self._read_clipboard()
        elif kind != 2:  # a bell
            raise SourceLost(f"{self._stream.name} sent a message of the unknown kind {kind}.")
        return kind

    def _read_clipboard(self) -> None:
        """Note the clipboard's length and hash, as UTF-8; RFB sends it as Latin-1. The text is forgotten."""
        (length,) = struct.unpack(">3xi", self._stream.read(7))
        if not 0 <= length <= LARGEST_CLIPBOARD:
            raise SourceLost(f"{self._stream.name} sent a clipboard of {length} bytes, which makes no sense.")
        digest, size = hashlib.sha256(), 0
        while length:
            part = self._stream.read(min(length, 1 << 16))
            text = part.decode("latin-1").encode()
            digest.update(text)
            size, length = size + len(text), length - len(part)
        self.copied.append((time.monotonic_ns(), size, digest.hexdigest()))

    def _read_update(self, update: Callable[[Callable[[], bool]], None]) -> bool:
        """Whether it had pixels, or nothing at all."""
        (count,) = struct.unpack(">xH", self._stream.read(3))
        had_pixels = not count
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self._stream.read(12))
            if encoding == LAST_RECTANGLE:
                break
            if encoding == CURSOR:
                self._skip_pointer(width, height)
            elif encoding == DESKTOP_SIZE:
                self._resize(width, height, update)
            elif encoding == EXTENDED_DESKTOP_SIZE:
                self._read_layout(x, y, (width, height), update)
            else:
                self._read_rectangle((x, y, width, height), encoding, update)
                had_pixels = True
        return had_pixels

    def _skip_pointer(self, width: int, height: int) -> None:
        if self._pointer_is_drawn:
            raise SourceLost(f"{self._stream.name} sent a pointer that it was not asked for.")
        if max(width, height) > LARGEST_POINTER:
            raise SourceLost(f"{self._stream.name} sent a pointer of {width}x{height}, which makes no sense.")
        self._stream.read(width * height * 4 + (width + 7) // 8 * height)

    def _read_layout(
        self, why: int, status: int, size: tuple[int, int], update: Callable[[Callable[[], bool]], None]
    ) -> None:
        screens = self._stream.read(4)[0]
        self._stream.read(16 * screens)
        if not (why == 1 and status):  # an answer to our own wish that failed; we never wish
            self._resize(*size, update)

    def _resize(self, width: int, height: int, update: Callable[[Callable[[], bool]], None]) -> None:
        check_size(width, height, name=self._stream.name)
        if self.picture.shape[:2] == (height, width):
            return

        def change() -> bool:
            self.picture = np.zeros((height, width, 4), dtype=np.uint8)
            return False  # black is no picture of the desktop: what it shows now is asked for

        update(change)
        self.ask(whole=True)

    def _read_rectangle(
        self,
        place: tuple[int, int, int, int],
        encoding: int,
        update: Callable[[Callable[[], bool]], None],
    ) -> None:
        x, y, width, height = place
        if x + width > self.picture.shape[1] or y + height > self.picture.shape[0]:
            raise SourceLost(f"{self._stream.name} sent pixels outside of its desktop.")
        if encoding == pixels.COPY_RECTANGLE:
            from_x, from_y = struct.unpack(">HH", self._stream.read(4))
            update(lambda: pixels.copy(self.picture, place, source=(from_x, from_y)))
            return
        new = self._decoder.decode(encoding, width, height)
        update(lambda: pixels.put(self.picture, place, new))
