"""Many office-like sessions on one host: how many, at what cost, and whether frames were dropped."""

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from recorder.settings import Settings
from recorder.spool import Spool
from recorder.supervisor import NO_TAKE, Event, Policy, Supervisor, Tenure, Wanted

from . import scenes
from .cost import Meter, pss_megabytes

SIZE = 1280, 720


@dataclass
class Rows:
    """What is wanted, and the last figures of each session; the supervisor's view of the world."""

    wanted_now: dict[UUID, Wanted] = field(default_factory=dict)
    figures: dict[UUID, dict[str, int]] = field(default_factory=dict)
    refused: set[UUID] = field(default_factory=set)

    def wanted(self) -> Sequence[Wanted]:
        """All of them."""
        return list(self.wanted_now.values())

    def claim(self, session: UUID) -> Tenure | None:
        """Always the first take."""
        one = self.wanted_now[session]
        self.wanted_now[session] = Wanted(one.session, one.desired, one.source, one.settings, 1)
        return Tenure(1, time.time_ns() // 1_000_000)

    def report(self, session: UUID, take: int, event: Event) -> None:
        """Keep figures and refusals."""
        if take == NO_TAKE and event.facts.get("refused"):
            self.refused.add(session)
        elif "dropped_frames" in event.facts:
            self.figures[session] = dict(event.facts)

    def beat(self) -> None:
        """There is no lease."""


@dataclass(frozen=True)
class Outcome:
    """What came of it; shares in per cent of a core."""

    sessions: int
    frames: int
    dropped: int
    lowered: int
    recorder_share: float
    desktops_share: float
    pss_megabytes: float


def record(count: int, home: Path, *, seconds: float) -> Outcome:
    """That many desktops, typed at now and then, recorded at once."""
    with ExitStack() as stack:
        office = [scenes.desktop("office typing", size=SIZE, settle=0.1) for _ in range(count)]
        desktops = [stack.enter_context(one) for one in office]
        time.sleep(3)
        view = Rows()
        settings = Settings(poster_width=320, input="masked", quiet_segment_seconds=300)
        for one in desktops:
            session = uuid4()
            view.wanted_now[session] = Wanted(session, "record", f"x11://{one.name}", settings)
        policy = Policy(maximum_sessions=count, statistics_every=1.0)
        supervisor = Supervisor(Spool(home / f"spool-{uuid4()}"), view, host="bench", policy=policy)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            return _watched(supervisor, view, desktops, seconds=seconds)
        finally:
            supervisor.stop()
            thread.join()


def _watched(
    supervisor: Supervisor, view: Rows, desktops: Sequence[scenes.Desktop], *, seconds: float
) -> Outcome:
    until = time.monotonic() + 60 + 2 * len(desktops)
    while len(view.figures) < len(desktops) and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(3)  # twenty interpreters that start at once are no office
    before = {session: dict(one) for session, one in view.figures.items()}
    meters = [Meter(pid) for pid in supervisor.children.values()]
    servers = [Meter(pid) for one in desktops for pid in (one.server.pid, *(p.pid for p in one.programs))]
    time.sleep(seconds)
    shares = sum(meter.share() for meter in meters), sum(meter.share() for meter in servers)
    memory = [pss_megabytes(meter.pid) for meter in meters]
    time.sleep(1.5)

    def grown(name: str) -> int:
        return sum(one[name] - before.get(session, one)[name] for session, one in view.figures.items())

    return Outcome(
        sessions=len(meters),
        frames=grown("frames"),
        dropped=grown("dropped_frames"),
        lowered=grown("rate_lowered"),
        recorder_share=shares[0],
        desktops_share=shares[1],
        pss_megabytes=sum(memory) / len(memory),
    )
