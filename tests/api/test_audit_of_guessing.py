"""Whoever guesses passwords is written down until the door is closed, and fills nothing from then on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from lucid_sessions.access import audit
from lucid_sessions.access.models import AuditEvent, FailedSignIns, User
from lucid_sessions.recordings.installation import Installation

from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1"
DENIED, CLOSED = ("signed-in", "denied"), ("sign-in.closed", "denied")


@pytest.fixture(autouse=True)
def three_guesses(world: Installation, settings: Any) -> None:
    assert world.spool.identity
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.LUCID_SIGN_IN_FAILURES = 3


def by_program(body: dict[str, str], **more: Any) -> Any:
    return client_of(None).post(f"{URL}/auth/token", body, format="json", **more)


def in_console(body: dict[str, str], **more: Any) -> Any:
    return Client().post("/sign-in/", body, **more)


def in_admin(body: dict[str, str], **more: Any) -> Any:
    return Client().post("/admin/login/", body, **more)


WAYS = (by_program, in_console, in_admin)


def guess(way: Any, name: str = "root", **more: Any) -> None:
    way({"username": name, "password": "wrong"}, **more)


def seen(*columns: str) -> list[Any]:
    return list(AuditEvent.objects.order_by("at_us", "id").values_list(*columns))


@pytest.mark.parametrize("way", WAYS)
def test_each_guess_is_written_and_what_comes_behind_a_closed_door_once_a_minute(way: Any) -> None:
    for _ in range(3 + 7):
        guess(way)
    assert seen("action", "outcome") == [DENIED, DENIED, CLOSED, DENIED, DENIED]
    closed = AuditEvent.objects.get(action="sign-in.closed")
    assert (closed.username, closed.address, closed.user) == ("root", "127.0.0.1", "")
    assert closed.facts == {"username": "root", "of": "name", "seconds": 900}


def test_the_next_that_is_written_says_how_many_were_not(passes: Callable[[float], None]) -> None:
    for _ in range(3 + 4):
        guess(by_program)
    passes(audit.LOOK_SECONDS - 0.1)
    guess(by_program)
    passes(0.2)
    guess(by_program)
    assert seen("facts")[-1] == ({"username": "root", "unwritten": 4},)


def test_once_the_door_is_open_again_each_guess_is_written_again() -> None:
    for _ in range(5):
        guess(by_program)
    FailedSignIns.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    written = len(seen("action"))
    guess(by_program)
    guess(by_program)
    assert seen("action", "outcome")[written:] == [DENIED, DENIED]


def test_of_many_names_from_one_address_as_many_are_written_as_count() -> None:
    for number in range(40):
        guess(by_program, f"made-up-{number}")
    assert [action for (action,) in seen("action")].count("signed-in") == 30 + 1
    (closed,) = AuditEvent.objects.filter(action="sign-in.closed")
    assert (closed.facts["of"], closed.address) == ("address", "127.0.0.1")


def test_forms_that_guess_nothing_are_written_once_a_minute() -> None:
    browser = Client(enforce_csrf_checks=True)
    for number in range(5):
        in_console({"username": "", "password": str(number)})
        in_admin({"username": f"a-{number}", "password": ""})
        browser.post("/admin/login/", {"username": f"b-{number}", "password": "x"})
    assert len(seen("action")) == 1


def test_a_network_of_one_customer_is_one_stranger() -> None:
    for number in range(40):
        guess(by_program, f"made-up-{number}", REMOTE_ADDR=f"2001:db8:7::{number:x}")
        client_of(None).get(f"{URL}/sessions", REMOTE_ADDR=f"2001:db8:7::{number:x}")
    actions = [action for (action,) in seen("action")]
    assert [actions.count(one) for one in ("signed-in", "sessions.listed")] == [30 + 1, 1]
    assert AuditEvent.objects.filter(address="2001:db8:7::1b").count() == 1
    guess(by_program, REMOTE_ADDR="2001:db8:8::1")
    assert seen("action", "address")[-1] == ("signed-in", "2001:db8:8::1")


def test_an_ipv4_address_is_itself_where_a_socket_of_both_kinds_tells_it(settings: Any) -> None:
    settings.LUCID_TRUSTED_PROXIES = ["192.0.2.0/24"]
    for number in range(2):
        guess(by_program, f"made-up-{number}", REMOTE_ADDR=f"::ffff:198.51.100.{number}")
    proxied = {"REMOTE_ADDR": "::ffff:192.0.2.7", "HTTP_X_FORWARDED_FOR": "::ffff:203.0.113.9"}
    guess(by_program, **proxied)
    assert [address for (address,) in seen("address")] == ["198.51.100.0", "198.51.100.1", "203.0.113.9"]


def test_who_may_not_enter_the_admin_is_written_though_the_password_is_right() -> None:
    user: User = person("session_viewer")
    user.set_password("right")
    user.save()
    in_admin({"username": user.username, "password": "right"})
    assert seen("action", "outcome", "username") == [("signed-in", "denied", "session_viewer")]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_looking_at_the_page_for_signing_in_is_no_signing_in(method: str) -> None:
    assert Client().generic(method, "/admin/login/").status_code == 200
    assert seen("action") == []


def test_a_form_that_is_put_is_a_form() -> None:
    assert Client().put("/admin/login/", {"username": "root"}).status_code == 200
    assert seen("action", "outcome") == [DENIED]
