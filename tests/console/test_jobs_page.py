"""The page of jobs: whose they are, what came of them, who may cancel which."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from lucid_sessions.access import audit
from lucid_sessions.access.models import AuditEvent, Job, User
from lucid_sessions.recordings import jobs, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session
from tests.api.people import person
from tests.recordings import archived
from tests.waiting import until

from .conftest import clean
from .test_pages import browser_of, cookie_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(world: Installation) -> Session:
    assert world.spool.identity
    return sessions.create("synthetic://", name="deploy <db-7>")


def asked(session: Session, user: User, kind: str = "export", **facts: Any) -> Job:
    """A job; `facts` as its runner may have written them."""
    job = jobs.submit(kind, session, user=user.pk, options=facts.pop("options", {}), id=uuid4())
    Job.objects.filter(pk=job.pk).update(**facts)
    job.refresh_from_db()
    return job


def listed(user: User, **query: str) -> list[Any]:
    return [row.job.pk for row in browser_of(user).get("/jobs/", query).context["rows"]]


def events(action: str) -> list[tuple[str, str, str]]:
    found = AuditEvent.objects.filter(action=action).order_by("at_us")
    return list(found.values_list("outcome", "session", "item"))


def test_who_sees_all_sessions_sees_all_jobs_newest_first(session: Session) -> None:
    auditor, manager = person("auditor"), person("session_manager", name="ana")
    first, second = (
        asked(session, auditor),
        asked(session, manager, "evidence", options={"disclose": ["keys"]}),
    )
    assert listed(auditor) == [second.pk, first.pk]
    page = browser_of(auditor).get("/jobs/").content.decode()
    assert "Evidence bundle with keys" in page
    assert "by ana" in page
    assert "deploy &lt;db-7&gt;" in page
    assert 'href="/jobs/" aria-current="page"' in page


def test_others_see_their_own(session: Session) -> None:
    own = person(None, name="guest")
    own.user_permissions.add(*Permission.objects.filter(codename__in=["view_session", "export_session"]))
    other, mine = asked(session, person("admin")), asked(session, own)
    assert listed(own) == [mine.pk]
    # The session is another's by now: it is not named.
    page = browser_of(own).get("/jobs/").content.decode()
    # No part of a random id: "…db-7…" may be one, of the job that is shown.
    assert "deploy" not in page
    assert "&lt;db-7&gt;" not in page
    assert str(other.pk) not in page


def test_who_may_export_and_sees_no_sessions_has_his_copies(session: Session) -> None:
    """A role of the installation's own."""
    own = person(None, name="guest")
    own.user_permissions.add(Permission.objects.get(codename="export_session"))
    mine = asked(session, own)
    asked(session, own, "verify")
    assert listed(own) == [mine.pk]
    browser = browser_of(own)
    assert browser.post(f"/jobs/{mine.pk}/cancel").status_code == 302
    assert 'href="/jobs/"' in browser.get("/jobs/").content.decode()


def test_jobs_are_found_by_status_and_session_page_by_page(session: Session) -> None:
    auditor, other = person("auditor"), sessions.create("synthetic://", name="other")
    failed = asked(session, auditor, status="failed", reason="its blob was changed")
    elsewhere = asked(other, auditor)
    assert listed(auditor, status="failed") == [failed.pk]
    assert listed(auditor, session=str(other.pk)) == [elsewhere.pk]
    assert listed(auditor, session="", status="", page="x") == [elsewhere.pk, failed.pk]
    assert listed(auditor, session=str(session.pk).upper()) == [failed.pk]
    for query, why in (({"session": "x"}, "is no UUID."), ({"status": "lost"}, "is not a valid choice.")):
        unread = browser_of(auditor).get("/jobs/", query)
        assert unread.context["rows"] == []
        assert why in unread.content.decode()
        assert "Nothing is shown until that is mended." in unread.content.decode()
    assert "No job is running" in browser_of(auditor).get("/jobs/?status=running").content.decode()
    for _ in range(25):
        asked(session, auditor)
    page = browser_of(auditor).get(f"/jobs/?session={session.pk}").content.decode()
    assert f'href="?session={session.pk}&amp;page=2"' in page
    assert listed(auditor, session=str(session.pk), page="2") == [failed.pk]


def test_it_costs_the_same_number_of_queries_however_long(
    session: Session, django_assert_max_num_queries: Any
) -> None:
    browser, counts = browser_of(person("admin")), []
    for number in range(2):
        asked(session, person("auditor", name=f"auditor {number}"))
        audit.forget_looks()
        with django_assert_max_num_queries(15) as made:
            browser.get("/jobs/")
        counts.append(len(made))
    assert counts[0] == counts[1]


def test_what_failed_says_why_and_what_waits_that_it_is_tried_again(session: Session) -> None:
    auditor = person("auditor")
    asked(session, auditor, status="failed", reason="its blob was <changed>")
    asked(session, auditor, reason="disk is full")
    page = browser_of(auditor).get("/jobs/").content.decode()
    assert '<small class="bad">its blob was &lt;changed&gt;</small>' in page
    assert "<small>disk is full</small><small>It is tried again by itself.</small>" in page


def test_own_jobs_are_cancelled_and_those_of_others_by_managers(session: Session) -> None:
    admin, auditor, manager = person("admin"), person("auditor"), person("session_manager")
    job, own = asked(session, admin), asked(session, auditor)
    by_auditor = browser_of(auditor)
    page = by_auditor.get("/jobs/").content.decode()
    assert (f"/jobs/{job.pk}/cancel" in page, f"/jobs/{own.pk}/cancel" in page) == (False, True)
    assert by_auditor.post(f"/jobs/{job.pk}/cancel").status_code == 403
    job.refresh_from_db()
    assert job.status == "pending"
    here = f"/sessions/{session.pk}/"
    answer = browser_of(manager).post(f"/jobs/{job.pk}/cancel", {"next": here})
    assert (answer.status_code, answer["Location"]) == (302, here)
    answer = by_auditor.post(f"/jobs/{own.pk}/cancel", {"next": "https://elsewhere.invalid/"})
    assert answer["Location"] == "/jobs/"
    told = by_auditor.post(f"/jobs/{own.pk}/cancel", follow=True).content.decode()
    assert "Cancelled." in told
    assert set(Job.objects.values_list("status", flat=True)) == {"cancelled"}
    named = str(session.pk)
    assert events("job.cancelled") == [
        ("denied", named, str(job.pk)),
        ("done", named, str(job.pk)),
        ("done", named, str(own.pk)),
        ("done", named, str(own.pk)),
    ]
    assert events("page.refused") == []  # one attempt is one event


@pytest.mark.parametrize("wanted", ["nowhere", "console:session", "//elsewhere.invalid/", "javascript:x"])
def test_a_way_back_that_leads_nowhere_is_no_failure(session: Session, wanted: str) -> None:
    auditor = person("auditor")
    job = asked(session, auditor)
    answer = browser_of(auditor).post(f"/jobs/{job.pk}/cancel", {"next": wanted})
    assert (answer.status_code, answer["Location"]) == (302, "/jobs/")


def test_what_is_over_stays_and_what_runs_is_told_to_stop(session: Session) -> None:
    auditor = person("auditor")
    browser = browser_of(auditor)
    failed, running = asked(session, auditor, status="failed"), asked(session, auditor, status="running")
    assert "it is failed" in browser.post(f"/jobs/{failed.pk}/cancel", follow=True).content.decode()
    told = browser.post(f"/jobs/{running.pk}/cancel", follow=True).content.decode()
    assert "is being cancelled" in told
    assert f"/jobs/{running.pk}/cancel" not in told


def test_a_result_that_is_not_there_is_said_so_on_a_page(world: Installation) -> None:
    auditor = person("auditor")
    session = archived.sealed(world)
    job = asked(session, auditor)
    browser = browser_of(auditor)
    told = browser.get(f"/jobs/{job.pk}/result", follow=True).content.decode()
    assert "is pending, or its result is gone" in told
    jobs.tick()
    assert f"/jobs/{job.pk}/result" in browser.get("/jobs/").content.decode()
    Session.objects.filter(pk=session.pk).update(status="deleted")
    page = browser.get("/jobs/").content.decode()
    assert f"/jobs/{job.pk}/result" not in page
    assert "Its session was deleted" in page
    assert "result is gone" in browser.get(f"/jobs/{job.pk}/result", follow=True).content.decode()
    assert {outcome for outcome, _, _ in events("session.exported")} == {"refused"}


def test_the_list_is_a_look_and_asks_why_where_the_policy_does(session: Session, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = ["jobs.listed", "job.cancelled"]
    auditor = person("auditor")
    job = asked(session, auditor)
    browser = browser_of(auditor)
    assert browser.get("/jobs/?status=pending").status_code == 400
    for _ in range(2):
        shown = browser.get("/jobs/?status=pending&reason=case+7")
    assert b'name="reason" value="case 7"' in shown.content
    assert events("jobs.listed") == [("refused", "", ""), ("done", "", "")]
    question = browser.post(f"/jobs/{job.pk}/cancel", {"next": "/jobs/?status=pending"})
    assert question.status_code == 400
    assert b'name="next" value="/jobs/?status=pending"' in question.content
    assert browser.post(f"/jobs/{job.pk}/cancel", {"reason": "case 7"}).status_code == 302
    assert [one[0] for one in events("job.cancelled")] == ["refused", "done"]


def test_it_keeps_itself_current(watched: Any, live_server: Any, session: Session) -> None:
    auditor = person("auditor")
    job = asked(session, auditor)
    cookie_of(watched, live_server, auditor)
    watched.goto(f"{live_server.url}/jobs/")
    pill = watched.locator(".pill")
    assert pill.inner_text() == "pending"
    Job.objects.filter(pk=job.pk).update(status="running", percent=41)
    until(lambda: "41 % done" in watched.locator("#list").inner_text())
    assert watched.locator("#told").inner_text() == "Video, as recorded of deploy <db-7>: running."
    ended = {"ended_at": timezone.now(), "expires_at": timezone.now() + timedelta(hours=1)}
    Job.objects.filter(pk=job.pk).update(status="failed", reason="nothing to export", **ended)
    until(lambda: "nothing to export" in watched.locator("#list").inner_text())
    clean(watched)
