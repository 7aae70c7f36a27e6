"""A setting that cannot be meant is refused by its name."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from lucid_sessions import environment

NAME = "LUCID_TEST_SETTING"


@pytest.mark.parametrize("text", ["abc", "500M", "1.000,5", "nan", "inf", "5 GiB"])
def test_what_is_no_number_is_refused_by_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    for read, what in ((environment.number, "a number"), (environment.whole, "a whole number")):
        with pytest.raises(ImproperlyConfigured, match=f"{NAME}={text} has to be {what}"):
            read(NAME, 1)


def test_numbers_are_read_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, wanted in (("1e3", 1000.0), (" 0.5 ", 0.5), ("", 7.0)):
        monkeypatch.setenv(NAME, text)
        assert environment.number(NAME, 7.0) == wanted
    monkeypatch.setenv(NAME, "12")
    assert environment.whole(NAME, 7) == 12


def test_pairs_are_names_and_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "one=http://one.example/?a=b,two=x")
    assert environment.pairs(NAME) == {"one": "http://one.example/?a=b", "two": "x"}
    for text in ("foo", "=x", "one=1,foo"):
        monkeypatch.setenv(NAME, text)
        with pytest.raises(ImproperlyConfigured, match=f"{NAME} has to be NAME=VALUE"):
            environment.pairs(NAME)


def test_an_address_of_another_kind_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "rediss://:secret@cache.example/0")
    assert environment.address(NAME, "", "redis", "rediss") == "rediss://:secret@cache.example/0"
    monkeypatch.setenv(NAME, "user:secret@cache.example")
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} has to begin with redis:// or rediss://") as said:
        environment.address(NAME, "", "redis", "rediss")
    assert "secret" not in str(said.value)


def test_networks_are_checked_by_the_setting_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "127.0.0.0/8, fd00::/8,192.0.2.7")
    assert environment.networks(NAME) == ["127.0.0.0/8", "fd00::/8", "192.0.2.7"]
    monkeypatch.setenv(NAME, "")
    assert environment.networks(NAME) == []
    for text in ("localhost", "10.0.0.1/8", "10.0.0.0/33"):
        monkeypatch.setenv(NAME, f"127.0.0.0/8,{text}")
        with pytest.raises(ImproperlyConfigured, match=f"{NAME}: {text} is no network"):
            environment.networks(NAME)


def test_a_network_may_be_told_by_an_address_in_it_where_that_was_always_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(NAME, "10.0.0.1/8, 2001:db8::1/64")
    assert environment.networks(NAME, strict=False) == ["10.0.0.1/8", "2001:db8::1/64"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LUCID_TARGET_ALLOW", "10.0.0.1/8"),
        ("LUCID_WEBHOOK_ALLOW", "10.0.0.1/8"),
        ("LUCID_TRUSTED_PROXIES", "nginx"),
        ("LUCID_TRUSTED_PROXIES", "10.0.0.0/33"),
    ],
)
def test_no_program_starts_with_a_network_that_is_none(name: str, text: str) -> None:
    asked = [sys.executable, "-c", "import lucid_sessions.settings"]
    began = subprocess.run(asked, env=os.environ | {name: text}, capture_output=True, text=True)
    assert began.returncode != 0
    assert f"{name}: {text} is no network, such as 10.1.0.0/16." in began.stderr
