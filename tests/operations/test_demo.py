"""`make demo`: from nothing to a verified recording; and interrupted, nothing stays behind."""

import json
import re
import signal
from pathlib import Path

import av
import pytest
from redis import Redis

from tests.operations.processes import of_home, output, running
from tests.servers import redis_server
from tests.waiting import PATIENCE, until


def unfinished(home: Path) -> list[Path]:
    """Files that somebody had not finished writing."""
    return [path for pattern in ("*.part", "*.lucid-tmp", "*.tmp") for path in home.rglob(pattern)]


def test_it_records_archives_verifies_exports_and_catches_a_forgery(tmp_path: Path) -> None:
    home, others = tmp_path / "demo", tmp_path / "others"
    others.mkdir()
    with (
        redis_server() as queues,
        Redis.from_url(queues) as broker,
        # The environment of another installation, which it leaves alone.
        running(
            *(home, "demo", "--home", str(home), "--json"),
            STORAGE_URL=f"file://{others}",
            REDIS_URL=queues,
            LUCID_SPOOL="s3",
            LUCID_SPOOL_URL="s3://bucket/spool?endpoint=http://127.0.0.1:9",
        ) as process,
    ):
        assert process.wait(PATIENCE) == 0, output(home)
        assert (list(others.iterdir()), broker.keys()) == ([], [])
    said = output(home)
    assert of_home(home) == []
    assert unfinished(home) == []
    result = json.loads(said.splitlines()[-1])
    with av.open(result["mp4"]) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (1280, 720)
        assert video.duration == pytest.approx(10_000_000, abs=500_000)
        assert sum(1 for _ in video.decode(video=0)) == video.streams.video[0].frames
    for promised in ("Redis: ", "Verified: intact, complete", "was changed", "root " + result["root"]):
        assert promised in said
    assert said.count("was changed: the bytes no longer have that hash") == 1


@pytest.mark.parametrize("moment", ["Redis: ", "recording: 0 s", "recording: [1-9]"])
def test_interrupted_it_leaves_no_process_and_no_half_written_file(tmp_path: Path, moment: str) -> None:
    home = tmp_path / "demo"
    with running(home, "demo", "--home", str(home)) as process:
        until(lambda: re.search(moment, output(home)) or process.poll() is not None, moment)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130, output(home)
    assert of_home(home) == []
    assert unfinished(home) == []
    assert output(home).strip().splitlines()[-1].startswith("Interrupted: everything")
    assert "Traceback" not in output(home)


def test_it_empties_no_directory_that_it_did_not_make(tmp_path: Path) -> None:
    home = tmp_path / "precious"
    home.mkdir()
    (home / "letter").write_text("keep me")
    with running(home, "demo", "--home", str(home)) as process:
        assert process.wait(PATIENCE) == 2
    assert (home / "letter").read_text() == "keep me"
    assert "holds what no demonstration made" in output(home)
