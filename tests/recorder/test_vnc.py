"""Real VNC servers are recorded by a silent viewer; their pixels are read without loss and never believed."""

import struct
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xcffib
import xcffib.xproto

from recorder.errors import BadSource, SourceAway, SourceLost
from recorder.settings import Settings
from recorder.sources import check_source, open_source
from recorder.sources.rfb import CURSOR, answer_to
from recorder.sources.rfb_pixels import RAW, TIGHT, ZLIB, Decoder, copy
from recorder.sources.target import Access
from recorder.spool import Spool
from recorder.supervisor import Policy
from tests.waiting import PATIENCE, until

from .remote import ALLOWED, VNC_PASSWORD, Server, xvnc
from .stage import MemoryView, pictures, segments, supervising
from .test_targets import serving

ACCESS, OPEN = Access(VNC_PASSWORD, ALLOWED), Access("", ALLOWED)
SHARP = Settings(frame_rate=10, quality="ultra", segment_seconds=1, cursor=False)
# A greeting, a log-on without a password, a desktop without a name, and an update that changes nothing.
SMALL_DESKTOP = b"RFB 003.008\n\1\1" + bytes(4) + struct.pack(">HH", 64, 48) + bytes(16 + 4) + bytes(4)
POLICY = Policy(first_backoff=0.2, longest_backoff=0.5, restarts=40, allowed_targets=ALLOWED)


def address(server: Server) -> str:
    return f"vnc://127.0.0.1:{server.port}"


@pytest.mark.parametrize("password", [True, False], ids=["with a password", "open"])
def test_a_desktop_is_seen_exactly_as_it_is_and_through_a_resize(password: bool, tmp_path: Path) -> None:
    with xvnc(tmp_path, password=password) as server:
        check_source(address(server), access=ACCESS)
        source = open_source(address(server), SHARP, access=ACCESS if password else Access("", ALLOWED))
        try:
            noise = np.random.default_rng(5).integers(0, 255, (40, 60, 4), dtype=np.uint8)
            draw(server, noise, at=(100, 50))
            until(lambda: np.array_equal(seen(source)[50:90, 100:160, :3], noise[..., :3]))
            move(server, (100, 50, 60, 40), to=(300, 200))
            until(lambda: np.array_equal(seen(source)[200:240, 300:360, :3], noise[..., :3]))
            server.resize(800, 600)
            until(lambda: seen(source).shape == (600, 800, 4))
            server.paint(0x00FF00)
            until(lambda: (seen(source)[..., :3] == (0, 255, 0)).all())
        finally:
            source.close()


def test_the_first_picture_is_the_desktops(tmp_path: Path) -> None:
    with xvnc(tmp_path) as server:
        source = open_source(address(server), SHARP, access=ACCESS)
        assert (source.grab(0)[..., :3] == (0x99, 0x66, 0x33)).all()
        source.close()


def test_what_is_recorded_is_what_the_server_showed(tmp_path: Path) -> None:
    spool, view = Spool(tmp_path / "spool"), MemoryView(secret=VNC_PASSWORD)
    with xvnc(tmp_path) as server, supervising(spool, view, policy=POLICY):
        session = view.want(address(server), settings=SHARP)
        until(lambda: view.last(session, "recording"))
        server.paint(0x204080)
        folder = spool.take_directory(session, 1)
        until(lambda: [path for path, _ in spool.segments(folder) if shows_at_last(path, 0x204080)])
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
        assert VNC_PASSWORD not in repr(view.events)
    assert shows_at_last(segments(spool, folder)[-1][0], 0x204080)


def shows_at_last(path: Path, colour: int) -> bool:
    """Whether a segment's last picture is all of this colour, 0xRRGGBB."""
    return bool((pictures(path)[-1] == (colour & 255, colour >> 8 & 255, colour >> 16)).all())


def test_a_wrong_password_is_refused_with_the_servers_reason(tmp_path: Path) -> None:
    with xvnc(tmp_path) as server:
        with pytest.raises(BadSource, match="refused the password: Authentication failure"):
            open_source(address(server), SHARP, access=Access("wrong", ALLOWED))
        with pytest.raises(BadSource, match="asks for a password and none was given"):
            open_source(address(server), SHARP, access=Access("", ALLOWED))


def test_a_killed_server_is_found_again_after_a_gap(tmp_path: Path) -> None:
    spool, view = Spool(tmp_path / "spool"), MemoryView(secret=VNC_PASSWORD)
    with supervising(spool, view, policy=POLICY):
        with xvnc(tmp_path) as server:
            session = view.want(address(server), settings=SHARP)
            until(lambda: list(spool.segments()))
            server.kill()
            until(lambda: spool.closed(spool.take_directory(session, 1)))
        with xvnc(tmp_path, port=server.port):
            until(lambda: view.kinds(session).count("recording") == 2)
    closed = spool.closed(spool.take_directory(session, 1))["screen"]
    assert (closed.ending, "ended the connection" in closed.reason) == ("interrupted", True)


def test_the_answer_to_a_challenge_is_that_of_the_protocol() -> None:
    # Only the first 8 bytes count: real servers agree above.
    challenge = bytes(range(16))
    assert answer_to(challenge, password="secret12-and-more") == answer_to(challenge, password="secret12")
    assert answer_to(challenge, password="secret12") != answer_to(challenge, password="secret13")


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", BadSource),
        (b"RFB 003.003\n" + bytes(20), BadSource),
        (b"RFB 003.008\n\0" + struct.pack(">I", 4) + b"full", SourceAway),
        (b"RFB 003.008\n\1\x10", BadSource),
        (b"RFB 003.008\n\1\1" + bytes(4) + struct.pack(">HH", 9999, 9999) + bytes(20), SourceAway),
        (b"RFB 003.008\n", SourceAway),
    ],
)
def test_a_server_that_is_none_is_told_from_one_that_is_away(greeting: bytes, error: type[Exception]) -> None:
    with server_that_says(greeting) as port, pytest.raises(error):
        open_source(f"vnc://127.0.0.1:{port}", SHARP, access=Access("", ALLOWED))


@pytest.mark.parametrize(
    "message",
    [
        struct.pack(">BxHHHHHi", 0, 1, 60, 0, 10, 10, RAW),
        struct.pack(">BxHHHHHi", 0, 1, 0, 0, 10, 10, 999),
        struct.pack(">BxHHHHHiHH", 0, 1, 0, 0, 10, 10, 1, 60, 0),
        struct.pack(">BxHHHHHi", 0, 1, 0, 0, 10, 10, TIGHT) + b"\x90",
        struct.pack(">BxHHHHHiI", 0, 1, 0, 0, 10, 10, ZLIB, 0xFFFFFFFF),
        struct.pack(">BxHHHHHi", 0, 1, 0, 0, 9000, 10, -223),
        struct.pack(">BxHHHHHi", 0, 1, 0, 0, 65_535, 65_535, CURSOR),
        struct.pack(">BxHHHHHi", 0, 1, 0, 0, 1025, 1, CURSOR),
        b"\x77",
    ],
)
def test_messages_that_make_no_sense_end_the_recording_and_not_the_recorder(message: bytes) -> None:
    with server_that_says(SMALL_DESKTOP + message) as port:
        source = open_source(f"vnc://127.0.0.1:{port}", SHARP, access=OPEN)
        with pytest.raises(SourceLost):
            watch(source)
        source.close()


def test_a_pointer_of_its_own_is_not_taken_where_the_server_is_to_draw_it() -> None:
    pointer = struct.pack(">BxHHHHHi", 0, 1, 0, 0, 8, 8, CURSOR) + bytes(8 * 8 * 4 + 8)
    with server_that_says(SMALL_DESKTOP + pointer) as port:
        source = open_source(f"vnc://127.0.0.1:{port}", replace(SHARP, cursor=True), access=OPEN)
        with pytest.raises(SourceLost, match="pointer that it was not asked for"):
            watch(source)
        source.close()


def test_a_reader_that_ends_by_a_defect_of_ours_ends_the_recording_too(tmp_path: Path) -> None:
    with xvnc(tmp_path) as server:
        source: Any = open_source(address(server), SHARP, access=ACCESS)
        source._viewer = None
        server.paint(0x00FF00)  # so that the reader goes on
        with pytest.raises(SourceLost, match="can be watched no longer: AttributeError"):
            until(lambda: source.wait(0.1) and False)
        source.close()


def test_each_encoding_gives_the_pixels_that_went_in() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (9, 13, 4), dtype=np.uint8)
    picture[..., 3] = 0
    red_first = picture[..., 2::-1].tobytes()
    packed = zlib.compress(red_first)
    palette = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    bits = np.random.default_rng(2).integers(0, 2, (9, 13), dtype=np.uint8)
    rows = zlib.compress(np.packbits(bits, axis=1).tobytes())
    for encoding, content, want in (
        (RAW, picture.tobytes(), picture[..., :3]),
        (ZLIB, sized(zlib.compress(picture.tobytes())), picture[..., :3]),
        (TIGHT, b"\x00" + compact(packed), picture[..., :3]),
        (TIGHT, b"\x40\x00" + compact(packed), picture[..., :3]),
        (TIGHT, b"\x80\x01\x02\x03", np.broadcast_to((3, 2, 1), (9, 13, 3))),
        (TIGHT, b"\x40\x01\x01" + palette.tobytes() + compact(rows),
         palette[bits][..., ::-1]),
        (TIGHT, b"\x40\x02" + compact(zlib.compress(gradient_of(picture))), picture[..., :3]),
    ):  # fmt: skip
        assert np.array_equal(decoded(encoding, content, 13, 9)[..., :3], want)


def test_a_stream_that_would_become_more_than_its_pixels_is_refused() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    for width in (4, 0):
        with pytest.raises(SourceLost, match="cannot be read"), at_most(1_000_000):
            decoded(ZLIB, sized(bomb), width, 4)
    with pytest.raises(SourceLost, match="cannot be read"):
        decoded(TIGHT, b"\x40\x01\x09" + bytes(30) + compact(zlib.compress(b"\xff" * 16)), 4, 4)


def test_a_copy_may_overlap_but_not_come_from_outside() -> None:
    picture = np.arange(6 * 8 * 4, dtype=np.uint8).reshape(6, 8, 4)
    before = picture.copy()
    assert copy(picture, (1, 1, 5, 4), source=(0, 0))
    assert np.array_equal(picture[1:5, 1:6], before[0:4, 0:5])
    with pytest.raises(SourceLost, match="outside"):
        copy(picture, (0, 0, 5, 4), source=(5, 5))


@contextmanager
def at_most(length: int) -> Iterator[None]:
    """What is inside takes no more bytes of memory than this."""
    tracemalloc.start()
    try:
        yield
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < length


def seen(source: Any) -> Any:
    source.wait(0.1)
    return source.grab(0)


def watch(source: Any) -> None:
    until(lambda: source.wait(0.1) and source.grab(0) is None)


def decoded(encoding: int, content: bytes, width: int, height: int) -> Any:
    rest = bytearray(content)

    def read(length: int) -> bytes:
        taken, rest[:] = bytes(rest[:length]), rest[length:]
        return taken

    return Decoder(read).decode(encoding, width, height)


def sized(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def compact(content: bytes) -> bytes:
    length = len(content)
    sizes = [length & 0x7F | (0x80 if length > 0x7F else 0)]
    if length > 0x7F:
        sizes.append(length >> 7 & 0x7F | (0x80 if length > 0x3FFF else 0))
    if length > 0x3FFF:
        sizes.append(length >> 14)
    return bytes(sizes) + content


def gradient_of(picture: Any) -> bytes:
    """The differences that Tight's gradient filter sends."""
    plain = np.zeros((picture.shape[0] + 1, picture.shape[1] + 1, 3), int)
    plain[1:, 1:] = picture[..., 2::-1]
    guess = (plain[1:, :-1] + plain[:-1, 1:] - plain[:-1, :-1]).clip(0, 255)
    return bytes(((plain[1:, 1:] - guess) & 255).astype(np.uint8).tobytes())


def server_that_says(content: bytes) -> Any:
    """A VNC server with one monologue; it waits until the other side hangs up."""
    hold = threading.Event()

    def talk(connection: Any) -> None:
        connection.settimeout(PATIENCE)
        connection.sendall(content)
        while connection.recv(4096):
            hold.wait(0.01)

    return serving(talk, speaks_first=True)


def draw(server: Server, picture: Any, *, at: tuple[int, int]) -> None:
    with Drawing(server) as (x, root, brush):
        height, width = picture.shape[:2]
        x.core.PutImage(2, root, brush, width, height, *at, 0, 24, picture.nbytes, picture.tobytes())


def move(server: Server, part: tuple[int, int, int, int], *, to: tuple[int, int]) -> None:
    with Drawing(server) as (x, root, brush):
        x.core.CopyArea(root, root, brush, part[0], part[1], *to, part[2], part[3])


class Drawing:
    """A connection to a server's display with something to draw with."""

    def __init__(self, server: Server) -> None:
        self.x = xcffib.Connection(display=server.display)

    def __enter__(self) -> tuple[Any, int, int]:
        root = self.x.get_setup().roots[0].root
        brush = self.x.generate_id()
        self.x.core.CreateGC(brush, root, 0, [])
        return self.x, root, brush

    def __exit__(self, *_: object) -> None:
        self.x.core.GetInputFocus().reply()
        self.x.disconnect()
