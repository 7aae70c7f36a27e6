"""Videos and evidence bundles, asked for on a session's page and downloaded there."""

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import av
import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client

from lucid_sessions.access.models import AuditEvent, Job, User
from lucid_sessions.recordings import jobs, sessions
from lucid_sessions.recordings.api import rates
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session
from tests.api.people import client_of, person
from tests.api.test_guards import cache_redis as cache_redis
from tests.recordings.archived import sealed as sealed_session
from tests.waiting import until

from .conftest import clean
from .test_pages import browser_of, cookie_of

pytestmark = pytest.mark.django_db(transaction=True)

ALL = ("session.evidence-asked", "session.export-asked", "session.exported")


@pytest.fixture
def auditor() -> User:
    return person("auditor")


def told(*actions: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action__in=actions).order_by("at_us"))


def downloaded(page: Any, into: Path, *, by: str = "Download") -> Path:
    """What the browser has saved after the job's link was clicked."""
    link = page.get_by_role("link", name=by)
    link.wait_for()
    with page.expect_download() as found:
        link.click()
    into.mkdir(exist_ok=True)
    path = into / found.value.suggested_filename
    found.value.save_as(path)
    return path


def test_an_auditor_exports_the_video_and_has_the_file(
    watched: Any, live_server: Any, world: Installation, auditor: User, tmp_path: Path
) -> None:
    session = sealed_session(world)
    cookie_of(watched, live_server, auditor)
    watched.goto(f"{live_server.url}/sessions/{session.pk}/")
    watched.locator("summary", has_text="Video").click()
    watched.get_by_role("button", name="Export the video").click()
    assert "Get a copy shows how far it is" in watched.get_by_role("status").first.inner_text()
    assert watched.locator("#copies .pill").inner_text() == "pending"
    assert jobs.tick() == 1
    # The page is not loaded anew: it keeps itself current.
    path = downloaded(watched, tmp_path / "out")
    result = Job.objects.get().result
    assert (path.name, path.stat().st_size) == (result["name"], result["bytes"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == result["sha256"]
    assert result["sha256"] in watched.locator("#copies").inner_text()
    with av.open(io.BytesIO(path.read_bytes())) as video:
        assert sum(1 for _ in video.decode(video=0)) == 20
    clean(watched)
    asked, given = told("session.export-asked", "session.exported")
    job = str(Job.objects.get().pk)
    assert (asked.outcome, asked.session, asked.facts) == ("done", str(session.pk), {"job": job})
    assert (given.outcome, given.session, given.item, given.means) == (
        *("done", str(session.pk), job),
        "browser",
    )


def test_a_bundle_is_checked_as_the_page_says(
    watched: Any, live_server: Any, world: Installation, auditor: User, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="0"):
        call_command("keys", "announce", stdout=io.StringIO())
    session = sealed_session(world)
    cookie_of(watched, live_server, auditor)
    watched.goto(f"{live_server.url}/sessions/{session.pk}/")
    watched.locator("summary", has_text="Evidence bundle").click()
    watched.get_by_label("Media").check()
    watched.get_by_label("Keys").check()
    watched.locator("#evidence-why").fill("case 17")
    watched.get_by_role("button", name="Make the bundle").click()
    assert "Evidence bundle with media and keys" in watched.locator("#copies").inner_text()
    jobs.tick()
    bundle = downloaded(watched, tmp_path / "out")
    with zipfile.ZipFile(bundle) as content:
        kinds = {name.partition("/")[0] for name in content.namelist()}
    assert {"verify.py", "media", "keys", "blobs"} <= kinds
    watched.locator("summary", has_text="Check it yourself").click()
    for command in watched.locator(".check pre").all_inner_texts()[:2]:
        checked = _run(command, at=bundle.parent)
        assert checked.returncode == 0, checked
    assert "ok   " in checked.stdout
    assert "note" not in checked.stdout  # the log's key was given, and not taken from the bundle
    asked, _ = told("session.evidence-asked", "session.exported")
    assert (asked.why, asked.facts["disclose"]) == ("case 17", ["media", "keys"])


def _run(command: str, *, at: Path) -> "subprocess.CompletedProcess[str]":
    """The command as a shell runs it, with this Python."""
    ours = command.replace("python3", sys.executable, 1)
    return subprocess.run(["sh", "-c", ours], cwd=at, capture_output=True, text=True, check=False)


def form(session: Session, browser: Any, *, of: str = "copies") -> dict[str, str]:
    """What the forms of the session's page would send, without a choice."""
    return {"id": str(browser.get(f"/sessions/{session.pk}/").context[of]["id"])}


def test_a_double_click_makes_one_job_and_another_choice_another(world: Installation, auditor: User) -> None:
    session = sealed_session(world)
    browser = browser_of(auditor)
    sent, address = form(session, browser), f"/sessions/{session.pk}/export"
    for _ in range(2):
        assert "Get a copy shows how far it is" in browser.post(address, sent, follow=True).content.decode()
    made = Job.objects.get()
    again = {"replayed": True, "made": str(made.pk)}
    assert [event.facts for event in told("session.export-asked")] == [{"job": str(made.pk)}, again]
    browser.post(address, {**sent, "one_file": "1"})
    assert [job.options for job in Job.objects.order_by("created_at")] == [{}, {"one_file": True}]
    jobs.cancel(made)
    assert (
        "was asked for before, and is cancelled" in browser.post(address, sent, follow=True).content.decode()
    )
    # Whoever comes by the id of another's form asks for a job of his own.
    browser_of(person("session_manager")).post(address, sent)
    assert Job.objects.count() == 3


def test_a_form_that_is_sent_twice_at_once_makes_one_job(
    watched: Any, live_server: Any, world: Installation, auditor: User
) -> None:
    session = sealed_session(world)
    cookie_of(watched, live_server, auditor)
    watched.goto(f"{live_server.url}/sessions/{session.pk}/")
    sent = watched.locator("form[action$='/evidence']").evaluate(
        """async (form) => {
          const send = () => fetch(form.action, { method: "POST", body: new FormData(form) });
          return (await Promise.all([send(), send()])).map((answer) => answer.status);
        }"""
    )
    assert (sent, len(told("session.evidence-asked"))) == ([200, 200], 2)
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("export", {}),
        ("export", {"id": "x"}),
        ("evidence", {"id": str(uuid4()), "disclose": ["media", "everything"]}),
    ],
)
def test_a_form_that_did_not_come_whole_makes_nothing(
    world: Installation, auditor: User, kind: str, sent: Any
) -> None:
    session = sealed_session(world)
    page = browser_of(auditor).post(f"/sessions/{session.pk}/{kind}", sent, follow=True).content.decode()
    assert "Nothing was done." in page
    assert not Job.objects.exists()
    assert [event.outcome for event in told(f"session.{kind}-asked")] == ["refused"]


def test_nothing_is_made_of_a_session_that_goes(world: Installation, auditor: User) -> None:
    session = sealed_session(world)
    browser = browser_of(auditor)
    sent = form(session, browser)
    Session.objects.filter(pk=session.pk).update(status="expiring")
    page = browser.post(f"/sessions/{session.pk}/export", sent, follow=True).content.decode()
    assert "is expiring: it cannot change any more" in page
    assert "nothing can be made of it any more" in page
    assert not Job.objects.exists()


@pytest.mark.parametrize("role", ["session_viewer", "session_operator"])
def test_who_may_not_export_sees_nothing_of_it_and_is_refused(world: Installation, role: str) -> None:
    user = person(role)
    session = sessions.create("synthetic://", name="mine", owner=user)
    job = jobs.submit("export", session, user=user.pk, options={}, id=uuid4())
    browser = browser_of(user)
    page = browser.get(f"/sessions/{session.pk}/").content.decode()
    assert "Get a copy" not in page
    listed = browser.get("/jobs/")
    assert listed.context["rows"] == []
    assert str(job.pk) not in page + listed.content.decode()
    one = f"/sessions/{session.pk}"
    posts = [f"{one}/export", f"{one}/evidence", f"/jobs/{job.pk}/cancel"]
    assert [browser.post(address, {"id": str(uuid4())}).status_code for address in posts] == [403] * 3
    assert browser.get(f"/jobs/{job.pk}/result").status_code == 403
    denied = [(event.item, event.outcome) for event in told("page.refused")]
    assert denied == [(address, "denied") for address in (*posts, f"/jobs/{job.pk}/result")]
    assert Job.objects.count() == 1


def test_nothing_is_asked_for_without_a_token_of_the_page(world: Installation, auditor: User) -> None:
    session = sealed_session(world)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(auditor)
    assert browser.post(f"/sessions/{session.pk}/export", {"id": str(uuid4())}).status_code == 403
    assert not Job.objects.exists()


def test_copies_are_made_and_given_to_whoever_says_why(
    world: Installation, auditor: User, settings: Any
) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.evidence-asked", "session.exported"]
    session = sealed_session(world)
    browser = browser_of(auditor)
    page = browser.get(f"/sessions/{session.pk}/").content.decode()
    assert 'aria-describedby="evidence-why-kept" required' in page
    assert 'aria-describedby="export-why-kept">' in page
    sent = {**form(session, browser), "disclose": ["media", "keys"]}
    address = f"/sessions/{session.pk}/evidence"
    asked = browser.post(address, sent)
    assert asked.status_code == 400
    # What was chosen is sent again with the reason.
    for name, value in (("id", sent["id"]), ("disclose", "media"), ("disclose", "keys")):
        assert f'name="{name}" value="{value}"' in asked.content.decode()
    assert not Job.objects.exists()
    browser.post(address, {**sent, "reason": "case 17"})
    jobs.tick()
    result = f"/jobs/{Job.objects.get().pk}/result"
    why = browser.get(result)
    assert (why.status_code, f'method="get" action="{result}"' in why.content.decode()) == (400, True)
    given = browser.get(result, {"reason": "für die Akte"}, follow=True)
    assert given.getvalue()[:2] == b"PK"
    assert [(event.action, event.outcome, event.why) for event in told(*ALL)] == [
        ("session.evidence-asked", "refused", ""),
        ("session.evidence-asked", "done", "case 17"),
        ("session.exported", "refused", ""),
        ("session.exported", "done", "für die Akte"),
    ]


@pytest.mark.parametrize(("kind", "of"), [("export", "copies"), ("verify", "verify")])
def test_pages_and_the_api_count_together_how_often_one_asks(
    world: Installation, auditor: User, settings: Any, cache_redis: str, kind: str, of: str
) -> None:
    session = sealed_session(world)
    browser = browser_of(auditor)
    address = f"/sessions/{session.pk}/{kind}"
    settings.CACHE_URL, settings.RATE_LIMIT_ENABLED = cache_redis, True
    for _ in range(rates.LIMITS["bulk"]):
        browser.post(address, form(session, browser, of=of))
    page = browser.post(address, form(session, browser, of=of), follow=True).content.decode()
    by_program = client_of(auditor).post(f"/api/v1{address}", {}, format="json")
    assert "That is more than 5 a minute. Try again in " in page
    assert by_program.status_code == 429
    assert Job.objects.count() == 5
    assert [event.outcome for event in told(f"session.{kind}-asked")] == [*["done"] * 5, "denied", "denied"]


def test_others_sessions_have_no_copies(world: Installation) -> None:
    session = sealed_session(world)
    outsider = person(None)
    _may_export(outsider)
    browser = browser_of(outsider)
    assert browser.post(f"/sessions/{session.pk}/export", {"id": str(uuid4())}).status_code == 404
    job = jobs.submit("export", session, user=person("auditor").pk, options={}, id=uuid4())
    assert browser.get(f"/jobs/{job.pk}/result").status_code == 404
    assert browser.post(f"/jobs/{job.pk}/cancel").status_code == 404
    assert [(event.action, event.outcome) for event in told(*ALL, "job.cancelled")] == [
        ("session.export-asked", "denied"),
        ("session.exported", "denied"),
        ("job.cancelled", "denied"),
    ]


def _may_export(user: User) -> None:
    """A role of the installation's own, whose holders see their own sessions only."""
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_session", "export_session"]))


def test_who_has_tabbed_to_a_button_keeps_it_while_the_list_is_renewed(
    watched: Any, live_server: Any, world: Installation, auditor: User
) -> None:
    session = sealed_session(world)
    job = jobs.submit("export", session, user=auditor.pk, options={}, id=uuid4())
    cookie_of(watched, live_server, auditor)
    watched.goto(f"{live_server.url}/sessions/{session.pk}/")
    button = watched.get_by_role("button", name="Cancel")
    button.focus()
    Job.objects.filter(pk=job.pk).update(status="running", percent=37)
    until(lambda: "37 % done" in watched.locator("#copies").inner_text())
    assert watched.evaluate("document.activeElement.id") == f"cancel-{job.pk}"
    watched.keyboard.press("Enter")
    watched.get_by_text("It is being cancelled").wait_for()
    assert Job.objects.get().cancel_asked
    clean(watched)


def test_the_page_works_without_scripts(browser: Any, live_server: Any, world: Installation) -> None:
    session = sealed_session(world)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    cookie_of(page, live_server, person("admin"))
    page.goto(f"{live_server.url}/sessions/{session.pk}/")
    page.locator("summary", has_text="Video").click()
    page.get_by_label("One file, encoded anew").check()
    page.get_by_role("button", name="Export the video").click()
    page.get_by_text("Get a copy shows how far it is").wait_for()
    assert Job.objects.get().options == {"one_file": True}
    page.locator("summary", has_text="Place a hold").click()
    page.locator("#hold-why").fill("case 17")
    page.get_by_role("button", name="Place the hold").click()
    assert "case 17" in page.locator("#holds").inner_text()
    context.close()
