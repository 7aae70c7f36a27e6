"""MONGODB_URL becomes the database entry, or a message that names the variable and the fix."""

from __future__ import annotations

import pytest

from lucid_sessions.mongodb.settings import DURABILITY, database


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("mongodb://127.0.0.1:27017/archive", "archive"),
        ("mongodb://127.0.0.1", "lucid_sessions"),
        ("mongodb://u:p%40ss@a:27017,b:27018/archive?replicaSet=rs0", "archive"),
        ("mongodb+srv://cluster.example.org/?tls=true", "lucid_sessions"),
        ("mongodb://[::1]:27017/archive", "archive"),
        ("mongodb://[::1]/", "lucid_sessions"),
    ],
)
def test_the_path_of_the_url_names_the_database(url: str, name: str) -> None:
    entry = database(url)
    assert (entry["ENGINE"], entry["HOST"], entry["NAME"]) == ("lucid_sessions.mongodb", url, name)


def test_no_url_weakens_what_an_acknowledged_write_means() -> None:
    options = database("mongodb://h/x?w=1&journal=false&readConcernLevel=local&readPreference=nearest")[
        "OPTIONS"
    ]
    assert {key: options[key] for key in DURABILITY} == DURABILITY


def test_a_url_may_choose_its_own_time_limits() -> None:
    options = database("mongodb://h/x?serverSelectionTimeoutMS=100&maxpoolsize=3")["OPTIONS"]
    assert not {"serverSelectionTimeoutMS", "maxPoolSize"} & set(options)
    assert options["connectTimeoutMS"] == 5000


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://h/0",
        "mongodb://",
        "mongodb:///archive",
        "mongodb://h:port/archive",
        "mongodb://h:70000/archive",
        "mongodb://h:1,/archive",
        "mongodb://[::1/archive",
        "mongodb://u:hunter2@x@h/archive",
        "mongodb://u:hunter2/x@h/archive",
        "mongodb://u:hunter2#x@h/archive",
        "mongodb://u:hunter2\u2100@h/archive",
        "mongodb://h/a.b",
        "mongodb://h/a%20b",
        "mongodb://h/" + "x" * 64,
    ],
)
def test_a_malformed_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"MONGODB_URL is malformed: .+ Example: mongodb://") as refusal:
        database(url)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
