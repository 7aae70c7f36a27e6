"""Blobs and media as files, and what proves them by the log's key alone."""

import hashlib
import json
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import signing
from django.core.signing import b62_decode
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk

from ..factories import segment_bytes
from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1"


def leaf_of(entry: str) -> bytes:
    return hashlib.sha256(b"\0" + entry.encode()).digest()


def root_of(proof: dict[str, Any], vkey: str) -> archive.Checkpoint:
    return archive.open_checkpoint(proof["checkpoint"], vkey)


def is_in_log(record: dict[str, Any], checkpoint: archive.Checkpoint) -> None:
    path = [bytes.fromhex(one) for one in record["proof"]]
    archive.verify_inclusion(
        leaf_of(record["entry"]),
        index=record["index"],
        size=checkpoint.size,
        proof=path,
        root=checkpoint.root,
    )


@pytest.fixture
def auditor(world: Installation) -> Any:
    return client_of(person("auditor"))


def test_a_downloaded_blob_is_proven_by_the_logs_key_alone(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    chunk = Chunk.objects.filter(session=session)[0]
    address = f"{URL}/sessions/{session.pk}/chunks/{chunk.pk}"
    answer = auditor.get(f"{address}/download")
    blob = answer.getvalue()
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    assert answer["Link"] == f'<{address}/proof>; rel="describedby"'
    proof = auditor.get(f"{address}/proof").json()
    leaf = proof["leaf"]
    assert (leaf["blob"], leaf["length"]) == (hashlib.sha256(blob).hexdigest(), len(blob))
    place = [bytes.fromhex(one) for one in proof["batch_proof"]]
    entry = json.loads(proof["batch"]["entry"])
    archive.verify_inclusion(
        bytes.fromhex(proof["leaf_hash"]),
        index=proof["batch_index"],
        size=proof["batch_size"],
        proof=place,
        root=bytes.fromhex(entry["root"]),
    )
    is_in_log(proof["batch"], root_of(proof, world.keys.log_vkey))


def test_a_sealed_session_is_proven_with_all_its_leaves(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    proof = auditor.get(f"{URL}/sessions/{session.pk}/proof").json()
    is_in_log(proof["seal"], root_of(proof, world.keys.log_vkey))
    entry = json.loads(proof["seal"]["entry"])
    assert entry["body"] == hashlib.sha256(proof["body"].encode()).hexdigest()
    assert len(json.loads(proof["body"])["leaves"]) == entry["count"] == 2


def test_what_no_checkpoint_covers_is_not_proven_yet(world: Installation, auditor: Any) -> None:
    sealed_session(world)
    from ..factories import recorded_session

    late = recorded_session(world, name="late")
    answer = auditor.get(f"{URL}/sessions/{late.pk}/proof")
    assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3012")


def test_a_download_is_resumed_where_it_broke_off(world: Installation, auditor: Any) -> None:
    session = sealed_session(world, segments=1)
    chunk = Chunk.objects.get(session=session)
    address = f"{URL}/sessions/{session.pk}/chunks/{chunk.pk}/download"
    whole = auditor.get(address)
    content = whole.getvalue()
    rest = auditor.get(address, HTTP_RANGE="bytes=100-", HTTP_IF_RANGE=whole["ETag"])
    assert (rest.status_code, rest.getvalue()) == (206, content[100:])
    assert rest["Content-Range"] == f"bytes 100-{len(content) - 1}/{len(content)}"
    assert auditor.get(address, HTTP_RANGE="bytes=99999999-").status_code == 416
    other = auditor.get(address, HTTP_RANGE="bytes=100-", HTTP_IF_RANGE='"other"')
    assert (other.status_code, other.getvalue()) == (200, content)


def test_media_are_what_was_recorded(world: Installation, auditor: Any) -> None:
    session = sealed_session(world, segments=1)
    chunk = Chunk.objects.get(session=session)
    answer = auditor.get(f"{URL}/sessions/{session.pk}/chunks/{chunk.pk}/media")
    assert answer.content == segment_bytes(1)
    assert answer["Content-Disposition"].endswith('.mp4"')
    assert "no-store" in answer["Cache-Control"]


def test_the_ledger_is_read_and_checked_over_http(world: Installation, auditor: Any) -> None:
    sealed_session(world)
    answer = auditor.get(f"{URL}/ledger/checkpoint", HTTP_ACCEPT="text/plain")
    assert answer["Content-Type"].startswith("text/plain")
    text = answer.content.decode()
    newest = archive.open_checkpoint(text, world.keys.log_vkey)
    for index in range(newest.size):
        record = auditor.get(f"{URL}/ledger/records/{index}").json()
        is_in_log(record, root_of(record, world.keys.log_vkey))
    assert auditor.get(f"{URL}/ledger/records/{newest.size}").status_code == 404
    proof = auditor.get(f"{URL}/ledger/consistency", {"old": 1}).json()
    first = leaf_of(auditor.get(f"{URL}/ledger/records/0").json()["entry"])
    archive.verify_consistency(
        old_size=1,
        old_root=first,
        new_size=newest.size,
        new_root=newest.root,
        proof=[bytes.fromhex(one) for one in proof["proof"]],
    )
    for query in ({}, {"old": "0"}, {"old": "x"}):
        assert auditor.get(f"{URL}/ledger/consistency", query).status_code == 400, query
    for query in ({"old": "999"}, {"old": "2", "new": "1"}):
        assert auditor.get(f"{URL}/ledger/consistency", query).status_code == 404, query


def test_a_link_opens_one_download_once_without_a_token(world: Installation, auditor: Any) -> None:
    session = sealed_session(world, segments=1)
    chunk = Chunk.objects.get(session=session)
    path = f"{URL}/sessions/{session.pk}/chunks/{chunk.pk}/download"
    made = auditor.post(f"{URL}/links", {"path": path}, format="json").json()
    stranger = client_of(None)
    other = made["url"].replace("/download?", "/media?")
    assert stranger.get(other).status_code == 401
    assert stranger.get(made["url"]).status_code == 200
    assert stranger.get(made["url"]).status_code == 401
    assert stranger.get(f"{path}?link=made-up").status_code == 401
    refused = auditor.post(f"{URL}/links", {"path": f"{URL}/sessions"}, format="json")
    assert refused.status_code == 400


def test_a_link_is_good_for_a_minute_and_no_longer(
    world: Installation, auditor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sealed_session(world, segments=1)
    path = f"{URL}/sessions/{session.pk}/chunks/{Chunk.objects.get(session=session).pk}/download"
    before = timezone.now()
    made = auditor.post(f"{URL}/links", {"path": path}, format="json").json()
    signed = b62_decode(made["url"].split(":")[-2])
    assert signed + 59 <= datetime.fromisoformat(made["expires_at"]).timestamp() <= signed + 60
    assert signed - 1 <= before.timestamp() <= signed + 60
    for seconds, status in ((61, 401), (60, 200)):
        clock = SimpleNamespace(time=lambda now=signed + seconds: now)
        monkeypatch.setattr(signing, "time", clock)
        assert client_of(None).get(made["url"]).status_code == status, seconds


def test_a_link_grants_no_more_than_its_user_may_when_it_is_used(world: Installation) -> None:
    session = sealed_session(world, segments=1)
    chunk = Chunk.objects.get(session=session)
    user = person("auditor")
    path = f"{URL}/sessions/{session.pk}/chunks/{chunk.pk}/download"
    made = client_of(user).post(f"{URL}/links", {"path": path}, format="json").json()
    user.groups.clear()
    assert client_of(None).get(made["url"]).status_code == 403
