"""Outputs come and go while a desktop is recorded: what it plays is heard, and never its microphone."""

import subprocess
from contextlib import closing
from pathlib import Path

import av
import numpy as np

from recorder.pulse import PrivateSound
from recorder.spool import Spool
from tests.programs import needed
from tests.waiting import until

from .stage import Child, gaps_of, segments
from .test_audio import Speaker, hearing

LOUD = 0.2


def pactl(sound: PrivateSound, *words: str) -> str:
    """What the server is told, or asked."""
    argv = [needed("pactl"), *words]
    return subprocess.run(argv, env=sound.environment, check=True, capture_output=True, text=True).stdout


def unplug(sound: PrivateSound, output: str) -> None:
    """The output of this name is gone."""
    modules = pactl(sound, "list", "short", "modules").splitlines()
    (number,) = [line.split()[0] for line in modules if f"sink_name={output} " in line]
    pactl(sound, "unload-module", number)


def loudest(spool: Spool, folder: Path, *, epoch: int) -> float:
    """Of the sound of one epoch, from 0 to 1."""
    found = [0.0]
    for path, name in segments(spool, folder, track="audio"):
        if name.epoch == epoch:
            with av.open(str(path)) as container:
                found += [float(np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0)]
    return max(found)


def heard(spool: Spool, folder: Path, *, epoch: int) -> bool:
    """Whether there is sound of this epoch."""
    return any(name.epoch == epoch for _, name in segments(spool, folder, track="audio"))


def is_heard_anew(spool: Spool, child: Child, sound: PrivateSound) -> None:
    """What is played from now on is in a second stretch, behind a gap that says why; the recording ends."""
    until(lambda: heard(spool, child.directory, epoch=2))
    with closing(Speaker(sound)) as speaker:
        speaker.beep()
        until(lambda: loudest(spool, child.directory, epoch=2) > LOUD)
    assert child.end() == 0
    (gap,) = gaps_of(spool, child.session)
    assert (gap.track, gap.uncertain) == ("audio", True)
    assert "another device" in gap.reason


def test_the_microphone_is_not_recorded_when_the_output_is_unplugged(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with hearing(spool) as (child, sound):
        pactl(sound, "set-default-sink", "lucid")  # as somebody chose it: a newer one takes nothing over
        pactl(sound, "load-module", "module-null-sink", "sink_name=loudspeaker", "rate=48000")
        pactl(sound, "load-module", "module-sine-source", "source_name=microphone", "frequency=440")
        pactl(sound, "set-default-source", "microphone")
        unplug(sound, "lucid")
        is_heard_anew(spool, child, sound)
    assert loudest(spool, child.directory, epoch=1) < LOUD


def test_what_is_played_to_another_output_from_now_on_is_heard_there(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with hearing(spool) as (child, sound):
        pactl(sound, "set-default-sink", "lucid")  # as somebody chose it: a newer one takes nothing over
        pactl(sound, "load-module", "module-null-sink", "sink_name=headset", "rate=44100")
        pactl(sound, "set-default-sink", "headset")
        is_heard_anew(spool, child, sound)


def test_a_microphone_that_is_plugged_in_is_not_recorded(tmp_path: Path) -> None:
    """Where there was none the server takes whoever listens along to it."""
    spool = Spool(tmp_path / "spool")
    with hearing(spool) as (child, sound):
        pactl(sound, "set-default-sink", "lucid")
        pactl(sound, "load-module", "module-sine-source", "source_name=microphone", "frequency=440")
        until(lambda: heard(spool, child.directory, epoch=2))
        # From now on there is another one, so that nobody is moved.
        pactl(sound, "load-module", "module-sine-source", "source_name=another", "frequency=440")
        pactl(sound, "set-default-source", "another")
        before = len(segments(spool, child.directory, track="audio"))
        until(lambda: len(segments(spool, child.directory, track="audio")) > before + 2)
        assert child.end() == 0
    assert [gap.track for gap in gaps_of(spool, child.session)] == ["audio"]
    assert not heard(spool, child.directory, epoch=3)
    assert max(loudest(spool, child.directory, epoch=epoch) for epoch in (1, 2)) < LOUD
