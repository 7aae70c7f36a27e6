"""What the kernel is asked, in which order: no other survives a disk that loses unsynced writes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lucid_sessions.blobs import FileBlobs, blob_name
from tests.programs import needed

DATA = b"sealed" * 10_000
NAME = blob_name(DATA)
_PUT = """
import sys
from pathlib import Path
from lucid_sessions.blobs import FileBlobs
FileBlobs(Path(sys.argv[1])).put(b"sealed" * 10_000, name=sys.argv[2])
"""
_CALL = re.compile(r"^(?:\d+ +)?(mkdir|openat|write|fsync|rename|pread\w*)\((.*)\) += \d+")


def _require_strace() -> None:
    needed("strace")


def _calls_of_a_put(root: Path, log: Path) -> list[str]:
    """Each call on a path below root, as `name path`, the temporary file's name written as TEMPORARY."""
    calls = "trace=mkdir,openat,write,fsync,rename,preadv,pread64,preadv2"
    tracer = ["strace", "-f", "-y", "-s", "0", "-o", str(log), "-e", calls]
    subprocess.run([*tracer, sys.executable, "-c", _PUT, str(root), NAME], check=True)
    found = []
    for line in log.read_text().splitlines():
        match = _CALL.match(line)
        paths = re.findall(rf"{re.escape(str(root))}([^\">]*)", match[2]) if match else []
        if match and paths:
            path = re.sub(r"/[^/]*lucid-tmp", "/TEMPORARY", paths[-1])
            found.append(f"{match[1].rstrip('0123456789v')} {path.strip('/') or '.'}")
    return [call for call in found if not call.startswith("openat")]


def test_a_blob_is_synced_before_it_has_its_name_and_its_directories_after(tmp_path: Path) -> None:
    _require_strace()
    FileBlobs.create(tmp_path / "blobs")
    shard, last = NAME[:2], f"{NAME[:2]}/{NAME[2:4]}"
    calls = _calls_of_a_put(tmp_path / "blobs", tmp_path / "strace")
    assert [call for call in calls if not call.startswith("pread")] == [
        f"mkdir {shard}",
        f"mkdir {last}",
        f"write {last}/TEMPORARY",
        f"fsync {last}/TEMPORARY",
        f"rename {last}/{NAME}",
        f"fsync {last}",
        f"fsync {shard}",
        "fsync .",
    ]
    read, renamed = calls.index(f"pread {last}/TEMPORARY"), calls.index(f"rename {last}/{NAME}")
    assert calls.index(f"fsync {last}/TEMPORARY") < read < renamed, "it is read back before it gets its name"


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_failed_sync_is_an_error_and_the_next_put_starts_anew(tmp_path: Path, failing: int) -> None:
    _require_strace()
    blobs = FileBlobs.create(tmp_path / "blobs")
    fault = ["-e", "trace=fsync", "-e", f"inject=fsync:error=EIO:when={failing}"]
    command = ["strace", "-f", "-o", "/dev/null", *fault, sys.executable, "-c", _PUT, str(blobs.root), NAME]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert f"Could not write {blobs.root}" in ran.stderr
    assert "Input/output error. Check that disk" in ran.stderr
    assert blobs.exists(NAME) is (failing > 1), "what was not synced never gets the name"
    blobs.put(DATA, name=NAME)
    assert blobs.get(NAME) == DATA
    assert [path.name for path in (blobs.root / NAME[:2] / NAME[2:4]).iterdir()] == [NAME]
