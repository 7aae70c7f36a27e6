"""What several of the recorder's tests look at and none changes: made once a test process."""

from pathlib import Path

import av
import pytest

from recorder.spool import Spool

from .stage import MemoryView, draw_video

SECONDS = 8  # whole numbers of pictures, key frames and packets of sound
TIMES = 4


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "spool", reserve_bytes=4096)


@pytest.fixture
def view() -> MemoryView:
    """What a supervisor is told to record, and what it says of that."""
    return MemoryView()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of video with B-frames and a tone."""
    folder = tmp_path_factory.mktemp("film")
    drawn = draw_video(folder / "once.mp4", "libx264", seconds=SECONDS, sound="aac", g="25", preset="faster")
    return _repeated(drawn, folder / "film.mp4")


def _repeated(drawn: Path, film: Path) -> Path:
    """The same packets several times over: drawing them all would take long."""
    with av.open(str(film), "w") as out:
        with av.open(str(drawn)) as source:
            streams = [out.add_stream_from_template(stream) for stream in source.streams]
        last = dict.fromkeys(streams, -1 << 40)
        for number in range(TIMES):
            with av.open(str(drawn)) as source:
                for packet in source.demux():
                    if packet.pts is None or packet.dts is None:  # the end
                        continue
                    later = int(number * SECONDS / packet.time_base)
                    packet.pts, packet.dts = packet.pts + later, packet.dts + later
                    packet.stream = streams[packet.stream_index]
                    if packet.dts > last[packet.stream]:  # the sound's run-up is there once
                        last[packet.stream] = packet.dts
                        out.mux(packet)
    return film
