"""A file is taken over packet by packet: what is exported is bit for bit what was there."""

import itertools
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from recorder.continuation import orders_for
from recorder.export import write_mp4
from recorder.one_file import Epoch, write_one_mp4
from recorder.recovery import recover
from recorder.settings import Settings
from recorder.sources import check_source
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


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_pictures_that_are_reordered_further_than_those_before_are_shown_in_their_time(
    tmp_path: Path, name: str
) -> None:
    video = draw_late_reordering(tmp_path / name)
    times = shown_at(video)
    assert times[:30] == sorted(times[:30])
    assert times != sorted(times)
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    out = export(child.spool, child.directory, tmp_path / "out.mp4")
    assert packet_hashes(out) == packet_hashes(video)
    assert shown_at(out) == times
    parts = [path.read_bytes() for path, _ in segments(child.spool, child.directory)]
    write_one_mp4(tmp_path / "one.mp4", [Epoch(parts, 3_000_000)], size=(160, 96))
    seen = [float(at) for at in sorted(shown_at(tmp_path / "one.mp4"))]
    assert np.allclose(seen, [float(at) for at in sorted(times)], atol=0.001)


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


def test_a_file_that_is_shown_from_within_has_a_thumb_of_its_first_segment_too(tmp_path: Path) -> None:
    """Cut by an edit list: the key frame and what follows is there, but not to be shown."""
    whole = draw_video(tmp_path / "whole.mp4", "libx264", g="25", bf="2")
    video = remuxed(whole, tmp_path / "v.mp4", earlier=Fraction(1, 2))
    with av.open(str(video)) as container:
        assert next(container.demux(video=0)).is_discard
    with Child(
        Spool(tmp_path / "spool"), video.as_uri(), settings=replace(ONE_SECOND, poster_width=80)
    ) as child:
        assert child.end(None) == 0
    kept = list(child.spool.segments(child.directory))
    starts = {track: [n.start_us for _, n in kept if n.track == track] for track in ("screen", "thumb")}
    assert starts["thumb"] == starts["screen"]


def test_a_file_that_is_no_video_fails_with_its_reason_and_a_closed_take(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_text("no video")
    with Child(Spool(tmp_path / "spool"), (tmp_path / "v.mp4").as_uri()) as child:
        assert child.end(None) == 3
    assert "v.mp4 is no video" in child.heard("failed")["reason"]
    closed = child.spool.closed(child.directory)["screen"]
    assert (closed.last_counter, closed.ending) == (0, "failed")


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_of_a_file_that_is_cut_off_the_whole_is_kept_and_the_rest_is_a_gap(tmp_path: Path, name: str) -> None:
    options = {"movflags": "faststart"} if name == "v.mp4" else {}
    video = draw_video(tmp_path / "whole.mp4", "libx264", g="25", bf="2", sound="aac")
    cut = remuxed(video, tmp_path / name, **options)
    whole = packet_hashes(cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    with Child(Spool(tmp_path / "spool"), cut.as_uri(), settings=Settings(segment_seconds=4)) as child:
        assert child.end(None) == 3
    said = child.heard("failed")
    assert re.search(rf"{name} is cut off at 0:03\.\d of 0:0[56]\.\d", said["reason"])
    shown = segments(child.spool, child.directory)
    kept = [packet for path, _ in shown for packet in packet_hashes(path)]
    assert len(kept) > 70
    assert kept == whole[: len(kept)]
    for path, _ in shown:
        assert len(pictures(path)) == len(packet_hashes(path))  # nothing in it is half a picture
    gaps = {gap.track: gap for gap in child.spool.gaps(child.directory)}
    assert set(gaps) == {"screen", "audio"}
    assert gaps["screen"].from_us == shown[-1][1].end_us
    assert abs(gaps["screen"].to_us - 6_000_000) <= 30_000
    assert said["facts"]["end_us"] == gaps["screen"].to_us
    assert re.match(r"the file is cut off at 0:03\.\d of", gaps["screen"].reason)


def test_a_file_that_does_not_say_how_long_it_is_is_complete_where_it_ends(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "whole.mp4", "libx264", g="25", bf="2", sound="aac")
    live = remuxed(video, tmp_path / "v.mkv", live="1")
    live.write_bytes(live.read_bytes()[: live.stat().st_size * 6 // 10])
    with Child(Spool(tmp_path / "spool"), live.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    assert list(child.spool.gaps(child.directory)) == []


@pytest.mark.parametrize(("name", "kept", "more"), [("v.mp4", None, b"\xff" * 64), ("v.mkv", -20, b"")])
def test_a_file_of_which_no_picture_and_no_sound_is_missing_is_complete(
    tmp_path: Path, name: str, kept: int | None, more: bytes
) -> None:
    """What some cameras leave behind the last box is no part of it; at the end of Matroska is its index."""
    video = remuxed(draw_video(tmp_path / "whole.mp4", "libx264", g="25", sound="aac"), tmp_path / name)
    video.write_bytes(video.read_bytes()[:kept] + more)
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    assert list(child.spool.gaps(child.directory)) == []


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_the_recording_of_a_file_ends_when_its_last_picture_has_been_shown(tmp_path: Path, name: str) -> None:
    """That may be long after the last picture was decoded, where B-frames are shown at other intervals."""
    times = [*range(0, 3000, 40), *range(3000, 10_000, 1600)]
    video = draw_at(tmp_path / name, times, bf="3", g="25")
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    shown = [name for _, name in segments(child.spool, child.directory)]
    assert_gapless(shown)
    assert abs(shown[-1].end_us - 9_440_000) <= 50_000
    assert child.heard("ended")["facts"]["end_us"] == shown[-1].end_us


@pytest.mark.parametrize("reordering", ["0", "2"])
def test_pictures_that_a_file_has_in_the_same_millisecond_follow_each_other(
    tmp_path: Path, reordering: str
) -> None:
    """Matroska rounds: of pictures that are 0.2 ms apart five have one time."""
    times = [*range(0, 5000, 200), *range(5000, 5015), *range(5200, 10_000, 200)]
    video = draw_at(tmp_path / "v.mkv", times, each=Fraction(1, 5000), bf=reordering, g="10")
    check_source(video.as_uri())
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    found = segments(child.spool, child.directory)
    assert_gapless([name for _, name in found])
    assert [packet for path, _ in found for packet in packet_hashes(path)] == packet_hashes(video)


def draw_late_reordering(path: Path) -> Path:
    """Pictures of which none is worth a B-frame, since each differs wholly, then a slow pan; with silence."""
    random = np.random.default_rng(1)
    wide = random.integers(0, 255, (96, 240, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"g": "25", "bf": "3"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        sound: Any = container.add_stream("aac", rate=48_000)
        for number in range(75):
            noise = random.integers(0, 255, (96, 160, 3), dtype=np.uint8)
            picture = noise if number < 30 else np.ascontiguousarray(wide[:, number : number + 160])
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        for number in range(3 * 48_000 // 1024):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            silence.sample_rate, silence.pts = 48_000, number * 1024
            container.mux(sound.encode(silence))
        container.mux([*stream.encode(None), *sound.encode(None)])
    return path


def remuxed(video: Path, out: Path, *, earlier: Fraction = Fraction(0), **options: str) -> Path:
    """The same packets in another file, so much earlier, pictures and sound one beside the other."""
    with av.open(str(video)) as source, av.open(str(out), "w", options=options) as target:
        copies = {one.index: target.add_stream_from_template(one) for one in source.streams}
        packets = [packet for packet in source.demux() if packet.size]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            ticks = int(earlier / packet.time_base)
            packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
    return out


def draw_at(path: Path, times: list[int], *, each: Fraction = Fraction(1, 1000), **options: str) -> Path:
    """A video with a picture at each of these milliseconds, or other parts of a second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.time_base = stream.codec_context.time_base = each
        for at in times:
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), at % 251, np.uint8), "rgb24")
            frame.pts, frame.time_base = at, each
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
