"""A full, unwritable or misplaced disk is waited for, by a message that names it, its fault and the fix."""

import ctypes
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from lucid_sessions.blobs import FileBlobs, blob_name
from lucid_sessions.errors import LucidError, Retryable
from tests.programs import lacking

SMALL, LARGE = b"x" * 1000, b"y" * 200_000


def _in_a_child(act: Callable[[], object]) -> str:
    """What `act` said when it failed, run in a process of its own: 'Retryable: message', or 'done'."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            act()
            said = "done"
        except LucidError as error:
            said = f"{type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001  the child must not run the rest of the test session
            said = f"unexpected {error!r}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, encoding="utf-8") as pipe:
        return pipe.read()


def _limit_files_to(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_write_that_stops_half_way_is_undone_and_says_why(tmp_path: Path) -> None:
    blobs = FileBlobs.create(tmp_path)

    def put_past_the_limit() -> None:
        _limit_files_to(65536)
        blobs.put(LARGE, name=blob_name(LARGE))

    said = _in_a_child(put_past_the_limit)
    assert said.startswith("Retryable: Could not write ")
    assert blob_name(LARGE) in said
    assert "File too large. Raise the limit" in said
    assert blobs.exists(blob_name(LARGE)) is False
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == ["lucid-blobs"]


def test_a_full_disk_is_waited_for_and_the_same_call_succeeds_when_there_is_room(tmp_path: Path) -> None:
    def fill_and_free_a_small_disk() -> None:
        _mount_a_small_disk(tmp_path)
        blobs = FileBlobs.create(tmp_path / "blobs")
        (tmp_path / "ballast").write_bytes(bytes(150_000))
        with pytest.raises(Retryable, match=r"No space left on device\. Free space") as caught:
            blobs.put(LARGE, name=blob_name(LARGE))
        assert list(blobs.names()) == []
        (tmp_path / "ballast").unlink()
        blobs.put(LARGE, name=blob_name(LARGE))
        assert blobs.get(blob_name(LARGE)) == LARGE
        raise caught.value

    told = _in_a_child(fill_and_free_a_small_disk)
    if "PermissionError(1, 'unshare')" in told:
        lacking("this machine lets nobody mount a small disk: user namespaces are needed.")
    assert f"{blob_name(LARGE)}: No space left on device. Free space" in told


def _mount_a_small_disk(path: Path) -> None:
    """256 KiB of tmpfs at path, seen by this process alone; needs user namespaces, not root."""
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    new_user_and_mounts = 0x10000000 | 0x00020000
    if libc.unshare(new_user_and_mounts):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    if libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"size=256k"):
        raise OSError(ctypes.get_errno(), "mount")


def test_a_file_where_a_shard_should_be_is_named(tmp_path: Path) -> None:
    blobs = FileBlobs.create(tmp_path)
    name = blob_name(SMALL)
    (tmp_path / name[:2]).write_bytes(b"in the way")
    with pytest.raises(Retryable, match=f"Could not write {tmp_path}.*Not a directory.*A file stands"):
        blobs.put(SMALL, name=name)


def test_a_directory_without_permission_is_named(tmp_path: Path) -> None:
    blobs = FileBlobs.create(tmp_path / "blobs")

    def put_as_nobody() -> None:
        if os.getuid() == 0:
            _walk_open(tmp_path)
            os.setgid(65534)
            os.setuid(65534)
        else:
            blobs.root.chmod(0o500)
        blobs.put(SMALL, name=blob_name(SMALL))

    said = _in_a_child(put_as_nobody)
    blobs.root.chmod(0o700)
    assert said.startswith(f"Retryable: Could not write {blobs.root}"), said
    assert "Permission denied. Give the service's user permission there." in said


def _walk_open(path: Path) -> None:
    """Lets others pass through (not write) the private directories that lead to a test's own."""
    for directory in (path / "blobs", path, *path.parents):
        if directory.owner() == "root" and "pytest" in str(directory):
            directory.chmod(0o755)
