"""What has a secret is made once under an Idempotency-Key, though an answer failed and no secret is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.access import api_tokens
from lucid_sessions.access.models import ApiToken, AuditEvent, Replay, WebhookEndpoint
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.webhooks import endpoints

from .people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1"


@dataclass(frozen=True)
class Kind:
    """Something with a secret: where it is asked for, with what, its rows, and the module that makes it."""

    place: str
    body: dict[str, Any]
    rows: Any
    maker: Any


TOKENS = Kind("auth/api-tokens", {"name": "ci", "scopes": ["view"]}, ApiToken, api_tokens)
WEBHOOKS = Kind("webhooks", {"url": "https://8.8.8.8/"}, WebhookEndpoint, endpoints)
BOTH = pytest.mark.parametrize("kind", [TOKENS, WEBHOOKS], ids=["token", "webhook"])


@pytest.fixture
def admin(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("admin"))


def ask(client: Any, kind: Kind) -> Any:
    return client.post(f"{URL}/{kind.place}", kind.body, format="json", HTTP_IDEMPOTENCY_KEY="k")


def given_up_for_dead() -> None:
    Replay.objects.update(begun_at=timezone.now() - timedelta(minutes=2))


def once_around(
    patch: pytest.MonkeyPatch,
    maker: Any,
    *,
    before: Callable[[], Any] = lambda: None,
    behind: Callable[[], Any] = lambda: None,
) -> None:
    """The next time that `maker` makes one, these happen before and behind it; then no more."""
    stock = maker.create

    def create(*args: Any, **named: Any) -> Any:
        patch.setattr(maker, "create", stock)
        before()
        made = stock(*args, **named)
        behind()
        return made

    patch.setattr(maker, "create", create)


def is_good(world: Installation, shown: dict[str, Any]) -> bool:
    """Whether the secret in this answer is the one that counts."""
    if "token" in shown:
        return client_bearing(shown["token"]).get(f"{URL}/sessions").status_code == 200
    row, keys = WebhookEndpoint.objects.get(pk=shown["id"]), world.keys
    sealed = [row.secret, *([row.secret_before] if row.secret_before else [])]
    opened = [
        archive.open_password(bytes(one), repository=keys.repository, session=row.pk, by=keys.webhook)
        for one in sealed
    ]
    return opened == [shown["secret"]]


def client_bearing(token: str) -> Any:
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def away() -> None:
    raise OperationalError("away")


@BOTH
def test_one_whose_answer_failed_is_found_again_with_a_secret_that_counts(
    world: Installation, admin: Any, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    once_around(monkeypatch, kind.maker, behind=away)
    assert ask(admin, kind).status_code == 503
    (made,) = kind.rows.objects.all()
    again = ask(admin, kind)
    assert (again.status_code, again.json()["id"]) == (201, str(made.pk)), again.content
    assert kind.rows.objects.count() == 1
    assert is_good(world, again.json())
    assert ask(admin, kind).status_code == 409
    assert is_good(world, again.json())
    assert list(AuditEvent.objects.order_by("at_us", "id").values_list("outcome", flat=True))[:2] == [
        "failed",
        "done",
    ]


@BOTH
@pytest.mark.parametrize("where", ["before", "behind"])
def test_of_a_slow_one_and_the_next_only_the_answer_whose_secret_counts_is_given(
    world: Installation, admin: Any, monkeypatch: pytest.MonkeyPatch, kind: Kind, where: str
) -> None:
    came: list[Any] = []

    def again() -> None:
        given_up_for_dead()
        came.append(ask(admin, kind))

    once_around(monkeypatch, kind.maker, **{where: again})
    answers = [ask(admin, kind), *came]
    assert [one.status_code for one in answers].count(201) == 1
    assert kind.rows.objects.count() == 1
    for one in answers:
        assert one.status_code in (409, 503) or is_good(world, one.json())
    assert ask(admin, kind).status_code == 409
    assert kind.rows.objects.count() == 1


def test_a_token_that_was_revoked_meanwhile_is_not_given_out_again(
    admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    once_around(monkeypatch, TOKENS.maker, behind=away)
    ask(admin, TOKENS)
    (made,) = TOKENS.rows.objects.all()
    assert admin.delete(f"{URL}/{TOKENS.place}/{made.pk}").status_code == 204
    refused = ask(admin, TOKENS)
    assert (refused.status_code, refused.json()["code"]) == (409, "LUCID_ERR_3003")
    assert ask(admin, TOKENS).status_code == 201
    assert ApiToken.objects.filter(revoked_at__isnull=True).count() == 1


def test_an_endpoint_that_was_deleted_meanwhile_is_made(
    world: Installation, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    once_around(monkeypatch, WEBHOOKS.maker, behind=away)
    ask(admin, WEBHOOKS)
    assert admin.delete(f"{URL}/{WEBHOOKS.place}/{WEBHOOKS.rows.objects.get().pk}").status_code == 204
    again = ask(admin, WEBHOOKS)
    assert again.status_code == 201
    assert is_good(world, again.json())
