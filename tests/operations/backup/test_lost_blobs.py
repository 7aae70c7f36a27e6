"""A blob that the log names and nobody has: what is left of its chunk, the segment in a spool, is kept."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lucid_sessions.blobs import FileBlobs
from lucid_sessions.operations.backup import making
from lucid_sessions.operations.backup.recovery import Recovery, Shredded
from lucid_sessions.recordings import intake, scrub, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State
from lucid_sessions.recordings.models import Chunk, LedgerRecord
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lost(world: Installation, tmp_path: Path) -> Chunk:
    """A sealed session's first chunk, its segment still in the spool; its blob is lost but for `kept`."""
    session = archived.sealed(world, segments=2)
    chunk = Chunk.objects.filter(session=session).earliest("sequence")
    (tmp_path / "kept").write_bytes(world.blobs.get(chunk.blob))
    world.blobs.delete(chunk.blob)
    return chunk


@pytest.mark.parametrize("known", [State.RECORDED, State.CAPTURED, State.STORED, None])
def test_a_restored_database_keeps_the_segment_and_says_why(
    world: Installation, lost: Chunk, known: State | None
) -> None:
    done = _brought_up(world, lost, known=known)
    assert [lost.blob in one for one in done] == [True]
    chunk = Chunk.objects.get(session=lost.session_id, sequence=lost.sequence)
    assert (chunk.state, chunk.blob, bool(chunk.path)) == (State.ANCHORED, lost.blob, True)
    assert chunk.quarantined_at
    assert lost.blob in chunk.reason
    assert intake.release(world.spool) == 1
    assert (world.spool.root / lost.path).is_file()


def test_it_is_released_once_the_blob_has_come_back(world: Installation, lost: Chunk, tmp_path: Path) -> None:
    _brought_up(world, lost, known=State.CAPTURED)
    assert Chunk.objects.get(pk=lost.pk).quarantined_at
    world.blobs.put((tmp_path / "kept").read_bytes(), name=lost.blob)
    list(scrub.run(world, older_than=timedelta()))
    chunk = Chunk.objects.get(pk=lost.pk)
    assert (chunk.state, chunk.quarantined_at, chunk.reason) == (State.ANCHORED, None, "")
    assert intake.release(world.spool) == 2
    assert not (world.spool.root / lost.path).exists()


def _brought_up(world: Installation, chunk: Chunk, *, known: State | None) -> list[str]:
    """What is told as lost, where the database is older than the log and knows the chunk as it was then."""
    rows = Chunk.objects.filter(session=chunk.session_id)
    if known is None:
        rows.delete()
    else:
        blob = {} if known == State.STORED else {"blob": "", "blob_length": 0, "leaf": ""}
        rows.update(state=known, record=None, anchored_at=None, **blob)
    LedgerRecord.objects.filter(kind="batch").update(applied=False)
    return Recovery(world, Shredded(), lambda: None).forward().lost


class _Leaving(FileBlobs):
    """A store of which something goes when its blobs have been listed."""

    def __init__(self, root: Path, leave: Callable[[], object]) -> None:
        super().__init__(root)
        self._leave = leave

    def names(self, *, after: str = "") -> Iterator[str]:
        yield from super().names(after=after)
        self._leave()


@pytest.mark.parametrize("link", [True, False])
def test_what_is_shredded_while_a_backup_is_made_is_no_fault_of_it(
    world: Installation, tmp_path: Path, *, link: bool
) -> None:
    session, _ = archived.sealed(world), archived.sealed(world, name="stays")
    shredding.begin(session, cause="shred")
    busy = replace(world)
    vars(busy)["front"] = _Leaving(world.blobs_root, lambda: archived.finish(session, world))
    made = making.make(busy, making.Orders(tmp_path / "backups", link=link))
    assert (made.blobs, made.problems) == (2, [])
