"""A stream that breaks off or jumps costs a gap with its reason, tells no secret and shifts nothing else."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from recorder import stream_sound
from recorder.child import without_password
from recorder.names import GapMarker, SegmentName
from recorder.sources.rtsp import ANSWER_WITHIN
from recorder.spool import Spool
from tests.waiting import stalls, until

from .relay import Relay, relaying
from .remote import ALLOWED
from .stage import Child, assert_gapless, draw_video, packet_hashes, segments
from .test_rtsp import ONE_SECOND, child_of, sending

SOUND_RATE = 48_000


def test_a_connection_that_is_reset_does_not_tell_the_password(tmp_path: Path) -> None:
    options = {"strict": "unofficial", "huffman": "default"}  # as RTP has it
    film = draw_video(tmp_path / "film.mov", "mjpeg", seconds=20, **options)
    spool, secret = Spool(tmp_path / "spool"), "S3cret-Pass/4711"
    account = {"access": {"secret": secret, "allowed": ALLOWED}, "settings": ONE_SECOND}
    with (
        sending(film, "viewer", secret) as (port, _),
        relaying(port) as relay,
        Child(spool, f"rtsp://viewer@127.0.0.1:{relay.port}/live", **account) as child,
    ):
        until(lambda: list(spool.segments(child.directory)))
        relay.reset()
        child.end(None)
    interrupted = child.heard("interrupted")
    assert interrupted["reason"] == f"127.0.0.1:{relay.port} broke off (Connection reset by peer)."
    closed = spool.closed(child.directory)["screen"]
    assert closed.reason == interrupted["reason"]
    assert "S3cret-Pass" not in json.dumps(child.lines)


@pytest.mark.parametrize("form", ["S3cret/4711", "S3cret%2F4711"])
def test_no_reason_that_is_kept_has_an_address_with_the_password(form: str) -> None:
    said = f"cannot open 'rtsp://viewer:{form}@10.0.0.7:554/live': refused"
    told = "cannot open 'rtsp://viewer:...@10.0.0.7:554/live': refused"
    assert without_password(said, "S3cret/4711") == told
    assert without_password(told, "") == told


@pytest.mark.parametrize("later", [3600, -3600], ids=["an hour on", "an hour back"])
def test_times_that_jump_between_key_frames_cost_a_gap_and_shift_nothing(
    tmp_path: Path, film: Path, later: int
) -> None:
    spool, began = Spool(tmp_path / "spool"), time.monotonic()
    with (
        sending(film) as (port, _),
        relaying(port) as relay,
        child_of(relay.port, spool) as child,
        stalls() as stalled,
    ):
        until(lambda: len(seen(spool)) >= 2)
        relay.later = later * 90_000
        until(lambda: [name.epoch for name in seen(spool)].count(2) >= 2)
        assert child.end() == 0
    lasted_us = (time.monotonic() - began) * 1_000_000
    found = segments(spool, child.directory)
    names = [name for _, name in found]
    assert_gapless(names)
    after = [path for path, name in found if name.epoch == 2]
    assert len(packet_hashes(after[0])) == 25  # all that is sent between two key frames
    assert names[-1].end_us < lasted_us
    (gap,) = [gap for gap in spool.gaps(child.directory) if gap.track == "screen"]
    assert (gap.reason, gap.uncertain) == ("the stream's clock jumped", True)
    assert gap.from_us == max(name.end_us for name in names if name.epoch == 1)
    assert gap.to_us == min(name.start_us for name in names if name.epoch == 2)
    assert gap.to_us - gap.from_us < 2_000_000 + stalled() * 1_000_000  # there is a key frame each second
    heard = [name for _, name in segments(spool, child.directory, track="audio")]
    assert all(name.end_us < lasted_us for name in heard)


def test_what_was_sent_while_the_recorder_had_no_time_is_recorded_as_ever(tmp_path: Path, film: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with sending(film) as (port, _), child_of(port, spool) as child:
        until(lambda: len(seen(spool)) >= 2)
        os.kill(child.process.pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(child.process.pid, signal.SIGCONT)
        before = len(seen(spool))
        until(lambda: len(seen(spool)) >= before + 6)
        assert child.end() == 0
    assert spool.gaps(child.directory) == []
    for track in ("screen", "audio"):
        names = [name for _, name in segments(spool, child.directory, track=track)]
        assert_gapless(names)
        assert {name.epoch for name in names} == {1}
    # Nothing that was sent is missing: the film as it is, from its first key frame on.
    kept = [packet for path, _ in segments(spool, child.directory) for packet in packet_hashes(path)]
    sent = packet_hashes(film)
    first = sent.index(kept[0])
    assert kept == sent[first : first + len(kept)]


def test_a_recorder_that_stood_still_with_the_stream_does_not_blame_it(tmp_path: Path, film: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with sending(film) as (port, server), child_of(port, spool) as child:
        until(lambda: len(seen(spool)) >= 2)
        server.send_signal(signal.SIGSTOP)
        time.sleep(0.5)  # what was on its way has come
        child.process.send_signal(signal.SIGSTOP)
        time.sleep(ANSWER_WITHIN + 1)
        child.process.send_signal(signal.SIGCONT)
        time.sleep(1)
        server.send_signal(signal.SIGCONT)
        before = len(seen(spool))
        until(lambda: len(seen(spool)) >= before + 3 or child.process.poll() is not None)
        assert child.end() == 0
    assert child.heard("interrupted") is None
    assert all("hangs" not in gap.reason for gap in spool.gaps(child.directory))


@pytest.mark.parametrize("later", [3600, -3600], ids=["an hour on", "an hour back"])
def test_times_that_jump_at_once_do_not_move_the_beginning(tmp_path: Path, later: int) -> None:
    spool = Spool(tmp_path / "spool")
    film = draw_video(tmp_path / "film.mp4", "libx264", seconds=12, sound="aac", g="25", bf="0")
    with sending(film) as (port, _), relaying(port) as relay:
        # The library has looked at the first second by then: a recording begins with this key frame.
        relay.later, relay.since_key = later * 90_000, 2
        began_ms = time.time() * 1000
        with child_of(relay.port, spool) as child:
            until(lambda: len(seen(spool)) >= 3)
            assert child.end() == 0
    ended_ms = time.time() * 1000
    assert began_ms < child.heard("recording")["facts"]["origin_wall_ms"] < ended_ms
    names = [name for _, name in segments(spool, child.directory)]
    assert names[0].start_us == 0
    assert names[-1].end_us < (ended_ms - began_ms) * 1000


@pytest.mark.parametrize("later", [3600, -3600], ids=["an hour on", "an hour back"])
def test_sound_whose_times_jump_costs_a_gap_and_stays_beside_the_pictures(
    tmp_path: Path, film: Path, later: int
) -> None:
    spool = Spool(tmp_path / "spool")
    with (
        sending(film) as (port, _),
        relaying(port) as relay,
        child_of(relay.port, spool) as child,
        stalls() as stalled,
    ):
        until(lambda: len(heard(spool)) >= 2)
        relay.sound_later = later * SOUND_RATE
        until(lambda: [name.epoch for name in heard(spool)].count(2) >= 2)
        assert child.end() == 0
    gap = only_gap(spool, child)
    assert (gap.reason, gap.uncertain) == (stream_sound.JUMPED, True)
    assert gap.to_us - gap.from_us < 4_000_000 + stalled() * 1_000_000
    ends = (max(name.end_us for name in names) for names in (heard(spool), seen(spool)))
    assert abs(next(ends) - next(ends)) < 1_000_000 + stalled() * 1_000_000


def test_sound_that_stops_for_a_while_is_a_gap_until_it_goes_on(tmp_path: Path, film: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with (
        sending(film) as (port, _),
        relaying(port) as relay,
        child_of(relay.port, spool) as child,
        stalls() as stalled,
    ):
        _silence(relay, spool)
        relay.is_mute = False
        until(lambda: [name.epoch for name in heard(spool)].count(2) >= 2)
        assert child.end() == 0
    gap = only_gap(spool, child)
    assert (gap.reason, gap.uncertain) == (stream_sound.SILENT, True)
    assert 3_000_000 < gap.to_us - gap.from_us < 8_000_000 + stalled() * 1_000_000


def test_sound_that_stops_for_good_is_a_gap_until_the_end(tmp_path: Path, film: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with sending(film) as (port, _), relaying(port) as relay, child_of(relay.port, spool) as child:
        _silence(relay, spool)
        assert child.end() == 0
    (gap,) = [gap for gap in spool.gaps(child.directory) if gap.track == "audio"]
    assert gap.reason == stream_sound.SILENT
    assert gap.from_us == max(name.end_us for name in heard(spool))
    assert gap.to_us == max(name.end_us for name in seen(spool))


def _silence(relay: Relay, spool: Spool) -> None:
    """After two segments of sound four of the screen are without."""
    until(lambda: len(heard(spool)) >= 2)
    relay.is_mute = True
    pictures = len(seen(spool))
    until(lambda: len(seen(spool)) >= pictures + 4)


def only_gap(spool: Spool, child: Child) -> GapMarker:
    """The only gap, which is one of sound, exactly between the sound before and behind it."""
    (gap,) = spool.gaps(child.directory)
    assert gap.track == "audio"
    names = heard(spool)
    assert gap.from_us == max(name.end_us for name in names if name.epoch == 1)
    assert gap.to_us == min(name.start_us for name in names if name.epoch == 2)
    assert_gapless(names)
    assert_gapless(seen(spool))
    return gap


def heard(spool: Spool) -> list[SegmentName]:
    return [name for _, name in spool.segments() if name.track == "audio"]


def seen(spool: Spool) -> list[SegmentName]:
    return [name for _, name in spool.segments() if name.track == "screen"]
