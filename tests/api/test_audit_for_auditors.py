"""The audit as auditors need it: exported, checked by command, complete to the last refusal."""

import csv
import io
import json
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.test import Client

from lucid_sessions.access import audit, audit_export, tokens
from lucid_sessions.access.models import AuditBatch, AuditEvent, User
from lucid_sessions.recordings import audit_batches, sealing
from lucid_sessions.recordings.installation import Installation

from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1"
NEW = {"name": "n", "source": {"kind": "synthetic"}}
BACKEND = "lucid_sessions.access.lockout.GuardedBackend"


@pytest.fixture
def auditor(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("auditor"))


def seen(*columns: str) -> list[Any]:
    return list(AuditEvent.objects.order_by("at_us", "id").values_list(*columns, flat=len(columns) == 1))


def event(action: str, **facts: Any) -> AuditEvent:
    return audit.record(action, actor=audit.Actor(username=facts.pop("username", "somebody")), **facts)


def test_an_export_has_every_event_once_with_a_digest_that_anybody_can_check(auditor: Any) -> None:
    for number in range(audit_export.PAGE + 3):
        event(f"deed.{number}")
    answer = auditor.get(f"{URL}/audit/export.ndjson")
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["Content-Disposition"] == 'attachment; filename="audit.ndjson"'
    lines = [json.loads(line) for line in answer.getvalue().decode().splitlines()]
    assert [line["action"] for line in lines] == seen("action")
    assert lines[-1]["action"] == "audit.exported"
    row = AuditEvent.objects.get(pk=lines[0]["id"])
    assert lines[0]["digest"] == audit.digest(row)
    assert lines[0]["salt"] == row.salt


def test_an_export_is_filtered_as_the_list_is_and_spreadsheets_run_nothing(auditor: Any) -> None:
    event("signed-in", username="=HYPERLINK(1)", why='@a "quoted", one', facts={"k": [1, "é"]})
    event("signed-in", username="other")
    text = auditor.get(f"{URL}/audit/export.csv", {"username": "=HYPERLINK(1)"}).getvalue().decode()
    header, row = csv.reader(io.StringIO(text))
    shown = dict(zip(header, row, strict=True))
    assert (shown["username"], shown["why"]) == ("'=HYPERLINK(1)", '\'@a "quoted", one')
    assert json.loads(shown["facts"]) == {"k": [1, "é"]}
    assert (
        auditor.get(f"{URL}/audit/export.csv", {"after": "2100-01-01T00:00:00Z"}).getvalue().count(b"\n") == 1
    )
    assert auditor.get(f"{URL}/audit/export.csv", {"after": "odd"}).status_code == 400
    assert auditor.get(f"{URL}/audit/export.xls").status_code == 404


def test_only_auditors_export(world: Installation) -> None:
    assert world.spool.identity
    manager = client_of(person("session_manager"))
    assert manager.get(f"{URL}/audit/export.csv").status_code == 403
    assert seen("action", "outcome") == [("audit.exported", "denied")]


def run(*words: str) -> tuple[int, str]:
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(*words, stdout=out, stderr=out)
    return int(ended.value.code or 0), out.getvalue()


def test_the_command_finds_what_was_changed(world: Installation, auditor: Any) -> None:
    sealed_session(world, segments=1)
    for status in ("created", "recording"):
        auditor.get(f"{URL}/sessions?status={status}")
        audit_batches.tick(world)
    sealing.seal(world)
    code, text = run("audit", "check", "--json")
    assert (code, json.loads(text)["sound"], json.loads(text)["not_fixed_yet"]) == (0, True, 0)
    event = AuditEvent.objects.order_by("at_us").first()
    assert event is not None
    AuditEvent.objects.filter(pk=event.pk).update(username="nobody")
    code, text = run("audit", "check")
    assert code == 1
    assert f"{event.pk} of batch 0 was changed" in text
    assert "NOT as the ledger fixed it" in text


def test_a_whole_batch_that_is_taken_away_is_missed(world: Installation, auditor: Any) -> None:
    sealed_session(world, segments=1)
    for status in ("created", "recording"):
        auditor.get(f"{URL}/sessions?status={status}")
        audit_batches.tick(world)
    sealing.seal(world)
    last = AuditBatch.objects.order_by("-index")[0]
    AuditEvent.objects.filter(batch=last.index).delete()
    AuditBatch.objects.filter(pk=last.pk).delete()
    code, text = run("audit", "check")
    assert code == 1
    assert "Audit batch 1, which the log names, is gone" in text


def test_refreshing_and_signing_out_are_written_down_and_so_is_a_copied_token(client: Any) -> None:
    first = tokens.sign_in(person("auditor"))

    def post(place: str, token: str) -> int:
        body = {"refresh": token}
        return int(client.post(f"{URL}/auth/{place}", body, content_type="application/json").status_code)

    assert post("refresh", first.refresh) == 200
    assert post("refresh", first.refresh) == 401
    assert post("refresh", "made up") == 401
    User.objects.update(is_active=False)
    assert post("refresh", tokens.sign_in(first.user).refresh) == 401
    assert post("logout", tokens.sign_in(first.user).refresh) == 204
    assert post("logout", "made up") == 204
    assert seen("action", "outcome", "username") == [
        ("token-refreshed", "done", "auditor"),
        ("token-refreshed", "denied", "auditor"),
        ("token-refreshed", "denied", ""),
        ("token-refreshed", "denied", "auditor"),
        ("signed-out", "done", "auditor"),
        ("signed-out", "refused", ""),
    ]


def test_looking_at_a_job_is_written_down_once_a_minute_and_so_is_who_may_not(
    world: Installation, auditor: Any
) -> None:
    session = sealed_session(world, segments=1)
    job = auditor.post(f"{URL}/sessions/{session.pk}/export", {}, format="json").json()["id"]
    strange = str(UUID(int=1))
    for one in (job, job, strange, strange):
        auditor.get(f"{URL}/jobs/{one}")
    client_of(person("session_viewer")).get(f"{URL}/jobs/{job}")
    assert seen("action", "outcome", "session", "item")[1:] == [
        ("job.viewed", "done", str(session.pk), job),
        ("job.viewed", "denied", "", strange),
        ("job.viewed", "denied", "", job),
    ]


def test_who_is_not_let_through_to_flower_is_written_down(world: Installation) -> None:
    assert world.spool.identity
    client_of(person("auditor")).get(f"{URL}/auth/flower")
    client_of(person("admin")).get(f"{URL}/auth/flower")
    assert seen("action", "outcome", "username", "item") == [
        ("request.refused", "denied", "auditor", f"{URL}/auth/flower")
    ]


def test_looking_at_the_ledger_is_written_down_once_a_minute(world: Installation, auditor: Any) -> None:
    sealed_session(world, segments=1)
    for _ in range(2):
        auditor.get(f"{URL}/ledger/checkpoint")
    auditor.get(f"{URL}/ledger/records/0")
    assert seen("action", "item") == [("ledger.read", ""), ("ledger.read", "0")]


def test_what_is_done_in_the_admin_is_written_down_without_what_was_typed(world: Installation) -> None:
    assert world.spool.identity
    root = User.objects.create_superuser("root", password="a long word for tests")
    browser = Client()
    body = {"username": "root", "password": "wrong"}
    browser.post("/admin/login/", body)
    browser.post("/admin/login/", body | {"password": "a long word for tests"})
    browser.get("/admin/access/user/")
    browser.get("/admin/access/user/")
    browser.post("/admin/access/user/add/", {"username": "new", "password1": "x", "password2": "y"})
    browser.post("/admin/logout/")
    browser.get(f"/admin/access/user/{root.pk}/change/")
    assert seen("action", "outcome", "username") == [
        ("signed-in", "denied", "root"),
        ("signed-in", "done", "root"),
        ("admin.access_user_changelist", "done", "root"),
        ("admin.access_user_add", "refused", "root"),
        ("signed-out", "done", "root"),
        ("admin.access_user_change", "denied", ""),
    ]
    added = AuditEvent.objects.get(action="admin.access_user_add")
    assert added.facts == {"fields": ["password1", "password2", "username"], "chosen": [], "action": ""}


def test_a_page_that_refuses_somebody_is_written_down(world: Installation, client: Any) -> None:
    session = sealed_session(world, segments=1)
    client.force_login(person("session_operator"), backend=BACKEND)
    assert client.get(f"/sessions/{session.pk}/timeline.json").status_code == 403
    assert seen("action", "outcome", "session") == [("page.refused", "denied", str(session.pk))]


def test_where_the_policy_asks_why_nothing_is_shown_without_a_reason(
    world: Installation, settings: Any
) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.played", "session.export-asked"]
    session = sealed_session(world, segments=1)
    one = f"{URL}/sessions/{session.pk}"
    viewer = client_of(person("auditor"))
    refused = viewer.get(f"{one}/playback.m3u8")
    assert (refused.status_code, refused.json()["code"]) == (400, "LUCID_ERR_3002")
    assert "X-Reason" in refused.json()["detail"]
    assert viewer.post(f"{one}/export", {}, format="json").status_code == 400
    assert viewer.get(one).status_code == 200
    assert viewer.get(f"{one}/playback.m3u8", HTTP_X_REASON="case 7").status_code == 200
    # What follows is for the same reason, by the same person, of the same session.
    assert viewer.get(f"{one}/playback.m3u8").status_code == 200
    assert client_of(person("admin")).get(f"{one}/playback.m3u8").status_code == 400
    assert AuditEvent.objects.get(why="case 7").action == "session.played"


@pytest.mark.parametrize(
    "how",
    [
        {"QUERY_STRING": "reason=case+7"},
        {"HTTP_X_REASON": " case 7 "},
        {"data": '{"reason": "case 7"}', "content_type": "application/json"},
    ],
)
def test_a_reason_that_satisfies_the_policy_is_written_down_however_it_was_given(
    world: Installation, settings: Any, how: dict[str, str]
) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.viewed"]
    session = sealed_session(world, segments=1)
    answer = client_of(person("auditor")).generic("GET", f"{URL}/sessions/{session.pk}", **how)
    assert answer.status_code == 200
    assert seen("action", "outcome", "why") == [("session.viewed", "done", "case 7")]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("Pr%C3%BCfung 7", "Prüfung 7"), ("100% sure", "100% sure"), ("%FFodd", "%FFodd"), ("a+b", "a+b")],
)
def test_a_reason_of_any_alphabet_is_sent_percent_encoded(
    world: Installation, auditor: Any, sent: str, kept: str
) -> None:
    one = f"{URL}/sessions/{sealed_session(world, segments=1).pk}"
    assert auditor.get(one, HTTP_X_REASON=sent).status_code == 200
    assert seen("why") == [kept]
    made = client_of(person("admin")).post(f"{URL}/sessions", NEW, format="json", HTTP_X_REASON=sent)
    assert made.status_code == 201
    assert AuditEvent.objects.get(action="session.created").why == kept


def test_a_reason_that_got_lost_on_the_way_is_asked_for_again(world: Installation, auditor: Any) -> None:
    session = sealed_session(world, segments=1)
    # As the server hands over a header that is not ASCII.
    answer = auditor.get(f"{URL}/sessions/{session.pk}", HTTP_X_REASON="")
    assert (answer.status_code, answer.json()["code"]) == (400, "LUCID_ERR_3002")
    assert "%C3%BC" in answer.json()["detail"]
    assert seen("outcome") == ["refused"]


@pytest.mark.parametrize("sent", ["%00", "%00x", "%E2%80%8B", "%C2%AD%E2%81%A0", "%01"])
def test_a_reason_that_nobody_can_read_is_none(
    world: Installation, auditor: Any, settings: Any, sent: str
) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.viewed"]
    one = f"{URL}/sessions/{sealed_session(world, segments=1).pk}"
    for answer in (auditor.get(one, HTTP_X_REASON=sent), auditor.get(f"{one}?reason={sent}")):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "X-Reason")
    assert set(seen("outcome", "why")) == {("refused", "")}


def test_another_reason_within_the_minute_is_another_event(world: Installation, auditor: Any) -> None:
    one = f"{URL}/sessions/{sealed_session(world, segments=1).pk}"
    for why in ("case 7", "case 8", "case 8"):
        auditor.get(one, HTTP_X_REASON=why)
    assert seen("why") == ["case 7", "case 8"]


def test_the_console_asks_why_before_it_plays(world: Installation, client: Any, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.played"]
    session = sealed_session(world, segments=1)
    client.force_login(person("auditor"), backend=BACKEND)
    page = f"/sessions/{session.pk}/"
    assert b'id="player"' not in client.get(page).content
    client.post(f"{page}reason", {"reason": " "})
    assert b'name="reason"' in client.get(page).content
    client.post(f"{page}reason", {"reason": "case 7"})
    assert b'id="player"' in client.get(page).content
    assert client.get(f"{URL}{page}playback.m3u8").status_code == 200
    assert AuditEvent.objects.get(action="session.reason-given", outcome="done").why == "case 7"
