"""A file is taken over packet by packet: what is exported is bit for bit what was there."""

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from recorder.continuation import orders_for
from recorder.export import write_mp4
from recorder.recovery import recover
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.thumb import read_thumb
from recorder.view import Tenure, Wanted

from .stage import Child, assert_gapless, draw_video, packet_hashes, pictures, segments, shown_at

ONE_SECOND = Settings(segment_seconds=1)
FILES = {
    "h264 with B-frames.mp4": ("libx264", 25, {"g": "25", "bf": "3", "sound": "aac"}),
    "h264 with B-frames.mkv": ("libx264", Fraction(30_000, 1001), {"g": "30", "bf": "2", "sound": "aac"}),
    "hevc.mp4": ("libx265", 24, {"x265-params": "keyint=24:log-level=none"}),
    "mpeg4.mp4": ("mpeg4", 25, {"g": "12", "bf": "2"}),
    "vp9.mkv": ("libvpx-vp9", 20, {"g": "20", "deadline": "realtime", "cpu-used": "8", "sound": "libopus"}),
}


def export(spool: Spool, directory: Path, out: Path, *, track: str = "screen") -> Path:
    write_mp4(out, (path.read_bytes() for path, _ in segments(spool, directory, track=track)))
    return out


@pytest.mark.parametrize("name", FILES)
def test_the_export_has_the_very_packets_of_the_file(tmp_path: Path, name: str) -> None:
    codec, rate, options = FILES[name]
    video = draw_video(tmp_path / name, codec, rate=rate, **options)
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    assert child.heard("ended")["reason"] == "end of the file"
    names = [segment for _, segment in segments(child.spool, child.directory)]
    assert len(names) > 2
    assert names[0].start_us == 0
    assert_gapless(names)
    out = export(child.spool, child.directory, tmp_path / "out.mp4")
    assert packet_hashes(out) == packet_hashes(video)
    assert shown_at(out) == shown_at(video)


def test_the_sound_of_a_file_becomes_a_track_of_its_own(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "v.mp4", "libx264", sound="aac", g="25")
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    sound = segments(child.spool, child.directory, track="audio")
    assert_gapless([name for _, name in sound])
    kept = packet_hashes(
        export(child.spool, child.directory, tmp_path / "out.mp4", track="audio"), kind="audio"
    )
    whole = packet_hashes(video, kind="audio")
    assert kept == whole[1:]  # the first packet only primes the decoder: it lies before the first picture
    closed = child.spool.closed(child.directory)
    assert closed["audio"].last_counter == len(sound)


def test_an_import_that_died_goes_on_where_it_was_without_loss_or_repetition(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "v.mp4", "libx264", seconds=8, g="25", bf="2")
    spool = Spool(tmp_path / "spool")
    half = Settings(segment_seconds=1, maximum_seconds=3.5, poster_width=80)
    with Child(spool, video.as_uri(), settings=half) as child:
        assert child.end(None) == 0
    # As after a crash: the last segment was still in progress, and nothing is closed.
    path, name = [one for one in spool.segments(child.directory) if one[1].track == "screen"][-1]
    path.rename(path.with_name(name.part_filename))
    (child.directory / "closed_screen.json").unlink()
    (child.directory / "last_screen.json").unlink()
    marker = recover(spool, child.session, take=1, reason="killed")
    assert (marker.last_counter, marker.ending) == (name.counter - 1, "interrupted")
    wanted = Wanted(child.session, "record", video.as_uri(), ONE_SECOND, take=1)
    orders = orders_for(spool, wanted, tenure=Tenure(2, 0, known_end_us=name.start_us), host="here")
    assert orders.resume_us["screen"] == name.start_us
    with Child(
        spool,
        video.as_uri(),
        settings=replace(ONE_SECOND, poster_width=80),
        session=child.session,
        take=2,
        resume_us=orders.resume_us,
    ) as second:
        assert second.end(None) == 0
    both = segments(spool, child.directory) + segments(spool, second.directory)
    assert [one.end_us for _, one in both][:-1] == [one.start_us for _, one in both][1:]
    packets = [packet for path, _ in both for packet in packet_hashes(path)]
    assert packets == packet_hashes(video)
    thumbs = [name for _, name in spool.segments() if name.track == "thumb"]
    assert all(one.end_us <= following.start_us for one, following in itertools.pairwise(thumbs))
    assert (thumbs[0].start_us, thumbs[-1].end_us) == (0, both[-1][1].end_us)


def test_each_segment_of_a_file_has_its_thumb(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "v.mp4", "libx264", g="25", bf="2")
    with Child(
        Spool(tmp_path / "spool"), video.as_uri(), settings=replace(ONE_SECOND, poster_width=80)
    ) as child:
        assert child.end(None) == 0
    thumbs = [(path, name) for path, name in child.spool.segments(child.directory) if name.track == "thumb"]
    shown = segments(child.spool, child.directory)
    assert [(n.start_us, n.end_us) for _, n in thumbs] == [(n.start_us, n.end_us) for _, n in shown]
    for (thumb, _), (segment, _) in zip(thumbs, shown, strict=True):
        facts = read_thumb(thumb.read_bytes())
        assert (facts.width, facts.height, facts.frames) == (80, 48, len(packet_hashes(segment)))
        small = pictures(segment)[0].reshape(48, 2, 80, 2, 3).mean(axis=(1, 3))
        assert np.abs(pictures(thumb)[0] - small).mean() < 20  # of the noise that it is drawn on


def test_a_file_that_is_no_video_fails_with_its_reason_and_a_closed_take(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_text("no video")
    with Child(Spool(tmp_path / "spool"), (tmp_path / "v.mp4").as_uri()) as child:
        assert child.end(None) == 3
    assert "v.mp4 is no video" in child.heard("failed")["reason"]
    closed = child.spool.closed(child.directory)["screen"]
    assert (closed.last_counter, closed.ending) == (0, "failed")
