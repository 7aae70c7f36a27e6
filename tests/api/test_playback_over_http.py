"""Playing over HTTP: verified bytes or none, whole or by range, only to those who may."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lucid_sessions.recordings import reconcile
from lucid_sessions.recordings.api import ranges
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session
from tests import factories

from .people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(world: Installation) -> Session:
    session = factories.recorded_session(world, segments=2)
    reconcile.work_inline(world)
    session.refresh_from_db()
    return session


@pytest.fixture
def auditor(session: Session) -> Any:
    return client_of(person("auditor"))


def address(chunk: Chunk) -> str:
    return f"/api/v1/sessions/{chunk.session_id}/segments/{chunk.pk}.mp4"


def test_the_playlist_names_segments_that_hold_what_was_recorded(session: Session, auditor: Any) -> None:
    answer = auditor.get(f"/api/v1/sessions/{session.pk}/playback.m3u8", headers={"Accept": "audio/mpegurl"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/vnd.apple.mpegurl")
    assert "no-store" in answer["Cache-Control"]
    addresses = list(dict.fromkeys(re.findall(r"^/api/\S+$", answer.content.decode(), re.M)))
    assert len(addresses) == 2
    for number, one in enumerate(addresses, start=1):
        media = auditor.get(one)
        assert (media.status_code, media["Content-Type"]) == (200, "video/mp4")
        assert media.content == factories.segment_bytes(number)
        assert "no-store" in media["Cache-Control"]


def test_a_range_is_that_part_of_the_whole(session: Session, auditor: Any) -> None:
    chunk = Chunk.objects.filter(session=session).order_by("sequence")[0]
    whole = factories.segment_bytes(1)
    size = len(whole)
    for asked, begin, end in (("0-99", 0, 100), ("100-", 100, size), ("-50", size - 50, size)):
        answer = auditor.get(address(chunk), headers={"Range": f"bytes={asked}"})
        assert answer.status_code == 206
        assert answer["Content-Range"] == f"bytes {begin}-{end - 1}/{size}"
        assert answer["Content-Length"] == str(end - begin)
        assert answer.content == whole[begin:end]


def test_a_segment_is_decrypted_once_for_its_head_and_its_rest_and_not_after_it_is_shredded(
    session: Session, auditor: Any, world: Installation
) -> None:
    chunk = Chunk.objects.filter(session=session)[0]
    head = auditor.get(address(chunk), headers={"Range": "bytes=0-99"})
    blob = next(Path(world.blobs_root).rglob(chunk.blob))
    blob.rename(blob.with_name("away"))
    # Its blob is gone, so this cannot have been decrypted again.
    rest = auditor.get(address(chunk), headers={"Range": "bytes=100-"})
    assert (head.status_code, rest.status_code) == (206, 206)
    assert hashlib.sha256(head.content + rest.content).hexdigest() == chunk.raw_sha256
    Chunk.objects.filter(pk=chunk.pk).update(state="expired")
    assert auditor.get(address(chunk)).status_code == 409


def test_a_range_beyond_the_end_is_416_with_the_size(session: Session, auditor: Any) -> None:
    chunk = Chunk.objects.filter(session=session)[0]
    answer = auditor.get(address(chunk), headers={"Range": "bytes=99999999-"})
    assert answer.status_code == 416
    assert answer["Content-Range"] == f"bytes */{chunk.raw_length}"
    assert answer.json()["code"] == "LUCID_ERR_1008"


def test_a_range_of_other_bytes_than_these_brings_the_whole(session: Session, auditor: Any) -> None:
    chunk = Chunk.objects.filter(session=session)[0]
    asked = {"Range": "bytes=0-9"}
    tag = auditor.get(address(chunk))["ETag"]
    assert auditor.get(address(chunk), headers=asked | {"If-Range": tag}).status_code == 206
    assert auditor.get(address(chunk), headers=asked | {"If-Range": '"other"'}).status_code == 200


def test_a_changed_blob_is_an_alarm_and_sends_no_media(
    session: Session, auditor: Any, world: Installation
) -> None:
    chunk = Chunk.objects.filter(session=session)[0]
    path = next(Path(world.blobs_root).rglob(chunk.blob))
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(blob)
    assert hashlib.sha256(blob).hexdigest() != chunk.blob
    with capture_logs() as lines:
        answer = auditor.get(address(chunk))
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "LUCID_ERR_3009"
    assert [line["log_level"] for line in lines if line.get("alarm")] == ["error"]


def test_what_is_not_archived_yet_cannot_be_played(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    client = client_of(person("auditor"))
    assert client.get(f"/api/v1/sessions/{session.pk}/playback.m3u8").status_code == 409
    answer = client.get(address(Chunk.objects.get()))
    assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3009")


def test_without_the_password_nothing_is_played_and_the_answer_says_so(
    without_password: Installation,
) -> None:
    session = factories.recorded_session(without_password, segments=1)
    reconcile.work_inline(without_password)
    answer = client_of(person("auditor")).get(address(Chunk.objects.get(session=session)))
    assert answer.status_code == 409
    assert "ENCRYPTION_PASSWORD" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("Bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes=-", None),
        ("bytes=3-1", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=0-1 junk", None),
        ("bytes=٣-٤", None),
        ("bytes=" + "9" * 40 + "-", None),
    ],
)
def test_a_single_byte_range_is_read_and_anything_else_ignored(
    header: str | None, part: tuple[int, int] | None
) -> None:
    assert ranges.wanted(header, length=10) == part


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_without_any_byte_is_unsatisfiable(header: str) -> None:
    with pytest.raises(ranges.Unsatisfiable):
        ranges.wanted(header, length=10)
