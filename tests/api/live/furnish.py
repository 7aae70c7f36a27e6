"""`python -m tests.api.live.furnish [--segments N] [--bytes N]`: one sealed session, told as JSON."""

import argparse
import json
import os
import random


def main() -> None:
    """Fill the installation that the environment names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--segments", type=int, default=2)
    parser.add_argument("--bytes", type=int, default=0, help="how large each but the first is made")
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lucid_sessions.settings")
    import django

    django.setup()
    print(json.dumps(_furnish(asked.segments, asked.bytes)))


def _furnish(segments: int, size: int) -> dict[str, object]:
    from lucid_sessions.access import tokens
    from lucid_sessions.access.models import User, uuid7
    from lucid_sessions.recordings import intake, jobs, reconcile
    from lucid_sessions.recordings.installation import installation
    from lucid_sessions.recordings.models import Chunk
    from tests import factories

    world = installation()
    session = factories.ready("synthetic://64x48", name="furnished")
    factories.take(session, world)
    for counter in range(1, segments + 1):
        factories.acknowledge(
            session, world, counter=counter, content=_padded(counter, size if counter > 1 else 0)
        )
    factories.close(session, world, last_counter=segments)
    intake.Intake(world.spool).scan()
    factories.end(session)
    for _ in range(3):
        reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == "completed", session.status
    admin = User.objects.get(username="admin")
    job = jobs.submit(jobs.EXPORT, session, user=admin.pk, options={}, id=uuid7())
    assert jobs.tick() == 1
    chunks = Chunk.objects.filter(session=session, track="screen").order_by("sequence")
    return {
        "access": tokens.sign_in(admin).access,
        "session": str(session.pk),
        "job": str(job.pk),
        "chunks": [str(chunk.pk) for chunk in chunks],
        "raw_length": [chunk.raw_length for chunk in chunks],
        "raw_sha256": [chunk.raw_sha256 for chunk in chunks],
    }


def _padded(number: int, size: int) -> bytes:
    """A segment followed by a `free` box that players skip: as large as is asked for, and incompressible."""
    from tests.factories import segment_bytes

    plain = segment_bytes(number)
    if size <= len(plain) + 8:
        return plain
    room = size - len(plain)
    return plain + room.to_bytes(4, "big") + b"free" + random.Random(number).randbytes(room - 8)


if __name__ == "__main__":
    main()
