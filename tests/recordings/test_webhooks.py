"""Webhooks: signed as the specification says, at least once, in order; a dead endpoint makes nobody wait."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from lucid_sessions.access.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from lucid_sessions.errors import Retryable
from lucid_sessions.recordings import events, holds, keyring, quota, retention, sessions, setbacks, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from lucid_sessions.recordings.webhooks import deliveries, endpoints, sending

from ..api.archive_of_one import sealed_session
from ..factories import recorded_session
from ..waiting import PATIENCE
from .people import person
from .receiver import DRIP, HANG, Receiver, receiving

# Deliveries are sent by threads, which see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


def impatient(with_: Receiver) -> deliveries.Send:
    """Sends, and waits a second for this one, and for others as long as a busy machine takes."""

    def send(url: str, body: bytes, **how: Any) -> sending.Answer:
        return sending.post(url, body, within=1.0 if url == with_.url else PATIENCE, **how)

    return send


@pytest.fixture
def receiver(world: Installation, settings: Any) -> Iterator[Receiver]:
    assert world.spool.identity
    settings.LUCID_WEBHOOK_ALLOW = ["127.0.0.0/8"]
    with receiving() as found:
        yield found


def told(receiver: Receiver, *kinds: str) -> str:
    """An endpoint there, and its secret."""
    _, secret = endpoints.create(receiver.url, kinds=kinds, description="", by="admin")
    return secret


def kinds(receiver: Receiver) -> list[str]:
    return [json.loads(body)["type"] for _, _, body in receiver.requests]


def due_now() -> None:
    """As if the waits after failures were over."""
    past = timezone.now() - timedelta(seconds=1)
    WebhookEndpoint.objects.update(quiet_until=past)
    WebhookDelivery.objects.filter(status="pending").update(next_attempt_at=past, lease_until=None)


def test_a_sessions_life_is_told_in_order_and_every_signature_is_accepted(
    world: Installation, receiver: Receiver
) -> None:
    secret = told(receiver)
    session = sealed_session(world)
    Session.objects.filter(pk=session.pk).update(started_at=session.created_at)
    assert deliveries.tick() == 3
    hold = holds.place(session, by=person("first"), why="a case")
    holds.release(session, hold["id"], by=person("second"), why="closed")
    deliveries.tick()
    shredding.begin(session, cause="test", why="over")
    deliveries.tick()
    assert kinds(receiver) == [
        *("session.started", "session.ended", "session.sealed", "session.held", "session.released"),
        "session.expiring",
    ]
    for path, headers, body in receiver.requests:
        content = Webhook(secret).verify(body, headers)
        assert (path, content["data"]["session"]) == ("/hooks", str(session.pk))
        assert headers["content-type"] == "application/json"
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 6
    assert json.loads(receiver.requests[2][2])["data"]["revision"] == 1


def test_a_signature_is_refused_for_another_body_time_or_secret(receiver: Receiver) -> None:
    secret = told(receiver)
    events.note(events.QUOTA, "once", facts={"percent": 90})
    deliveries.tick()
    ((_, headers, body),) = receiver.requests
    other = endpoints.create(receiver.url, kinds=[], description="", by="")[1]
    for key, sent, changed in (
        (secret, body + b" ", {}),
        (secret, body, {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}),
        (secret, body, {"webhook-id": "other"}),
        (other, body, {}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(sent, {**headers, **changed})
    assert Webhook(secret).verify(body, headers)


def test_a_session_that_is_gone_is_told_last(world: Installation, receiver: Receiver) -> None:
    told(receiver, "session.shredded")
    session = sealed_session(world)
    Session.objects.filter(pk=session.pk).update(status=Status.DELETED, **events.CHANGED)
    assert deliveries.tick() == 1
    assert kinds(receiver) == ["session.shredded"]


def test_an_endpoint_that_fails_gets_the_same_event_again_until_it_takes_it(receiver: Receiver) -> None:
    told(receiver)
    receiver.answers = [503, 500]
    events.note(events.QUOTA, "once", facts={})
    for _ in range(3):
        deliveries.tick()
        due_now()
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
    assert len({body for _, _, body in receiver.requests}) == 1
    row = WebhookDelivery.objects.get()
    assert (row.status, row.attempts, row.answer, row.reason) == ("delivered", 3, 204, "")
    assert WebhookEndpoint.objects.get().failures == 0


@pytest.mark.parametrize(("wish", "granted"), [("1200", 1200), ("86400", 3600)])
def test_an_endpoint_that_asks_for_peace_has_it_from_all_events(
    receiver: Receiver, wish: str, granted: int
) -> None:
    told(receiver)
    receiver.answers, receiver.headers = [429] * 20, {"Retry-After": wish}
    for number in range(20):  # the wait is drawn by lot
        events.note(events.QUOTA, str(number), facts={})
        before = timezone.now() + timedelta(seconds=granted)
        assert deliveries.tick() == 1
        endpoint, asked = WebhookEndpoint.objects.get(), WebhookDelivery.objects.order_by("-attempted_at")[0]
        assert endpoint.quiet_until is not None
        assert min(endpoint.quiet_until, asked.next_attempt_at) >= before
        WebhookEndpoint.objects.update(quiet_until=None)


def test_after_the_last_attempt_it_is_over_until_somebody_asks_again(receiver: Receiver) -> None:
    told(receiver)
    receiver.answers = [500] * 2
    events.note(events.QUOTA, "once", facts={})
    deliveries.prepare()
    WebhookDelivery.objects.update(attempts=len(deliveries.WAITS))
    deliveries.tick()
    row = WebhookDelivery.objects.get()
    assert (row.status, row.answer, row.reason) == ("failed", 500, "it answered 500")
    endpoints.redeliver(WebhookEndpoint.objects.get(), row)
    due_now()
    deliveries.tick()
    due_now()
    deliveries.tick()
    row.refresh_from_db()
    assert (row.status, row.attempts) == ("delivered", 2)


def test_a_failing_endpoint_costs_one_attempt_now_and_then_and_nobody_else_waits(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "WAITS", (PATIENCE,))  # the wait for its turn to come is not over here
    told(receiver)
    receiver.answers = [HANG] * 9
    began = timezone.now()
    for number in range(20):
        # MongoDB keeps milliseconds: two in one would be in no order.
        at = began + timedelta(milliseconds=number)
        events.note(events.QUOTA, str(number), facts={"number": number}, at=at)
    with receiving() as good:
        told(good)
        assert deliveries.tick(send=impatient(receiver)) == 21
        assert deliveries.tick(send=impatient(receiver)) == 0
        assert len(good.requests) == 20
    assert len(receiver.requests) == 1
    sent = [json.loads(body)["data"]["number"] for _, _, body in good.requests]
    assert sent == sorted(sent)
    slow = WebhookDelivery.objects.exclude(reason="").get()
    assert slow.reason == "no answer within 1 s"


def test_an_endpoint_that_was_turned_off_is_nobodys_trouble_but_one_that_was_given_up_is(
    receiver: Receiver,
) -> None:
    told(receiver)
    receiver.answers = [500, 410]
    events.note(events.QUOTA, "once", facts={})
    deliveries.tick()
    assert deliveries.backlog() == {"pending": 1, "failing": 1}
    endpoints.change(WebhookEndpoint.objects.get(), enabled=False)
    assert deliveries.backlog() == {"pending": 0, "failing": 0}
    endpoints.change(WebhookEndpoint.objects.get(), enabled=True)
    due_now()
    deliveries.tick()
    assert deliveries.backlog() == {"pending": 0, "failing": 1}


def test_an_answer_that_drips_in_is_cut_off(receiver: Receiver) -> None:
    told(receiver)
    receiver.answers = [DRIP]
    events.note(events.QUOTA, "once", facts={})
    deliveries.tick(send=impatient(receiver))
    assert WebhookDelivery.objects.get().reason == "no answer within 1 s"


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    told(receiver)
    receiver.answers, receiver.headers = [302], {"Location": f"{receiver.url}/elsewhere"}
    events.note(events.QUOTA, "once", facts={})
    deliveries.tick()
    assert [path for path, _, _ in receiver.requests] == ["/hooks"]
    assert WebhookDelivery.objects.get().reason == "it answered 302"


@pytest.mark.parametrize(("answer", "since", "enabled"), [(410, 0, False), (500, 6, False), (500, 4, True)])
def test_an_endpoint_that_is_gone_or_failed_for_days_is_disabled(
    receiver: Receiver, answer: int, since: int, enabled: bool
) -> None:
    told(receiver)
    receiver.answers = [answer]
    WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=since), failures=3)
    events.note(events.QUOTA, "once", facts={})
    deliveries.tick()
    row = WebhookEndpoint.objects.get()
    assert (row.enabled, bool(row.reason)) == (enabled, not enabled)
    endpoints.change(row, enabled=True)
    due_now()
    assert deliveries.tick() == 1
    assert WebhookDelivery.objects.get().status == "delivered"


def test_an_endpoint_is_told_of_the_kinds_that_it_wants_and_only_while_it_is_enabled(
    receiver: Receiver,
) -> None:
    told(receiver, "quota.warning")
    events.note(events.RETENTION, "other", facts={})
    events.note(events.QUOTA, "wanted", facts={})
    deliveries.tick()
    endpoints.change(WebhookEndpoint.objects.get(), enabled=False)
    events.note(events.QUOTA, "while disabled", facts={})
    deliveries.tick()
    endpoints.change(WebhookEndpoint.objects.get(), enabled=True)
    deliveries.tick()
    assert kinds(receiver) == ["quota.warning"]


def test_a_death_between_any_two_writes_makes_nothing_lost_and_nothing_double(
    world: Installation, receiver: Receiver
) -> None:
    told(receiver)
    session = sealed_session(world)
    events.look()
    # The events are written, and that they are was not noted.
    Session.objects.filter(pk=session.pk).update(news=True, told=None)
    deliveries.prepare()
    # The deliveries are written, and that they are was not noted.
    WebhookEvent.objects.update(spread=False)
    deliveries.tick()
    assert kinds(receiver) == ["session.ended", "session.sealed"]
    # It was sent, and that it was is not known: it is sent again, under its id.
    last = WebhookDelivery.objects.get(kind="session.sealed")
    past = timezone.now() - timedelta(seconds=1)
    WebhookDelivery.objects.filter(pk=last.pk).update(status="pending", lease_until=past)
    deliveries.tick()
    assert kinds(receiver) == ["session.ended", "session.sealed", "session.sealed"]
    assert receiver.requests[1][1]["webhook-id"] == receiver.requests[2][1]["webhook-id"]


def test_a_change_that_comes_while_another_is_told_is_told_too(
    world: Installation, receiver: Receiver
) -> None:
    told(receiver)
    session = recorded_session(world)
    events.look()
    stale = Session.objects.get(pk=session.pk)
    holds.place(session, by=person("first"), why="a case")
    # Somebody who read the row before the hold notes that all is told.
    Session.objects.filter(pk=stale.pk, version=stale.version).update(news=False)
    deliveries.tick()
    assert kinds(receiver) == ["session.ended", "session.held"]


def test_a_quarantine_is_told_once_it_is_one(world: Installation, receiver: Receiver) -> None:
    told(receiver, "chunk.quarantined")
    chunk = Chunk.objects.filter(session=recorded_session(world)).first()
    assert chunk is not None
    setbacks.record(chunk, stage="capture", error=setbacks.Final("no picture in it"))
    deliveries.tick()
    ((_, _, body),) = receiver.requests
    data = json.loads(body)["data"]
    assert (data["chunk"], data["reason"]) == (str(chunk.pk), "capture: no picture in it")


def test_what_was_foretold_and_left_in_doubt_is_found_out(world: Installation, receiver: Receiver) -> None:
    told(receiver)
    Session.objects.update(news=False)
    first, second = Chunk.objects.filter(session=recorded_session(world))[:2]
    for chunk in (first, second):
        events.foretell(events.QUARANTINED, chunk, "why")
    Chunk.objects.filter(pk=first.pk).update(quarantined_at=timezone.now())
    Session.objects.update(news=False)
    assert deliveries.tick() == 0
    WebhookEvent.objects.update(at=timezone.now() - timedelta(minutes=2))
    deliveries.tick()
    assert [json.loads(body)["data"]["chunk"] for _, _, body in receiver.requests] == [str(first.pk)]
    assert WebhookEvent.objects.count() == 1


def test_what_comes_after_a_standstill_is_told_though_it_was_no_more_expected(
    world: Installation, receiver: Receiver
) -> None:
    told(receiver, "chunk.quarantined")
    chunk = Chunk.objects.filter(session=recorded_session(world)).first()
    assert chunk is not None
    Session.objects.update(news=False)
    foretold = events.foretell(events.QUARANTINED, chunk, "why")
    # Its process stands still; others look what came of it.
    WebhookEvent.objects.update(at=timezone.now() - timedelta(minutes=2))
    deliveries.tick()
    assert WebhookEvent.objects.count() == 0
    Chunk.objects.filter(pk=chunk.pk).update(quarantined_at=timezone.now())
    for _ in range(2):
        events.came(foretold, true=True)
        deliveries.tick()
    assert kinds(receiver) == ["chunk.quarantined"]


def test_warnings_and_refusals_are_told_once(world: Installation, receiver: Receiver, settings: Any) -> None:
    told(receiver, "quota.warning", "retention.warning", "recording.refused")
    session = sealed_session(world)
    Session.objects.filter(pk=session.pk).update(ended_at=timezone.now() - timedelta(days=85))
    new = sessions.create("synthetic://", name="new")
    settings.LUCID_STORAGE_MIN_FREE_GIB = 10.0**9
    for _ in range(2):
        retention.tick(world)
        with pytest.raises(Retryable):
            sessions.start(new)
    deliveries.tick()
    assert sorted(kinds(receiver)) == ["recording.refused", "retention.warning"]
    settings.MAX_STORAGE_SIZE_GB = 0.00000001
    Session.objects.filter(pk=session.pk).update(usage_due=True)
    for _ in range(2):
        quota.tick()
    deliveries.tick()
    assert kinds(receiver).count("quota.warning") == 1


def test_nothing_is_written_down_while_nobody_is_to_be_told(world: Installation) -> None:
    sealed_session(world)
    deliveries.tick()
    assert WebhookEvent.objects.count() == 0
    assert not Session.objects.filter(news=True).exists()


def test_a_secret_is_nowhere_to_be_read_but_where_the_deliverers_key_is(
    world: Installation, receiver: Receiver
) -> None:
    secret = told(receiver)
    assert secret.startswith("whsec_")
    row = WebhookEndpoint.objects.get()
    assert secret.encode() not in bytes(row.secret)
    assert secret.removeprefix("whsec_").encode() not in bytes(row.secret)
    assert endpoints.secrets_of(row) == [secret]
    (world.keys_root / "private" / "webhook.key").rename(world.keys_root / "elsewhere")
    del world.keys.__dict__["webhook"]
    events.note(events.QUOTA, "once", facts={})
    assert deliveries.tick() == 0
    assert WebhookDelivery.objects.get().status == "pending"


def test_after_a_rotation_both_secrets_sign_for_a_day(receiver: Receiver) -> None:
    old = told(receiver)
    new = endpoints.rotate(WebhookEndpoint.objects.get())
    events.note(events.QUOTA, "first", facts={})
    deliveries.tick()
    WebhookEndpoint.objects.update(before_until=timezone.now() - timedelta(seconds=1))
    events.note(events.QUOTA, "second", facts={})
    deliveries.tick()
    (_, first, one), (_, second, two) = receiver.requests
    assert Webhook(old).verify(one, first) == Webhook(new).verify(one, first)
    assert Webhook(new).verify(two, second)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(two, second)


def test_an_older_keyring_gets_a_deliverers_key_on_the_next_init(world: Installation) -> None:
    path = world.keys_root / "repository.json"
    public = json.loads(path.read_text())
    del public["webhook"]
    path.write_text(json.dumps(public))
    ring = keyring.create(world.keys_root, origin="", password="", salt="")
    assert ring.webhook.recipient.public == ring.webhook_public.public
    assert ring.public["recorder"] == public["recorder"]


def test_old_lines_of_the_log_go(receiver: Receiver) -> None:
    told(receiver)
    events.note(events.QUOTA, "old", facts={}, at=timezone.now() - timedelta(days=31))
    deliveries.tick()
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    events.note(events.QUOTA, "new", facts={})
    deliveries.tick()
    assert WebhookEvent.objects.count() == WebhookDelivery.objects.count() == 1


def test_every_change_of_a_sessions_row_carries_the_mark() -> None:
    root = Path(__file__).resolve().parents[2] / "lucid_sessions"
    raises = {path.name for path in root.rglob("*.py") if 'F("version") + 1' in path.read_text()}
    # The others raise the versions of other rows.
    assert raises == {"events.py", "upkeep.py", "endpoints.py", "deliveries.py"}
