"""A session is verified on its page: asked for, how far it is, the verdict in words, what was found."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from lucid_sessions.access.models import AuditEvent, Job, User
from lucid_sessions.recordings import jobs
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session
from tests.api.people import person
from tests.api.test_verifying import flip, lose_all
from tests.recordings.archived import sealed

from .conftest import clean
from .test_copies import downloaded
from .test_pages import browser_of, cookie_of

pytestmark = pytest.mark.django_db(transaction=True)

DEEDS = ("session.verify-asked", "session.report-downloaded")


@pytest.fixture
def auditor() -> User:
    return person("auditor")


def told() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action__in=DEEDS).order_by("at_us"))


def page_of(session: Session, browser: Any) -> str:
    return str(browser.get(f"/sessions/{session.pk}/").content.decode())


def form(session: Session, browser: Any) -> dict[str, str]:
    """What the form of the session's page would send, without a choice."""
    return {"id": str(browser.get(f"/sessions/{session.pk}/").context["verify"]["id"])}


def verified(session: Session, browser: Any, **chosen: str) -> str:
    """The session's page once a runner has done what was asked for on it."""
    browser.post(f"/sessions/{session.pk}/verify", {**form(session, browser), **chosen})
    assert jobs.tick() == 1
    return page_of(session, browser)


def test_an_auditor_verifies_and_has_the_report(
    watched: Any, live_server: Any, world: Installation, auditor: User, tmp_path: Path
) -> None:
    session = sealed(world)
    cookie_of(watched, live_server, auditor)
    watched.goto(f"{live_server.url}/sessions/{session.pk}/")
    watched.locator("summary", has_text="Verify now").click()
    watched.get_by_label("Deep").check()
    watched.locator("#verify-why").fill("case 17")
    watched.get_by_role("button", name="Verify the session").click()
    assert "Verify shows how far it is" in watched.get_by_role("status").first.inner_text()
    assert watched.locator("#verify .pill").inner_text() == "pending"
    assert jobs.tick() == 1
    # The page is not loaded anew: it keeps itself current.
    watched.locator("#verify .verdict .good").wait_for()
    assert watched.locator("#verify .verdict").inner_text().startswith("Whole and unaltered")
    assert "decrypted and compared: 2 segments, by the log at" in watched.locator("#verify").inner_text()
    assert (
        watched.locator("#verify-told").text_content()
        == "Verification, deep: finished, Whole and unaltered. "
    )
    assert watched.locator("#copies .job").count() == 0
    report = downloaded(watched, tmp_path, by="Report")
    assert report.name == f"{session.pk.hex}-verification.json"
    assert json.loads(report.read_text())["sound"] is True
    clean(watched)
    asked, given = told()
    job = str(Job.objects.get().pk)
    assert (asked.outcome, asked.why, asked.facts) == ("done", "case 17", {"job": job, "deep": True})
    assert (given.outcome, given.session, given.item, given.means) == (
        *("done", str(session.pk), job),
        "browser",
    )


def test_what_was_found_is_on_the_page(
    watched: Any, live_server: Any, world: Installation, auditor: User
) -> None:
    session = sealed(world)
    chunk = Chunk.objects.filter(session=session).latest("sequence")
    flip(world, chunk)
    cookie_of(watched, live_server, auditor)
    watched.goto(f"{live_server.url}/sessions/{session.pk}/")
    watched.locator("summary", has_text="Verify now").click()
    watched.get_by_role("button", name="Verify the session").click()
    jobs.tick()
    finding = watched.locator("#verify .findings li")
    finding.wait_for()
    assert finding.count() == 1
    assert "chunk 2 of take 1, track screen" in finding.inner_text()
    assert "was changed" in finding.inner_text()
    assert "Not what was sealed: 1 finding" in watched.locator("#verify .verdict .bad").inner_text()
    watched.goto(f"{live_server.url}/jobs/")
    assert watched.locator(".job .words.bad").inner_text() == "Not what was sealed: 1 finding"
    assert "Verification" in watched.locator(".job .what").inner_text()
    clean(watched)


def test_only_the_first_findings_are_on_the_page(world: Installation, auditor: User) -> None:
    session, browser = sealed(world, segments=22), browser_of(auditor)
    lose_all(world)
    page = verified(session, browser)
    assert "Not what was sealed: 22 findings" in page
    assert page.count('<small class="bad">') == 20
    assert "2 more are in the report." in page


def test_what_a_finding_says_is_text_and_no_markup(world: Installation, auditor: User) -> None:
    session, browser = sealed(world), browser_of(auditor)
    verified(session, browser)
    job = Job.objects.get()
    verdict = job.result["verdict"]
    verdict |= {"sound": False, "found": 1, "missing": 1}
    verdict["findings"] = [{"where": "<b>here</b>", "problem": "<script>alert(1)</script>"}]
    job.save()
    page = page_of(session, browser)
    assert "&lt;b&gt;here&lt;/b&gt;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Not what was sealed: 1 finding, 1 segment missing" in page


@pytest.mark.parametrize(
    ("facts", "words", "mark"),
    [
        ({}, "Whole and unaltered", "good"),
        ({"missing": 2, "sound": False}, "Unaltered, but not whole: 2 segments missing", "bad"),
        ({"sealed": False}, "Unaltered so far, and not sealed yet", "open"),
    ],
)
def test_each_verdict_has_its_words(
    world: Installation, auditor: User, facts: dict[str, Any], words: str, mark: str
) -> None:
    session, browser = sealed(world), browser_of(auditor)
    verified(session, browser)
    job = Job.objects.get()
    job.result["verdict"] |= facts
    job.save()
    page = page_of(session, browser)
    assert f'<li class="{mark}"><strong>{words}</strong>' in page
    assert f'<strong class="words {mark}">{words}</strong>' in page


def test_the_newest_report_stays_on_the_page_behind_what_was_asked_for_since(
    world: Installation, auditor: User
) -> None:
    session, browser = sealed(world), browser_of(auditor)
    verified(session, browser)
    for _ in range(4):
        jobs.submit("verify", session, user=auditor.pk, options={}, id=uuid4())
    page = page_of(session, browser)
    assert '<li class="good"><strong>Whole and unaltered</strong>' in page
    assert "All jobs of this session" in page
    assert len(browser.get(f"/sessions/{session.pk}/").context["verify"]["rows"]) == 3


def test_a_double_click_verifies_once_and_another_choice_anew(world: Installation, auditor: User) -> None:
    session, browser = sealed(world), browser_of(auditor)
    sent, address = form(session, browser), f"/sessions/{session.pk}/verify"
    for _ in range(2):
        browser.post(address, {**sent, "deep": ""})
    browser.post(address, {**sent, "deep": "1"})
    assert [job.options for job in Job.objects.order_by("created_at")] == [{}, {"deep": True}]
    assert [event.facts.get("replayed", False) for event in told()] == [False, True, False]
    page = browser.post(address, {"id": "x"}, follow=True).content.decode()
    assert "Nothing was done." in page
    assert Job.objects.count() == 2


@pytest.mark.parametrize("role", ["session_viewer", "session_operator"])
def test_who_sees_a_session_verifies_it_and_sees_of_that_what_is_his(world: Installation, role: str) -> None:
    user = person(role)
    session = sealed(world, owner=user)
    browser, others = browser_of(user), browser_of(person("admin"))
    assert "Whole and unaltered" in verified(session, others)
    assert "Whole and unaltered" not in page_of(session, browser)
    assert "Whole and unaltered" in verified(session, browser)
    theirs, own = Job.objects.order_by("created_at")
    assert [row.job.pk for row in browser.get("/jobs/").context["rows"]] == [own.pk]
    assert browser.get(f"/jobs/{own.pk}/result", follow=True).getvalue().startswith(b"{")
    assert browser.get(f"/jobs/{theirs.pk}/result").status_code == 404
    assert browser.post(f"/jobs/{theirs.pk}/cancel").status_code == 404
    browser.post(f"/sessions/{session.pk}/verify", form(session, browser))
    last = Job.objects.latest("created_at")
    browser.post(f"/jobs/{last.pk}/cancel")
    last.refresh_from_db()
    assert last.status == "cancelled"


def test_nobody_else_verifies(world: Installation, auditor: User) -> None:
    session = sealed(world)
    address = f"/sessions/{session.pk}/verify"
    sent = {"id": str(uuid4())}
    assert browser_of(person("session_viewer")).post(address, sent).status_code == 404
    assert browser_of(person(None)).post(address, sent).status_code == 403
    assert Client().post(address, sent)["Location"] == f"/sign-in/?next=/sessions/{session.pk}/"
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(auditor)
    assert strict.post(address, sent).status_code == 403
    Session.objects.filter(pk=session.pk).update(status="expiring")
    page = browser_of(auditor).post(address, sent, follow=True).content.decode()
    assert "is expiring: it cannot change any more" in page
    assert "its page verifies it no more" in page
    assert not Job.objects.exists()


def test_verifying_asks_why_where_the_policy_does(world: Installation, auditor: User, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = [*DEEDS]
    session, browser = sealed(world), browser_of(auditor)
    assert 'aria-describedby="verify-why-kept" required' in page_of(session, browser)
    sent = {**form(session, browser), "deep": "1"}
    asked = browser.post(f"/sessions/{session.pk}/verify", sent)
    assert asked.status_code == 400
    assert 'name="deep" value="1"' in asked.content.decode()
    browser.post(f"/sessions/{session.pk}/verify", {**sent, "reason": "case 17"})
    jobs.tick()
    result = f"/jobs/{Job.objects.get().pk}/result"
    assert browser.get(result).status_code == 400
    assert browser.get(result, {"reason": "case 18"}, follow=True).status_code == 200
    assert [(event.action, event.outcome, event.why) for event in told()] == [
        ("session.verify-asked", "refused", ""),
        ("session.verify-asked", "done", "case 17"),
        ("session.report-downloaded", "refused", ""),
        ("session.report-downloaded", "done", "case 18"),
    ]


def test_verifying_works_without_scripts(browser: Any, live_server: Any, world: Installation) -> None:
    session = sealed(world)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    cookie_of(page, live_server, person("admin"))
    page.goto(f"{live_server.url}/sessions/{session.pk}/")
    page.locator("summary", has_text="Verify now").click()
    page.get_by_role("button", name="Verify the session").click()
    jobs.tick()
    page.reload()
    assert "Whole and unaltered" in page.locator("#verify .verdict").inner_text()
    context.close()
