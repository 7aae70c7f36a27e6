"""Makes what tests work on: real segments, acknowledged in a real spool, and the sessions they belong to."""

import io
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from django.utils import timezone

from lucid_sessions.recordings import intake, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Desired, Status
from lucid_sessions.recordings.models import Chunk, Session, Take
from recorder.names import ClosedMarker, GapMarker
from recorder.spool import SegmentName, sequence_of

SEGMENT_US = 1_000_000


@cache
def segment_bytes(number: int = 1, *, frames: int = 10, width: int = 64) -> bytes:
    """A self-contained second of H.264 in fragmented MP4 that begins with a key frame; differs by number."""
    out = io.BytesIO()
    options = {
        "movflags": "empty_moov+default_base_moof+frag_keyframe+cmaf+frag_discont",
        "use_editlist": "0",
        "video_track_timescale": "90000",
        "avoid_negative_ts": "disabled",
    }
    with av.open(out, "w", format="mp4", options=options) as container:
        stream = container.add_stream(
            "libx264", rate=frames, options={"preset": "ultrafast", "tune": "zerolatency"}
        )
        stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, frames)
        for index in range(frames):
            picture = np.full((48, width, 3), (number * 37 + index * 3) % 256, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = (number - 1) * frames + index
            frame.time_base = Fraction(1, frames)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def ready(source: str, **facts: Any) -> Session:
    """A session with its keys, as its start leaves it, which no recorder is to take."""
    session = sessions.create(source, **facts)
    sessions.complete_keys(session)
    return session


def recorded_session(world: Installation, *, segments: int = 3, name: str = "a session") -> Session:
    """A session whose one take has ended: its segments lie in the spool, and nothing is processed."""
    session = ready("synthetic://64x48", name=name)
    Session.objects.filter(pk=session.pk).update(status=Status.RECORDING, desired=Desired.RECORD)
    take(session, world)
    for counter in range(1, segments + 1):
        acknowledge(session, world, counter=counter)
    close(session, world, last_counter=segments)
    file_spool(world)
    end(session)
    session.refresh_from_db()
    return session


def take(session: Session, world: Installation, *, number: int = 1) -> Take:
    """A recorder's claim on the session."""
    return Take.objects.create(
        session=session,
        number=number,
        host="test",
        spool=world.spool.identity,
        lease_until=timezone.now() + timezone.timedelta(seconds=30),
    )


def acknowledge(
    session: Session, world: Installation, *, counter: int, number: int = 1, content: bytes | None = None
) -> Path:
    """One segment, durably in the spool under its name."""
    directory = world.spool.make_take(session.pk, number)
    start = (counter - 1) * SEGMENT_US
    name = SegmentName(
        session=session.pk,
        track="screen",
        sequence=sequence_of(number, counter),
        epoch=1,
        start_us=start,
        end_us=start + SEGMENT_US,
        wall_ms=1_700_000_000_000 + counter * 1000,
        extension="mp4",
    )
    part = directory / f"{name.filename}.part"
    part.write_bytes(segment_bytes(counter) if content is None else content)
    return world.spool.commit(part, name)


def close(session: Session, world: Installation, *, last_counter: int, number: int = 1) -> None:
    """The take's screen track will not grow any more."""
    world.spool.write_closed(
        ClosedMarker(session.pk, "screen", number, last_counter, last_counter * SEGMENT_US, "stopped")
    )


def gap(session: Session, world: Installation, *, from_us: int, to_us: int, reason: str) -> None:
    """A gap, durably in the spool."""
    world.spool.write_gap(GapMarker(session.pk, "screen", 1, 1, from_us, to_us, reason))


def file_spool(world: Installation) -> list[Chunk]:
    """Rows for whatever the spool holds, by a scanner that knows nothing yet."""
    return intake.Intake(world.spool).scan()


def end(session: Session) -> None:
    """The recorder has said that the session is over."""
    Take.objects.filter(session=session).update(ended_at=timezone.now())
    Session.objects.filter(pk=session.pk).update(
        status=Status.PROCESSING, desired=Desired.STOP, ended_at=timezone.now()
    )
