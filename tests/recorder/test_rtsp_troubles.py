"""A stream that breaks off or jumps costs a gap with its reason, tells no secret and shifts nothing else."""

import json
from pathlib import Path

import pytest

from recorder.child import without_password
from recorder.spool import Spool
from tests.waiting import until

from .relay import relaying
from .remote import ALLOWED
from .stage import Child, draw_video
from .test_rtsp import ONE_SECOND, sending


def test_a_connection_that_is_reset_does_not_tell_the_password(tmp_path: Path) -> None:
    options = {"strict": "unofficial", "huffman": "default"}  # as RTP has it
    film = draw_video(tmp_path / "film.mov", "mjpeg", seconds=20, **options)
    spool, secret = Spool(tmp_path / "spool"), "S3cret-Pass/4711"
    account = {"access": {"secret": secret, "allowed": ALLOWED}, "settings": ONE_SECOND}
    with (
        sending(film, "viewer", secret) as (port, _),
        relaying(port) as relay,
        Child(spool, f"rtsp://viewer@127.0.0.1:{relay.port}/live", **account) as child,
    ):
        until(lambda: list(spool.segments(child.directory)))
        relay.reset()
        child.end(None)
    interrupted = child.heard("interrupted")
    assert interrupted["reason"] == f"127.0.0.1:{relay.port} broke off (Connection reset by peer)."
    closed = spool.closed(child.directory)["screen"]
    assert closed.reason == interrupted["reason"]
    assert "S3cret-Pass" not in json.dumps(child.lines)


@pytest.mark.parametrize("form", ["S3cret/4711", "S3cret%2F4711"])
def test_no_reason_that_is_kept_has_an_address_with_the_password(form: str) -> None:
    said = f"cannot open 'rtsp://viewer:{form}@10.0.0.7:554/live': refused"
    told = "cannot open 'rtsp://viewer:...@10.0.0.7:554/live': refused"
    assert without_password(said, "S3cret/4711") == told
    assert without_password(told, "") == told
