"""What does not go into MP4 ends a track with its reason and its time; what came before is kept."""

from pathlib import Path

import av

from recorder.clock import Timeline
from recorder.errors import Unreadable
from recorder.sources.file import MediaStream
from recorder.spool import Spool
from recorder.take import Take
from recorder.track import TrackWriter

from .stage import WHOLE, draw_video, packet_hashes, segments

TICKS = 12_800  # of the file below


def test_a_packet_that_mp4_does_not_take_is_told_and_what_came_before_is_kept(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "v.mp4", "libx264", bf="0", g="25")
    take = Take(Spool(tmp_path / "spool"), WHOLE, take=1)
    take.begin(Timeline.starting_now(), host="here")
    with av.open(str(video)) as container:
        media = MediaStream("screen", container.streams.video[0], TICKS)
        writer = TrackWriter(
            take, "screen", timescale=TICKS, segment_ticks=TICKS, cut_at="request", add_stream=media.add_to
        )
        packets = [packet for packet in container.demux(video=0) if packet.size]
        for number, packet in enumerate(packets[:30]):
            packet.pts = packet.dts = min(number, 28) * 512  # the last at the time of the one before it
            writer.put(packet, cut=number == 25)
        assert writer.close(29 * 512) == 1_160_000
    assert isinstance(writer.trouble, Unreadable)
    assert str(writer.trouble) == "What comes at 1.120 s does not go into MP4 (Invalid argument)."
    kept = [packet for path, _ in segments(take.spool, take.directory) for packet in packet_hashes(path)]
    assert kept == packet_hashes(video)[:29]
