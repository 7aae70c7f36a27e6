"""manage.py keys init|announce|list|recover: the installation's keys."""

import sys
from getpass import getpass
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from lucid_sessions import archive
from lucid_sessions.environment import env
from lucid_sessions.errors import Refused
from lucid_sessions.recordings import keyring, ledger_rows
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = (
        "Make the installation's keys and its stores (init, kept when they exist), make the stores for keys "
        "that were made elsewhere, and tell the log (announce), list the public ones (list), or have a new "
        "ENCRYPTION_PASSWORD open all recordings, by the recovery key on standard input (recover)."
    )
    examples = ("list", "list --json", "recover < recovery.key")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("init", "announce", "list", "recover"))

    def run(self, options: dict[str, Any]) -> int:
        acts = {"init": self._init, "announce": self._announce, "list": self._list, "recover": self._recover}
        return acts[options["action"]]()

    def _init(self) -> int:
        root = settings.LUCID_KEYS_PATH
        if settings.EMBEDDED:
            # One that was given has no second value in a file, to be taken for it some day.
            for name in keyring.EMBEDDED_SECRETS:
                if not env.str(name.upper(), ""):
                    keyring.new_secret(root, name)
        elif not settings.ENCRYPTION_PASSWORD:
            raise Refused(
                "ENCRYPTION_PASSWORD is not set: it will lock the archive's key; set it and keep it safe."
            )
        existed = keyring.Keyring(root).exists
        if not settings.LUCID_LEDGER_ORIGIN:
            raise Refused("LUCID_LEDGER_ORIGIN is not set: name the log, as in sessions.example.org/log.")
        ring = keyring.create(
            root,
            origin=settings.LUCID_LEDGER_ORIGIN,
            password=settings.ENCRYPTION_PASSWORD,
            salt=settings.ENCRYPTION_SALT,
        )
        _make_known(ring)
        word = "are there already" if existed else "were made"
        recovery = root / "recovery" / "recovery.key"
        self.tell(
            f"The keys {word} in {root}.\n"
            f"Move {recovery} to a safe place off this machine: it opens everything without a password.",
            keys=root,
            existed=existed,
            recovery=recovery,
        )
        return DONE

    def _announce(self) -> int:
        ring = keyring.Keyring(settings.LUCID_KEYS_PATH)
        _make_known(ring)
        writers = [writer["key_id"] for writer in ring.public["writers"]]
        self.tell(f"The store of blobs is there, and the log is told of the writers {', '.join(writers)}.")
        return DONE

    def _recover(self) -> int:
        text = getpass("Recovery key: ") if sys.stdin.isatty() else sys.stdin.read(1024)
        try:
            identity = archive.Identity.from_private(bytes.fromhex(text.strip()))
        except (ValueError, Refused) as error:
            raise Refused("Standard input has no recovery key: 64 hexadecimal digits.") from error
        path = keyring.Keyring(settings.LUCID_KEYS_PATH).lock_anew(
            identity, password=settings.ENCRYPTION_PASSWORD, salt=settings.ENCRYPTION_SALT
        )
        self.tell(
            f"The ENCRYPTION_PASSWORD and ENCRYPTION_SALT that are set now open all recordings, by {path}. "
            "Give that file to the API, and start it anew.",
            slot=path,
        )
        return DONE

    def _list(self) -> int:
        public = keyring.Keyring(settings.LUCID_KEYS_PATH).public
        lines = [f"repository  {public['repository']}", f"log         {public['log']['vkey']}"]
        lines += [f"recipient   {one['key_id']} ({one['use']})" for one in public["recipients"]]
        lines += [f"writer      {one['key_id']}" for one in public["writers"]]
        self.tell("\n".join(lines), **public)
        return DONE


def _make_known(ring: keyring.Keyring) -> None:
    """The store of blobs is there, and the log admits, and revokes, whom the public description names."""
    installation().create_front()
    for writer in ring.public["writers"]:
        ledger_rows.request("writer-added", key=f"writer-added:{writer['key_id']}", facts=writer)
    for writer in ring.public.get("revoked", []):
        key = f"writer-revoked:{writer['key_id']}:{writer['size']}"
        ledger_rows.request("writer-revoked", key=key, facts=writer)
