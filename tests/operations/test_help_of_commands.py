"""`manage.py COMMAND --help` says what each argument is, and its examples are taken as they stand."""

import argparse
import shlex
from io import StringIO
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class

from lucid_sessions.access.models import User
from lucid_sessions.recordings.models import Session

pytestmark = pytest.mark.django_db

OURS = sorted((name, app) for name, app in get_commands().items() if app.startswith("lucid_sessions."))


def parser_of(name: str, app: str) -> Any:
    return load_command_class(app, name).create_parser("manage.py", name)


@pytest.mark.parametrize(("name", "app"), OURS)
def test_examples_are_taken_and_arguments_explained(name: str, app: str) -> None:
    Session.objects.create(name="deploy db-7", source="synthetic://")
    for user in ("ana", "eva"):
        User.objects.create(username=user)
    told = StringIO()
    parser_of(name, app).print_help(told)
    _, _, examples = told.getvalue().partition("\nexamples:\n")
    typed = [line.strip() for line in examples.splitlines()]
    assert typed
    for line in typed:
        assert line.startswith(f"manage.py {name}")
        words = shlex.split(line.partition(" > ")[0].partition(" < ")[0])
        parser_of(name, app).parse_args(words[2:])
    silent = [one.dest for one in parser_of(name, app)._actions if not one.help and not one.choices]
    assert silent == []


def test_djangos_own_options_are_not_in_it_but_work() -> None:
    parser = parser_of("sessions", dict(OURS)["sessions"])
    assert "--settings" not in parser.format_help()
    assert parser.parse_args(["--traceback", "--no-color"]).traceback
    assert not [one for one in parser._actions if one.help is argparse.SUPPRESS and one.required]
