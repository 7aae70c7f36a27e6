"""If-Match, If-None-Match and HEAD mean the same everywhere, as RFC 9110 has them."""

from pathlib import Path
from typing import Any

import pytest

from lucid_sessions.access.models import WebhookEndpoint
from lucid_sessions.recordings import jobs, sessions
from lucid_sessions.recordings.installation import Installation

from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1"
NEW = {"name": "n", "source": {"kind": "synthetic"}}

FILES = ("segment", "download", "media", "result")


@pytest.fixture
def admin(world: Installation) -> Any:
    return client_of(person("admin"))


@pytest.fixture
def addresses(world: Installation, admin: Any, settings: Any, tmp_path: Path) -> dict[str, str]:
    """One address of each kind that has an ETag."""
    settings.LUCID_RESULTS_PATH = tmp_path
    settings.LUCID_WEBHOOK_ALLOW = ["127.0.0.0/8"]
    session = sealed_session(world, segments=1)
    here = f"{URL}/sessions/{session.pk}"
    chunk = session.chunks.get().pk
    job = admin.post(f"{here}/evidence").json()["id"]
    jobs.tick()
    hook = admin.post(f"{URL}/webhooks", {"url": "http://127.0.0.1:9/"}, format="json").json()["id"]
    return {
        "session": here,
        "webhook": f"{URL}/webhooks/{hook}",
        "playlist": f"{here}/playback.m3u8",
        "segment": f"{here}/segments/{chunk}.mp4",
        "download": f"{here}/chunks/{chunk}/download",
        "media": f"{here}/chunks/{chunk}/media",
        "result": f"{URL}/jobs/{job}/result",
    }


def test_who_has_it_already_is_told_so(admin: Any, addresses: dict[str, str]) -> None:
    for kind, address in addresses.items():
        tag = admin.get(address)["ETag"]
        for known in (tag, f"W/{tag}", f'"a, b", W/{tag}', "*", " * "):
            for ask in (admin.get, admin.head):
                answer = ask(address, HTTP_IF_NONE_MATCH=known)
                assert (answer.status_code, answer.getvalue()) == (304, b""), (kind, known)
                # A cache takes what it says for what it has: JSON, a playlist, a film.
                assert "Content-Type" not in answer, (kind, known)
                assert answer["ETag"] == tag, kind
        for other in ('"other"', tag.strip('"'), ""):
            assert admin.get(address, HTTP_IF_NONE_MATCH=other).status_code == 200, (kind, other)


def test_who_wants_only_other_bytes_is_sent_none(admin: Any, addresses: dict[str, str]) -> None:
    for kind in ("playlist", *FILES):
        tag = admin.get(addresses[kind])["ETag"]
        for wanted in (tag, "*", f'"other", {tag}'):
            assert admin.get(addresses[kind], HTTP_IF_MATCH=wanted).status_code == 200, (kind, wanted)
        for wanted in ('"other"', f"W/{tag}", tag.strip('"')):
            answer = admin.get(addresses[kind], HTTP_IF_MATCH=wanted)
            assert (answer.status_code, answer.json()["code"]) == (412, "LUCID_ERR_1009"), (kind, wanted)


def test_a_range_means_nothing_to_head(admin: Any, addresses: dict[str, str]) -> None:
    for kind in FILES:
        for asked in ("bytes=0-9", "bytes=99999999-"):
            answer = admin.head(addresses[kind], HTTP_RANGE=asked)
            assert answer.status_code == 200, (kind, asked)
            assert answer["Content-Length"] == admin.get(addresses[kind])["Content-Length"], kind


def test_a_track_that_is_none_is_refused_whatever_is_known(admin: Any, addresses: dict[str, str]) -> None:
    address = f"{addresses['playlist']}?track=bogus"
    tag = admin.get(addresses["playlist"])["ETag"]
    for known in (tag, '"other"'):
        assert admin.get(address, HTTP_IF_NONE_MATCH=known).status_code == 400


def test_a_webhook_that_was_changed_meanwhile_is_not_deleted(admin: Any, addresses: dict[str, str]) -> None:
    address = addresses["webhook"]
    before = admin.get(address)["ETag"]
    now = admin.patch(address, {"description": "another's"}, format="json")["ETag"]
    assert admin.delete(address, HTTP_IF_MATCH=before).status_code == 412
    assert WebhookEndpoint.objects.exists()
    assert admin.delete(address, HTTP_IF_MATCH=now).status_code == 204


def test_a_tag_without_its_quotes_is_told_what_it_lacks(admin: Any, addresses: dict[str, str]) -> None:
    for wanted in (admin.get(addresses["session"])["ETag"].strip('"'), "99", ""):
        answer = admin.patch(addresses["session"], {"description": "d"}, format="json", HTTP_IF_MATCH=wanted)
        assert (answer.status_code, answer.json()["code"]) == (412, "LUCID_ERR_1009")
        assert "in quotes" in answer.json()["detail"]
        assert "another" not in answer.json()["detail"]


def test_a_tag_that_was_weakened_on_the_way_is_told_so(admin: Any, addresses: dict[str, str]) -> None:
    tag = admin.get(addresses["session"])["ETag"]
    for wanted in (f"W/{tag}", f'"other", W/{tag}'):
        answer = admin.patch(addresses["session"], {"description": "d"}, format="json", HTTP_IF_MATCH=wanted)
        assert (answer.status_code, answer.json()["code"]) == (412, "LUCID_ERR_1009")
        assert "without W/" in answer.json()["detail"]
        assert "another" not in answer.json()["detail"]
    older = admin.patch(addresses["session"], {"description": "d"}, format="json", HTTP_IF_MATCH='W/"0"')
    assert "another changed it" in older.json()["detail"]


def test_a_session_is_steered_only_as_it_was_seen(world: Installation, admin: Any) -> None:
    assert world.spool.identity
    made = admin.post(f"{URL}/sessions", NEW, format="json")
    address, seen = f"{URL}/sessions/{made.json()['id']}", made["ETag"]
    changed = admin.patch(address, {"recording_config": {"input": "full"}}, format="json")
    for verb in ("start", "stop", "pause", "resume"):
        late = admin.post(f"{address}/{verb}", HTTP_IF_MATCH=seen)
        assert (late.status_code, late.json()["code"]) == (412, "LUCID_ERR_1009"), verb
    assert admin.get(address).json()["status"] == "created"
    started = admin.post(f"{address}/start", HTTP_IF_MATCH=changed["ETag"])
    assert (started.status_code, started.json()["status"]) == (200, "starting")
    assert admin.post(f"{address}/stop", HTTP_IF_MATCH="*").status_code == 200


def test_what_another_changes_while_it_is_started_stays_for_who_named_its_version(
    world: Installation, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.spool.identity
    stock = sessions.complete_keys

    def meanwhile(session: Any) -> None:
        admin.patch(f"{URL}/sessions/{session.pk}", {"recording_config": {"input": "full"}}, format="json")
        stock(session)

    monkeypatch.setattr(sessions, "complete_keys", meanwhile)
    for named, status in ((True, 412), (False, 200)):
        made = admin.post(f"{URL}/sessions", NEW, format="json")
        header = {"HTTP_IF_MATCH": made["ETag"]} if named else {"HTTP_IF_MATCH": "*"}
        assert admin.post(f"{URL}/sessions/{made.json()['id']}/start", **header).status_code == status
