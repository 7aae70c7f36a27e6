"""What a desktop plays is recorded beside what it shows, and comes out with it."""

import fcntl
import os
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import numpy as np
import pytest
import xcffib

from recorder.export import Sound, write_mp4
from recorder.pulse import PrivateSound
from recorder.settings import Settings
from recorder.spool import Spool
from tests.programs import needed
from tests.waiting import until

from .displays import Display, display
from .stage import Child, assert_gapless, gaps_of, segments
from .together import apart, came_on

SECOND = 1_000_000
HEARD = Settings(frame_rate=60, quality="low", segment_seconds=1, cursor=False, sound=True)


@contextmanager
def private_sound() -> Iterator[PrivateSound]:
    """A sound server of this test's own."""
    for program in ("pulseaudio", "parec"):
        needed(program)
    with closing(PrivateSound()) as sound:
        yield sound


class Speaker:
    """A program that is ready to play, and beeps when it is told."""

    def __init__(self, sound: PrivateSound) -> None:
        argv = [
            needed("pacat"),
            "--raw",
            "--format=s16le",
            "--rate=48000",
            "--channels=2",
            "--latency-msec=10",
        ]
        self._program = subprocess.Popen(argv, stdin=subprocess.PIPE, env=sound.environment)
        self._write(bytes(9600))
        # What waits in the pipe while the player starts would be heard first.
        until(lambda: not _waiting(self._program.stdin))

    def beep(self, seconds: float = 0.3) -> None:
        self._write(beep(48_000, seconds))

    def close(self) -> None:
        self._program.kill()
        self._program.wait()

    def _write(self, samples: bytes) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(samples)
        self._program.stdin.flush()


def beep(rate: int, seconds: float = 0.3) -> bytes:
    """1 kHz, 16 bits, stereo."""
    tone = np.sin(np.arange(round(rate * seconds)) * 2 * np.pi * 1000 / rate) * 20_000
    return tone.astype(np.int16).repeat(2).tobytes()


def _waiting(pipe: Any) -> int:
    """Bytes that nobody has read yet."""
    found = fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4))
    return int.from_bytes(found, "little")


@contextmanager
def lamp(shown: Display) -> Iterator[Callable[[bool], None]]:
    """Lights the whole display, and puts it out."""
    x = xcffib.Connection(display=shown.name)
    root, window = x.get_setup().roots[0], x.generate_id()
    values = [root.white_pixel, 1]
    x.core.CreateWindow(24, window, root.root, 0, 0, 320, 240, 0, 1, root.root_visual, 0x2 | 0x200, values)

    def light(on: bool) -> None:
        (x.core.MapWindow if on else x.core.UnmapWindow)(window)
        x.flush()

    yield light
    x.disconnect()


def flash_and_beep(light: Callable[[bool], None], speaker: Speaker, *, times: int) -> None:
    """Together, so many times: each so long that a machine with much else to do misses none."""
    for _ in range(times):
        speaker.beep()
        light(True)
        time.sleep(1)
        light(False)
        time.sleep(1)


def publish(shown: Display, sound: PrivateSound) -> None:
    """As desktops do it: the display names the server that its programs play to."""
    argv = [needed("pactl"), "load-module", "module-x11-publish", f"display={shown.name}"]
    subprocess.run(argv, env=sound.environment, check=True, stdout=subprocess.DEVNULL)


def test_a_beep_and_a_flash_are_within_50_ms_in_the_export(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with display() as shown, private_sound() as sound:
        publish(shown, sound)
        with (
            closing(Speaker(sound)) as speaker,
            Child(spool, f"x11://{shown.name}", settings=HEARD) as child,
            lamp(shown) as light,
        ):
            until(lambda: [1 for _, name in spool.segments() if name.track == "audio"])
            time.sleep(0.5)
            flash_and_beep(light, speaker, times=6)
            time.sleep(0.5)
            assert child.end() == 0
    heard = segments(spool, child.directory, track="audio")
    seen = segments(spool, child.directory)
    assert_gapless([name for _, name in heard])
    assert abs(heard[-1][1].end_us - seen[-1][1].end_us) < 25  # microseconds: about a sample
    parts = [path.read_bytes() for path, _ in heard]
    out = tmp_path / "out.mp4"
    write_mp4(out, (path.read_bytes() for path, _ in seen), sound=Sound(parts))
    assert median(apart(out)) < 0.05


def test_a_display_that_names_its_sound_server_is_heard_there_whatever_the_recorder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    with display() as shown, private_sound() as sound:
        publish(shown, sound)
        with Child(spool, f"x11://{shown.name}", settings=replace(HEARD, frame_rate=10)) as child:
            until(lambda: segments(spool, child.directory, track="audio"))
            assert child.end() == 0


@contextmanager
def hearing(spool: Spool) -> Iterator[tuple[Child, PrivateSound]]:
    """A recording of a display whose sound is heard by now, and the server that it comes from."""
    settings = replace(HEARD, frame_rate=10)
    with display() as shown, private_sound() as sound:
        publish(shown, sound)
        with Child(spool, f"x11://{shown.name}", settings=settings) as child:
            until(lambda: [1 for _, name in spool.segments() if name.track == "audio"])
            yield child, sound


@contextmanager
def frozen(sound: PrivateSound) -> Iterator[None]:
    """The sound server stands still."""
    os.kill(sound._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(sound._process.pid, signal.SIGCONT)


@pytest.mark.parametrize("seconds", [1.7, 4.5], ids=["just before the end", "long before the end"])
def test_a_sound_server_that_freezes_is_a_gap_from_then_on(seconds: float, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with hearing(spool) as (child, sound), frozen(sound):
        time.sleep(seconds)
        assert child.end() == 0
    (gap,) = spool.gaps(child.directory)
    assert (gap.track, gap.from_us) == (
        "audio",
        segments(spool, child.directory, track="audio")[-1][1].end_us,
    )
    assert gap.to_us == segments(spool, child.directory)[-1][1].end_us
    assert gap.to_us - gap.from_us > (seconds - 0.5) * SECOND
    assert "sent nothing" in gap.reason


def test_a_sound_server_that_goes_on_after_it_froze_is_heard_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with hearing(spool) as (child, sound):
        with frozen(sound):
            time.sleep(4)
        until(lambda: [1 for _, name in spool.segments() if name.track == "audio" and name.epoch == 2])
        assert child.end() == 0
    (gap,) = spool.gaps(child.directory)
    heard = [name for _, name in segments(spool, child.directory, track="audio")]
    assert gap.from_us in [name.end_us for name in heard if name.epoch == 1]
    again_us = min(name.start_us for name in heard if name.epoch == 2)
    assert 0 <= again_us - gap.to_us < SECOND * 1024 / 48_000  # a packet at most


def test_what_is_played_while_the_recorder_stands_still_is_recorded(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with hearing(spool) as (child, sound), closing(Speaker(sound)) as speaker:
        playing = Thread(target=speaker.beep, args=[4.0])
        playing.start()
        time.sleep(1)
        child.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        child.process.send_signal(signal.SIGCONT)
        playing.join()
        time.sleep(1)
        assert child.end() == 0
    seen, heard = (segments(spool, child.directory, track=track) for track in ("screen", "audio"))
    assert_gapless([name for _, name in heard])
    out = tmp_path / "out.mp4"
    write_mp4(
        out, (path.read_bytes() for path, _ in seen), sound=Sound([path.read_bytes() for path, _ in heard])
    )
    _, beeps = came_on(out)
    assert len(beeps) == 1  # it is interrupted for no longer than 0.6 s


def test_sound_that_cannot_be_heard_is_a_gap_and_the_screen_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    settings = replace(HEARD, frame_rate=10)
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    with display() as shown, Child(spool, f"x11://{shown.name}", settings=settings) as child:
        until(lambda: len(segments(spool, child.directory)) >= 2)
        assert child.end() == 0
    (gap,) = [gap for gap in spool.gaps(child.directory) if gap.track == "audio"]
    assert "sound server" in gap.reason
    assert gap.to_us == segments(spool, child.directory)[-1][1].end_us


def test_a_pause_that_comes_before_any_sound_leaves_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool")
    with display() as shown, private_sound() as sound:
        monkeypatch.setenv("PULSE_SERVER", sound.environment["PULSE_SERVER"])
        with Child(spool, f"x11://{shown.name}", settings=HEARD) as child:
            until(lambda: child.heard("recording"))
            child.say("pause")
            ended = until(lambda: child.heard("paused"))
            child.end()
    end_us = ended["facts"]["end_us"]
    heard = segments(spool, child.directory, track="audio")
    missing = [gap for gap in gaps_of(spool, child.session) if gap.track == "audio"]
    assert heard or missing[0].from_us == 0
    assert (heard[-1][1].end_us if heard else missing[0].to_us) >= end_us - 1000
