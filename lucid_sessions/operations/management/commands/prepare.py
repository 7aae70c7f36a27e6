"""manage.py prepare: an installation's database, keys and first user; what is there already is kept."""

import io
from typing import Any

from django.conf import settings
from django.core.management import call_command

from lucid_sessions.access.models import User
from lucid_sessions.durable import make_directory
from lucid_sessions.recordings.keyring import new_secret
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base
from recorder.spool import Spool

ADMIN = "admin"


class Command(Base):
    help = "Make the database, the keys, the stores and (embedded) the first user. Repeat it as you like."
    examples = ("",)

    def run(self, options: dict[str, Any]) -> int:  # noqa: ARG002 - it has none
        make_directory(settings.LUCID_HOME)
        call_command("migrate", interactive=False, verbosity=0, skip_checks=False, stdout=io.StringIO())
        code = self._make_keys()
        if code != DONE:
            return code
        _ = Spool(settings.SESSION_STORAGE_PATH).identity
        if settings.EMBEDDED:
            make_directory(settings.STATIC_ROOT)
            _make_admin()
        self.tell(f"{settings.LUCID_HOME} is ready.", home=settings.LUCID_HOME)
        return DONE

    def _make_keys(self) -> int:
        try:
            call_command("keys", "init", stdout=io.StringIO(), stderr=self.stderr)
        except SystemExit as ended:
            return int(ended.code or DONE)
        return DONE


def _make_admin() -> None:
    """The first user, with the random password of the file `secrets/admin_password`."""
    password = new_secret(settings.LUCID_KEYS_PATH, "admin_password")
    if not User.objects.filter(username=ADMIN).exists():
        User.objects.create_superuser(ADMIN, email="", password=password)
