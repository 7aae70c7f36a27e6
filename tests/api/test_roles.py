"""Who may do what, and to whose sessions: every role at every address."""

from typing import Any
from uuid import UUID

import pytest
from django.urls import get_resolver

from lucid_sessions.access.models import AuditEvent, User
from lucid_sessions.recordings.api import urls
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session

from .people import ROLES, client_of, person

pytestmark = pytest.mark.django_db

NEW = {"name": "n", "source": {"kind": "synthetic"}}
ONE = "/api/v1/sessions/{session}"
HOOK = f"/api/v1/webhooks/{UUID(int=1)}"
# Address, method, body: who may. An operator and a viewer see only what they own.
ALL, MANAGERS = set(ROLES), {"admin", "session_manager"}
STEERS, PLAYS = {*MANAGERS, "session_operator"}, {*MANAGERS, "session_viewer", "auditor"}
EXPORTS = {*MANAGERS, "auditor"}
RULES: dict[str, tuple[str, Any, set[str]]] = {
    "sessions": ("get /api/v1/sessions", None, ALL),
    "sessions create": ("post /api/v1/sessions", NEW, STEERS),
    "overall": ("get /api/v1/sessions/statistics", None, ALL),
    "session": (f"get {ONE}", None, ALL),
    "session patch": (f"patch {ONE}", {"name": "m"}, STEERS),
    "session put": (f"put {ONE}", {"name": "m"}, STEERS),
    "session delete": (f"delete {ONE}?reason=r", None, MANAGERS),
    "start": (f"post {ONE}/start", None, STEERS),
    "stop": (f"post {ONE}/stop", None, STEERS),
    "pause": (f"post {ONE}/pause", None, STEERS),
    "resume": (f"post {ONE}/resume", None, STEERS),
    "chunks": (f"get {ONE}/chunks", None, ALL),
    "chunk": (f"get {ONE}/chunks/{{chunk}}", None, ALL),
    "pipeline": (f"get {ONE}/pipeline", None, ALL),
    "pipeline-pause": (f"post {ONE}/pipeline/pause", None, STEERS),
    "pipeline-resume": (f"post {ONE}/pipeline/resume", None, STEERS),
    "statistics": (f"get {ONE}/statistics", None, ALL),
    "playlist": (f"get {ONE}/playback.m3u8", None, PLAYS),
    "segment": (f"get {ONE}/segments/{{chunk}}.mp4", None, PLAYS),
    "filmstrip": (f"get {ONE}/filmstrip", None, PLAYS),
    "poster": (f"get {ONE}/posters/{{chunk}}.webp", None, PLAYS),
    "input": (f"get {ONE}/input", None, EXPORTS),
    "hold": (f"get {ONE}/hold", None, ALL),
    "hold place": (f"post {ONE}/hold", {"reason": "r"}, MANAGERS),
    "release": (f"post {ONE}/hold/0/release", {"reason": "r"}, MANAGERS),
    "chunk-download": (f"get {ONE}/chunks/{{chunk}}/download", None, EXPORTS),
    "chunk-media": (f"get {ONE}/chunks/{{chunk}}/media", None, EXPORTS),
    "chunk-proof": (f"get {ONE}/chunks/{{chunk}}/proof", None, ALL),
    "proof": (f"get {ONE}/proof", None, ALL),
    "export": (f"post {ONE}/export", {}, EXPORTS),
    "evidence": (f"post {ONE}/evidence", {}, EXPORTS),
    "verify": (f"post {ONE}/verify", {}, ALL),
    "jobs": ("get /api/v1/jobs", None, ALL),
    "links": ("post /api/v1/links", {"path": "/api/v1/jobs/" + str(UUID(int=1)) + "/result"}, ALL),
    "consistency": ("get /api/v1/ledger/consistency?old=1", None, ALL),
    "checkpoint": ("get /api/v1/ledger/checkpoint", None, ALL),
    "record": ("get /api/v1/ledger/records/0", None, ALL),
    "audit": ("get /api/v1/audit/", None, {"admin", "auditor"}),
    "audit-export": ("get /api/v1/audit/export.csv", None, {"admin", "auditor"}),
    "webhooks": ("get /api/v1/webhooks", None, {"admin"}),
    "webhooks create": ("post /api/v1/webhooks", {"url": "https://8.8.8.8/"}, {"admin"}),
    "webhook": (f"get {HOOK}", None, {"admin"}),
    "webhook patch": (f"patch {HOOK}", {"enabled": False}, {"admin"}),
    "webhook delete": (f"delete {HOOK}", None, {"admin"}),
    "webhook-rotate": (f"post {HOOK}/rotate-secret", None, {"admin"}),
    "webhook-ping": (f"post {HOOK}/ping", None, {"admin"}),
    "webhook-deliveries": (f"get {HOOK}/deliveries", None, {"admin"}),
    "webhook-redeliver": (f"post {HOOK}/deliveries/{UUID(int=1)}/redeliver", None, {"admin"}),
    "flower": ("get /api/v1/auth/flower", None, MANAGERS),
}
OPEN = {"token", "refresh", "logout", "schema"}
# Whoever is signed in has these of his own; jobs are tested beside their rules.
OWN = {"api-tokens", "api-token", "job", "job-cancel", "job-result"}
# Past the door: done, or refused for the state that the session is in.
# The log is empty here: no checkpoint, no record, no proof of growth.
EMPTY_LOG = {"consistency": 404, "checkpoint": 404, "record": 404}
# There is no endpoint either.
EMPTY_LOG |= {"release": 404}  # nor a hold
EMPTY_LOG |= {rule: 404 for rule in RULES if rule.startswith("webhook") and not rule.startswith("webhooks")}
LET_IN = {200, 201, 202, 204, 409}
SEES_ALL = {"admin", "session_manager", "auditor"}


def ask(client: Any, rule: str, session: Session, chunk: Chunk) -> int:
    line, body, _ = RULES[rule]
    method, address = line.split()
    address = address.format(session=session.pk, chunk=chunk.pk)
    got = int(getattr(client, method)(address, body, format="json").status_code)
    return 200 if got == EMPTY_LOG.get(rule) else got


def owned_by(user: User | None) -> tuple[Session, Chunk]:
    # Without the keys, whose files take longer than all the rest: nothing here is recorded or opened.
    session = Session.objects.create(name="one", source="synthetic://", owner=user)
    times = {"epoch": 1, "start_us": 0, "end_us": 1, "timestamp_ms": 0, "spool": "0" * 8, "raw_length": 1}
    return session, Chunk.objects.create(session=session, track="screen", sequence=1, **times)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_its_row_says_with_its_own_sessions(world: Installation, role: str) -> None:
    assert world.spool.identity
    user = person(role)
    client = client_of(user)
    for rule, (_, _, who) in RULES.items():
        got = ask(client, rule, *owned_by(user))
        assert (got in LET_IN) if role in who else (got == 403), (role, rule, got)


@pytest.mark.parametrize("role", ROLES)
def test_others_sessions_do_not_exist_but_for_roles_that_see_all(world: Installation, role: str) -> None:
    assert world.spool.identity
    other = person("session_manager", name="somebody else")
    client = client_of(person(role))
    for rule, (line, _, who) in RULES.items():
        if "{session}" in line and role in who:
            got = ask(client, rule, *owned_by(other))
            assert (got in LET_IN) if role in SEES_ALL else (got == 404), (role, rule, got)


@pytest.mark.parametrize("role", ["admin", "session_manager"])
def test_who_administers_gives_a_session_to_somebody_else(world: Installation, role: str) -> None:
    assert world.spool.identity
    viewer, operator, manager = (person(one) for one in ("session_viewer", "session_operator", role))
    session, _ = owned_by(operator)
    address = f"/api/v1/sessions/{session.pk}"
    assert client_of(viewer).get(address).status_code == 404
    given = client_of(manager).patch(address, {"metadata": {"owner": "session_viewer"}}, format="json")
    assert (given.status_code, given.json()["metadata"]["owner"]) == (200, "session_viewer")
    assert given.json()["version"] == session.version + 1
    assert client_of(viewer).get(address).json() == given.json()
    assert client_of(operator).get(address).status_code == 404
    told = {"field": "metadata.owner", "from": "session_operator", "to": "session_viewer"}
    assert AuditEvent.objects.get(action="session.changed").facts == {"changed": [told]}
    # What a replacement leaves out of it stays.
    shown = client_of(manager).put(address, {"name": "m"}, format="json").json()
    assert shown["metadata"]["owner"] == "session_viewer"


@pytest.mark.parametrize("name", ["nobody at all", None])
def test_a_session_is_given_to_nobody_who_is_not_there(world: Installation, name: str | None) -> None:
    assert world.spool.identity
    session, _ = owned_by(person("session_operator"))
    body = {"metadata": {"owner": name}}
    answer = client_of(person("admin")).patch(f"/api/v1/sessions/{session.pk}", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3003")
    assert answer.json()["detail"].startswith("metadata.owner: there is no user")


def test_who_does_not_administer_gives_nothing_away_and_learns_no_names(world: Installation) -> None:
    assert world.spool.identity
    operator = person("session_operator")
    person("auditor")
    address = f"/api/v1/sessions/{owned_by(operator)[0].pk}"

    def patch(name: str) -> int:
        body = {"metadata": {"owner": name, "project": "p"}}
        return int(client_of(operator).patch(address, body, format="json").status_code)

    assert [patch(name) for name in ("auditor", "nobody", "session_operator")] == [403, 403, 200]


def test_lists_and_sums_hold_only_what_the_caller_sees(world: Installation) -> None:
    viewer = person("session_viewer")
    owned_by(viewer)
    for _ in range(2):
        owned_by(None)
    seen = {}
    for user in (viewer, person("auditor")):
        client = client_of(user)
        listed = client.get("/api/v1/sessions").json()
        sums = client.get("/api/v1/sessions/statistics").json()
        seen[user.username] = (listed["pagination"]["total"], sums["sessions"], sums["chunks"])
    assert seen == {
        "session_viewer": (1, {"created": 1}, {"recorded": 1}),
        "auditor": (3, {"created": 3}, {"recorded": 3}),
    }


def test_without_a_token_everything_is_401_and_without_a_role_403(world: Installation) -> None:
    session, chunk = owned_by(None)
    stranger, nobody = client_of(None), client_of(person(None))
    for rule in RULES:
        assert ask(stranger, rule, session, chunk) == 401, rule
        assert ask(nobody, rule, session, chunk) == 403, rule


def test_a_superuser_sees_all_and_may_do_all(world: Installation) -> None:
    assert world.spool.identity
    root = User.objects.create(username="root", password="!", is_superuser=True)
    client = client_of(root)
    for rule in RULES:
        assert ask(client, rule, *owned_by(None)) in LET_IN, rule


def test_another_sessions_chunk_is_not_found_under_this_one(world: Installation) -> None:
    client = client_of(person("admin"))
    session, _ = owned_by(None)
    _, others_chunk = owned_by(None)
    answer = client.get(f"/api/v1/sessions/{session.pk}/chunks/{others_chunk.pk}")
    assert (answer.status_code, answer.json()["code"]) == (404, "LUCID_ERR_3005")
    answer = client.get(f"/api/v1/sessions/{session.pk}/segments/{others_chunk.pk}.mp4")
    assert (answer.status_code, answer.json()["code"]) == (404, "LUCID_ERR_3005")


def test_every_address_has_its_rule_here() -> None:
    ruled = {rule.split()[0] for rule in RULES}
    assert {pattern.name for pattern in urls.urlpatterns} == ruled | OPEN | OWN
    assert get_resolver().resolve(f"/api/v1/sessions/{UUID(int=1)}").view_name == "api:session"
