"""Blobs that an insider sealed and signed around a few bytes that expand to very many."""

import hashlib
from functools import cache, partial
from pathlib import Path

import pytest

from lucid_sessions import archive
from lucid_sessions.blobs import blob_name
from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import playback, verification
from lucid_sessions.recordings.lifecycle import State
from lucid_sessions.recordings.models import Chunk, Session
from tests.archive.forging import Lie, forge
from tests.archive.parts import Scene
from tests.archive.test_forged_chunks import bomb
from tests.faults.forks import run_forked
from tests.faults.ground import Ground, trials

pytestmark = pytest.mark.django_db(transaction=True)

CODECS = {"zstd": 1, "lz4": 2, "gzip": 3}
# Below their packed size the header gives bombs away; above it the codec has to.
STATED = (64 << 20, 2 << 20, 1000, 0)
# A bomb holds 256 MiB. Whoever reads it may use twice what it states, and this much besides.
ROOM_KIB = 48 << 10

one_bomb = cache(bomb)


@pytest.mark.fault(10, "decompression bombs: 256 MiB in a blob that an insider sealed and signed")
def test_a_bomb_is_named_and_takes_nobodys_memory(ground: Ground) -> None:
    for number in range(trials(300, 9)):
        _plant(ground, list(CODECS)[number % 3], stated=STATED[number // 3 % len(STATED)])
        ground.trials += 1
    ground.archive()
    assert not Chunk.objects.exclude(state=State.ANCHORED).exists()
    for session in Session.objects.all():
        if run_forked(partial(_read, ground, session)) != 0:
            ground.extra.undetected.append(f"{session.name} was believed, or took too much memory")
    ground.finish_damaged()


def _plant(ground: Ground, codec: str, *, stated: int) -> None:
    """A stored chunk whose blob is a bomb under a good seal and a trusted signature."""
    session = ground.session(name=f"{codec} {stated}")
    row = session.chunks.get()
    ground.acknowledged.pop((session.pk, "screen", row.sequence))
    place = archive.Place(ground.world.keys.repository, session.pk, "screen", row.sequence)
    key = playback.session_identity(session.pk, "screen", world=ground.world)
    scene = Scene(place=place, identity=key, writer=ground.world.keys.writer)
    blob = forge(Lie(packed=one_bomb(codec), codec=CODECS[codec], plain_length=stated), scene)
    digest = hashlib.sha256(blob).digest()
    leaf = archive.chunk_leaf(
        session=session.pk, track="screen", sequence=row.sequence, blob_sha256=digest, length=len(blob)
    )
    ground.world.blobs.put(blob, name=blob_name(blob))
    facts = {"blob": digest.hex(), "blob_length": len(blob), "leaf": leaf.hex(), "codec": codec}
    Chunk.objects.filter(pk=row.pk).update(state=State.STORED, **facts)


def _read(ground: Ground, session: Session) -> None:
    """Fails unless playback refuses the bomb and verification names it, in little memory."""
    before = _resident_kib("VmRSS")
    row = session.chunks.get()
    key = playback.session_identity(session.pk, "screen", world=ground.world)
    named = {finding.chunk for finding in verification.verify(session, deep=True).findings}
    assert row.pk in named
    with pytest.raises(LucidError):
        playback.open_chunk(row, world=ground.world, key=key)
    # What is resident counts, not what is mapped: of that the allocator reserves 64 MiB at a time.
    most = before + ROOM_KIB + 2 * (_stated(session) >> 10)
    assert _resident_kib("VmHWM") < most


def _stated(session: Session) -> int:
    return int(session.name.split()[1])


def _resident_kib(which: str) -> int:
    """This process's memory now (VmRSS), or at most since it was forked (VmHWM), in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{which}:")).split()[1])
