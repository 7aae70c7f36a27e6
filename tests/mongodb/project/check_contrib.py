"""Django's own applications on ObjectId keys: migrations, groups, permissions, the admin."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client

from tests.mongodb.project.factories import a_tape
from tests.mongodb.project.shelf.models import Tape, User

pytestmark = pytest.mark.django_db


def test_models_and_migrations_agree() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_system_checks_pass() -> None:
    call_command("check", databases=["default"], fail_level="WARNING")


def test_the_swapped_user_has_no_collection() -> None:
    tables = connection.introspection.table_names()
    assert "auth_user" not in tables
    assert {"auth_group", "auth_permission", "django_content_type", "django_admin_log", "shelf_user"} <= set(
        tables
    )


def test_migrating_again_does_nothing() -> None:
    before = connection.introspection.table_names()
    call_command("migrate", verbosity=0)
    assert sorted(connection.introspection.table_names()) == sorted(before)


def test_a_group_gives_its_permission() -> None:
    user = User.objects.create_user("bob")
    group = Group.objects.create(name="viewers")
    group.permissions.add(Permission.objects.get(codename="view_tape"))
    user.groups.add(group)
    bob = User.objects.get(pk=user.pk)
    assert bob.has_perm("shelf.view_tape")
    assert not bob.has_perm("shelf.delete_tape")
    user.groups.clear()
    assert not User.objects.get(pk=user.pk).has_perm("shelf.view_tape")


def test_the_admin_lists_adds_and_deletes() -> None:
    User.objects.create_superuser("root", password="pw")
    tape = a_tape()
    client = Client()
    assert client.login(username="root", password="pw")
    for page in (
        "",
        "shelf/tape/",
        "shelf/tape/add/",
        f"shelf/tape/{tape.pk}/change/",
        "shelf/user/",
        "auth/group/add/",
    ):
        assert client.get(f"/admin/{page}").status_code == 200, page
    added = client.post("/admin/auth/group/add/", {"name": "auditors"})
    deleted = client.post(f"/admin/shelf/tape/{tape.pk}/delete/", {"post": "yes"})
    assert (added.status_code, deleted.status_code) == (302, 302)
    assert Group.objects.filter(name="auditors").exists()
    assert not Tape.objects.exists()
    assert LogEntry.objects.count() == 2
