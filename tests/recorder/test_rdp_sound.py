"""What a remote desktop plays is heard by its recorder alone, and stays with what it shows."""

import os
import tempfile
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from recorder.errors import BadSource
from recorder.export import Sound, write_mp4
from recorder.settings import Settings
from recorder.sources import open_source
from recorder.sources.target import Access
from recorder.spool import Spool
from tests.programs import needed
from tests.waiting import until

from .remote import ALLOWED, PASSWORD, USER, Server, XrdpSound, shadow, xrdp
from .stage import Child, assert_gapless, segments
from .test_audio import beep
from .together import apart

HEARD = Settings(frame_rate=60, quality="low", segment_seconds=1, cursor=False, sound=True)
BLACK, WHITE = 0x000000, 0xFFFFFF


def child_of(server: Server, spool: Spool, *, settings: Settings = HEARD) -> Child:
    for program in ("pulseaudio", "parec"):
        needed(program)
    source = f"rdp://{USER}@127.0.0.1:{server.port}?fingerprint={server.fingerprint}"
    access = {"secret": PASSWORD, "allowed": ALLOWED}
    return Child(spool, source, settings=settings, access=access)


def test_a_beep_and_a_flash_of_a_remote_desktop_are_within_50_ms_in_the_export(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with xrdp(tmp_path / "server", sound=True) as server, child_of(server, spool) as child:
        server.paint(BLACK)
        until(lambda: [1 for _, name in spool.segments() if name.track == "audio"])
        with closing(XrdpSound(server)) as speaker:
            speaker.play(bytes(4 * XrdpSound.RATE))  # a second of nothing: everybody is ready then
            for _ in range(4):
                server.paint(WHITE)
                speaker.play(beep(XrdpSound.RATE))
                server.paint(BLACK)
                speaker.play(bytes(3 * XrdpSound.RATE))
            assert child.end() == 0
    heard, seen = segments(spool, child.directory, track="audio"), segments(spool, child.directory)
    assert_gapless([name for _, name in heard])
    parts = [path.read_bytes() for path, _ in heard]
    write_mp4(tmp_path / "out.mp4", (path.read_bytes() for path, _ in seen), sound=Sound(parts))
    # What comes soonest tells how far the clocks are apart.
    assert min(apart(tmp_path / "out.mp4")) < 0.05
    assert not list(Path(tempfile.gettempdir()).glob(f"lucid-sound-{child.process.pid}-*"))


def test_a_desktop_that_is_never_opened_leaves_no_sound_server(tmp_path: Path) -> None:
    with shadow(tmp_path / "server") as server:
        url = f"rdp://{USER}@127.0.0.1:{server.port}?ignore_cert=1"
        with pytest.raises(BadSource, match="user name or password"):
            open_source(url, HEARD, access=Access("Wrong-4711", ALLOWED))
    assert not list(Path(tempfile.gettempdir()).glob(f"lucid-sound-{os.getpid()}-*"))


def test_a_remote_desktop_that_plays_nothing_is_recorded_as_silent(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with shadow(tmp_path / "server") as server, child_of(server, spool) as child:
        until(lambda: len([1 for _, name in spool.segments() if name.track == "audio"]) >= 2)
        assert child.end() == 0
    assert spool.gaps(child.directory) == []
    for path, _ in segments(spool, child.directory, track="audio"):
        with av.open(str(path)) as container:
            assert all(np.abs(frame.to_ndarray()).max() < 0.01 for frame in container.decode(audio=0))
