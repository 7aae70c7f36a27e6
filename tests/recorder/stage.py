"""What the recorder's tests stand on: a view in memory, real children, real videos."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import av
import numpy as np

from recorder.names import GapMarker
from recorder.orders import Orders
from recorder.probe import probe
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.supervisor import Event, Load, Policy, Supervisor, Tenure, Wanted
from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SMALL = "synthetic://320x180"
QUICK = Settings(frame_rate=10, quality="low", segment_seconds=0.5)
# A session whose first segment is as long as all others.
WHOLE = UUID(int=0)


@dataclass
class MemoryView:
    """A view that keeps everything in memory, and can be out of order."""

    rows: dict[UUID, Wanted] = field(default_factory=dict)
    takes: dict[UUID, int] = field(default_factory=dict)
    events: list[tuple[UUID, int, Event]] = field(default_factory=list)
    beats: int = 0
    broken: bool = False
    started_wall_ms: int = 0
    secret: str = ""

    def want(self, source: str, *, settings: Settings = QUICK, session: UUID | None = None) -> UUID:
        session = session or uuid4()
        self.rows[session] = Wanted(session, "record", source, settings)
        return session

    def desire(self, session: UUID, desired: Any) -> None:
        self.rows[session] = replace(self.rows[session], desired=desired)

    def kinds(self, session: UUID) -> list[str]:
        return [event.kind for one, _, event in list(self.events) if one == session]

    def last(self, session: UUID, kind: str) -> Event | None:
        found = [event for one, _, event in list(self.events) if one == session and event.kind == kind]
        return found[-1] if found else None

    def wanted(self) -> list[Wanted]:
        self._answer()
        return list(self.rows.values())

    def claim(self, session: UUID) -> Tenure | None:
        self._answer()
        self.takes[session] = self.takes.get(session, 0) + 1
        self.started_wall_ms = self.started_wall_ms or time.time_ns() // 1_000_000
        self.rows[session] = replace(self.rows[session], take=self.takes[session])
        return Tenure(self.takes[session], self.started_wall_ms, secret=self.secret)

    def report(self, session: UUID, take: int, event: Event) -> None:
        self._answer()
        self.events.append((session, take, event))
        if event.kind in ("ended", "failed") and not event.facts.get("refused"):
            self.rows.pop(session, None)

    def beat(self) -> None:
        self._answer()
        self.beats += 1

    def _answer(self) -> None:
        if self.broken:
            raise ConnectionError("the database is away")


@contextlib.contextmanager
def supervising(
    spool: Spool,
    view: MemoryView,
    *,
    policy: Policy | None = None,
    loaded: Callable[[Load], None] | None = None,
) -> Iterator[Supervisor]:
    """A supervisor in a thread; stopped in order at the end, whatever the test does."""
    policy = policy or Policy(first_backoff=0.1)
    supervisor = Supervisor(spool, view, host="test-host", policy=policy, loaded=loaded)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Child:
    """`python -m recorder.child` as the supervisor starts it, with its lines collected."""

    def __init__(self, spool: Spool, source: str, *, settings: Settings = QUICK, **more: Any) -> None:
        self.session: UUID = more.pop("session", None) or uuid4()
        take = more.pop("take", 1)
        orders = Orders(self.session, take, str(spool.root), source, settings, "test-host", **more)
        self.spool, self.directory = spool, spool.take_directory(self.session, take)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "recorder.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.say(orders.to_json())

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def heard(self, kind: str) -> dict[str, Any] | None:
        return next((line for line in list(self.lines) if line["kind"] == kind), None)

    def frames(self) -> int:
        return max([int(line["facts"].get("frames", 0)) for line in list(self.lines)], default=0)

    def end(self, word: str | None = "stop") -> int:
        if word is not None:
            self.say(word)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))


def segments(spool: Spool, directory: Path, *, track: str = "screen") -> list[tuple[Path, Any]]:
    """A take's segments of one track, each of them checked: decodable alone and exactly as its name says."""
    found = [(path, name) for path, name in spool.segments(directory) if name.track == track]
    for path, name in found:
        facts = probe(path)
        assert (facts.start_us, facts.start_us + facts.duration_us) == (name.start_us, name.end_us)
        assert facts.starts_with_key
    return found


def gaps_of(spool: Spool, session: UUID) -> list[GapMarker]:
    """The gaps of all takes of a session, by track and time."""
    found = [gap for *_, folder in spool.takes_of(session) for gap in spool.gaps(folder)]
    return sorted(found, key=lambda gap: (gap.track, gap.from_us))


def assert_gapless(names: list[Any]) -> None:
    """Within an epoch each segment ends exactly where the next begins, and none is left out."""
    for one, following in itertools.pairwise(names):
        assert following.sequence == one.sequence + 1
        if one.epoch == following.epoch:
            assert following.start_us == one.end_us


def draw_video(
    path: Path, codec: str, *, rate: Fraction | int = 25, seconds: int = 6, **options: str
) -> Path:
    """A real video with motion; `sound="aac"` adds a tone."""
    sound = options.pop("sound", None)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options={**options})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        tone: Any = container.add_stream(sound, rate=48_000) if sound else None
        background = np.random.default_rng(7).integers(0, 255, (96, 160, 3), dtype=np.uint8)
        for number in range(int(seconds * rate)):
            picture = background.copy()
            picture[:, number * 3 % 140 : number * 3 % 140 + 20] = number % 255
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1) / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for number in range(seconds * 48_000 // 1024 if tone else 0):
            wave = np.sin(np.arange(1024, dtype=np.float32) / 20 + number)[None].repeat(2, 0)
            samples = av.AudioFrame.from_ndarray(wave.astype(np.float32), "fltp", "stereo")
            samples.sample_rate, samples.pts = 48_000, number * 1024
            container.mux(tone.encode(samples))
        if tone:
            container.mux(tone.encode(None))
    return path


def packet_hashes(path: Path, *, kind: str = "video") -> list[str]:
    """SHA-256 of each packet of a file's first stream of a kind, in the file's order."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [
            hashlib.sha256(bytes(packet)).hexdigest() for packet in container.demux(stream) if packet.size
        ]


def shown_at(path: Path) -> list[Fraction]:
    """When each packet of a file is shown, from the first on, in decode order."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [packet.pts * stream.time_base for packet in container.demux(stream) if packet.size]
        return [time - times[0] for time in times]


def pictures(path: Path) -> list[Any]:
    """All pictures of a file as arrays of blue, green, red."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
