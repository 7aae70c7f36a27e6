"""A blob that was put is there, is right, and stays; anything else is said clearly."""

import os
from pathlib import Path

import pytest

from lucid_sessions.blobs import FileBlobs, Missing, blob_name
from lucid_sessions.durable import TEMPORARY_SUFFIX
from lucid_sessions.errors import Refused, Retryable, Tampered
from tests.blobs.deaths import die_at_step
from tests.programs import needed_root

DATA = b"sealed" * 10_000
NAME = blob_name(DATA)


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs.create(tmp_path / "blobs")


def test_a_blob_comes_back_under_its_hash(blobs: FileBlobs) -> None:
    blobs.put(DATA, name=NAME)
    assert blobs.get(NAME) == DATA
    assert (blobs.size(NAME), blobs.exists(NAME)) == (len(DATA), True)
    with blobs.open(NAME) as file:
        file.seek(6)
        assert file.read(6) == b"sealed"
    assert (blobs.root / NAME[:2] / NAME[2:4] / NAME).read_bytes() == DATA


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1])
def test_blobs_of_any_size_and_kind_of_buffer_are_stored(blobs: FileBlobs, size: int) -> None:
    data = bytearray(os.urandom(size))
    blobs.put(memoryview(data), name=blob_name(data))
    assert blobs.get(blob_name(data)) == data


def test_putting_the_same_blob_again_is_accepted(blobs: FileBlobs) -> None:
    blobs.put(DATA, name=NAME)
    before = (blobs.root / NAME[:2] / NAME[2:4] / NAME).stat()
    blobs.put(DATA, name=NAME)
    assert (blobs.root / NAME[:2] / NAME[2:4] / NAME).stat().st_ino == before.st_ino


@pytest.mark.parametrize("wrong", [b"", DATA[:-1], DATA + b"x", b"S" + DATA[1:]])
def test_wrong_content_under_a_blobs_name_is_an_alarm_and_is_kept(blobs: FileBlobs, wrong: bytes) -> None:
    path = blobs.root / NAME[:2] / NAME[2:4] / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(wrong)
    with pytest.raises(Tampered, match=NAME):
        blobs.put(DATA, name=NAME)
    assert path.read_bytes() == wrong


def test_a_file_longer_than_any_blob_is_an_alarm_and_takes_no_memory(blobs: FileBlobs) -> None:
    blobs.put(DATA, name=NAME)
    os.truncate(blobs._path(NAME), 1 << 42)
    for look in (blobs.get, blobs.check, lambda name: blobs.put(DATA, name=name)):
        with pytest.raises(Tampered, match="longer than any blob"):
            look(NAME)
    assert blobs.start(NAME, 6) == DATA[:6]


def test_bytes_that_are_not_those_of_the_name_are_refused(blobs: FileBlobs) -> None:
    with pytest.raises(Refused, match=NAME):
        blobs.put(DATA + b"x", name=NAME)
    assert not blobs.exists(NAME)
    assert list(blobs.names()) == []
    assert not any((blobs.root / NAME[:2] / NAME[2:4]).iterdir())


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc/passwd", NAME.upper(), NAME + "\n", NAME[:-1], "/" + NAME[1:]]
)
def test_a_name_that_is_no_hash_never_reaches_the_disk(blobs: FileBlobs, name: str) -> None:
    for call in (blobs.get, blobs.open, blobs.size, blobs.exists, blobs.delete):
        with pytest.raises(Refused, match="no blob name"):
            call(name)
    with pytest.raises(Refused, match="no blob name"):
        blobs.put(DATA, name=name)


def test_a_missing_blob_is_an_alarm(blobs: FileBlobs) -> None:
    assert blobs.exists(NAME) is False
    for call in (blobs.get, blobs.open, blobs.size):
        with pytest.raises(Tampered, match=f"{NAME} is missing"):
            call(NAME)


def test_a_store_that_is_not_mounted_is_waited_for_and_never_filled(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    for root in (tmp_path / "mount", tmp_path / "mount" / "nothing"):
        blobs = FileBlobs(root)
        for call in (blobs.get, blobs.open, blobs.size, blobs.exists, blobs.delete):
            with pytest.raises(Missing, match="mount that disk"):
                call(NAME)
        with pytest.raises(Missing, match="CHUNK_STORAGE_PATH"):
            blobs.put(DATA, name=NAME)
        with pytest.raises(Missing):
            list(blobs.names())
    assert issubclass(Missing, Retryable)
    assert not any((tmp_path / "mount").iterdir())


def test_creating_a_store_twice_keeps_what_it_holds(tmp_path: Path) -> None:
    FileBlobs.create(tmp_path / "deep" / "blobs").put(DATA, name=NAME)
    assert FileBlobs.create(tmp_path / "deep" / "blobs").get(NAME) == DATA
    assert FileBlobs(tmp_path / "deep" / "blobs").present()


def test_a_deleted_blob_is_gone_and_may_be_deleted_again(blobs: FileBlobs) -> None:
    blobs.put(DATA, name=NAME)
    blobs.delete(NAME)
    blobs.delete(NAME)
    blobs.delete("0" * 64)
    assert blobs.exists(NAME) is False


def test_names_lists_every_blob_in_order_and_nothing_else(blobs: FileBlobs) -> None:
    data = [str(number).encode() for number in range(50)]
    for one in data:
        blobs.put(one, name=blob_name(one))
    shard = blobs.root / NAME[:2] / NAME[2:4]
    shard.mkdir(parents=True, exist_ok=True)
    (shard / f".0{TEMPORARY_SUFFIX}").write_bytes(b"half")
    (blobs.root / "lost+found").mkdir()
    assert list(blobs.names()) == sorted(map(blob_name, data))


def test_a_blob_that_goes_while_they_are_counted_is_no_alarm(blobs: FileBlobs) -> None:
    blobs.put(DATA, name=NAME)
    beside = blobs.root / NAME[:2] / NAME[2:4]
    gone = max(NAME, f"{NAME[:4]}{'f' * 60}")
    (beside / gone).write_bytes(b"")
    counted = blobs.sizes()
    assert next(counted) == (NAME, len(DATA))
    blobs.delete(gone)
    assert list(counted) == []


def test_a_store_that_may_not_be_read_is_told_and_is_no_defect(blobs: FileBlobs) -> None:
    needed_root("becoming somebody without permissions")
    blobs.put(DATA, name=NAME)
    blobs.root.chmod(0o700)
    os.seteuid(65534)
    try:
        for ask in (blobs.present, lambda: blobs.get(NAME), lambda: blobs.put(DATA, name=NAME)):
            with pytest.raises(Retryable, match="Give the service's user permission there"):
                ask()
    finally:
        os.seteuid(0)


def test_free_space_is_that_of_the_disk(blobs: FileBlobs) -> None:
    room = os.statvfs(blobs.root)
    assert 0 <= blobs.free_bytes() <= room.f_blocks * room.f_frsize
    inodes = blobs.free_inodes()
    assert inodes is None or 0 <= inodes <= room.f_files


def test_a_put_that_dies_at_any_step_is_finished_by_the_next(tmp_path: Path) -> None:
    step = 1
    while True:
        blobs = FileBlobs.create(tmp_path / str(step))
        died = die_at_step(step, lambda b=blobs: b.put(DATA, name=NAME), below=tmp_path)
        assert not blobs.exists(NAME) or blobs.get(NAME) == DATA
        blobs.put(DATA, name=NAME)
        assert blobs.get(NAME) == DATA
        assert list(blobs.names()) == [NAME]
        if not died:
            break
        step += 1
    assert step > 6
