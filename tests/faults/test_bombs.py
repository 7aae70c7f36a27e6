"""Blobs that an insider sealed and signed around a few bytes that expand to very many."""

import hashlib
import resource
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
# A bomb holds 256 MiB. Whoever reads it has this much more memory than at the beginning.
ROOM = 192 << 20

one_bomb = cache(bomb)


@pytest.mark.fault(10, "decompression bombs: 256 MiB in a blob that an insider sealed and signed")
def test_a_bomb_is_named_and_takes_nobodys_memory(ground: Ground) -> None:
    for number in range(trials(300, 9)):
        _plant(ground, list(CODECS)[number % 3], stated=ground.rng.choice([0, 1000, 1 << 20, 64 << 20]))
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
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    row = session.chunks.get()
    key = playback.session_identity(session.pk, "screen", world=ground.world)
    named = {finding.chunk for finding in verification.verify(session, deep=True).findings}
    try:
        playback.open_chunk(row, world=ground.world, key=key)
    except LucidError:
        assert row.pk in named
        return
    raise AssertionError("a bomb was played")
