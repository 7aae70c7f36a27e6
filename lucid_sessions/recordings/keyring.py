"""The installation's keys as files: which process may hold what, and how each is found.

    repository.json          public: repository id, recipients, creator, writers, the log's verifier key
    slots/<recipient>.lsk    the repository's private half, locked by ENCRYPTION_PASSWORD and _SALT
    recovery/                the offline recipient's private half: move it away, keep it in a safe
    private/creator.key      signs the birth of session keys      (API only)
    private/writer.key       signs blobs                          (processor only)
    private/log.key          signs checkpoints                    (pipeline manager only)
    private/recorder.key     opens passwords of desktops          (recorders only)
    private/webhook.key      opens the secrets that webhooks are signed with (storage only)
    private/log.pin          the last checkpoint signed           (pipeline manager only)
    sessions/<session>/      each session key's statement, and its private half sealed to every recipient
    targets/<session>        the password of a desktop that is to be recorded, sealed to the recorders
    secrets/                 the embedded profile's random secrets

Workers need `repository.json` and one key of `private/`. Nothing there opens anything.
"""

import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from lucid_sessions import archive
from lucid_sessions.access.turns import aside
from lucid_sessions.durable import blaming, create_durably, sync_directory, write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered

from . import session_keys

EMBEDDED_SECRETS = (
    "secret_key",
    "jwt_secret_key",
    "encryption_password",
    "encryption_salt",
    "admin_password",
)


@dataclass(frozen=True)
class Keyring:
    """The keys under `root`; each is read when first needed, and its absence named then."""

    root: Path

    @property
    def exists(self) -> bool:
        """True once `manage.py keys init` has run to its end."""
        return (self.root / "repository.json").is_file()

    @cached_property
    def public(self) -> dict[str, Any]:
        """The public description of the installation."""
        try:
            text = (self.root / "repository.json").read_text(encoding="utf-8")
        except OSError as error:
            raise Retryable(
                f"{self.root / 'repository.json'} cannot be read ({error.strerror}): "
                "run `manage.py keys init`, or set LUCID_KEYS_PATH to where the keys are."
            ) from error
        content: dict[str, Any] = json.loads(text)
        return content

    @cached_property
    def repository(self) -> bytes:
        return bytes.fromhex(self.public["repository"])

    @cached_property
    def recipients(self) -> list[archive.Recipient]:
        return [archive.Recipient(bytes.fromhex(known["public"])) for known in self.public["recipients"]]

    @property
    def creator_public(self) -> bytes:
        return bytes.fromhex(self.public["creator"])

    @property
    def log_vkey(self) -> str:
        return str(self.public["log"]["vkey"])

    @property
    def log_origin(self) -> str:
        return str(self.public["log"]["origin"])

    @property
    def log_pin(self) -> Path:
        return self.root / "private" / "log.pin"

    @cached_property
    def creator(self) -> archive.Writer:
        return archive.Writer.from_private(self._private("creator"))

    @cached_property
    def writer(self) -> archive.Writer:
        return archive.Writer.from_private(self._private("writer"))

    @property
    def recorder_public(self) -> archive.Recipient:
        """Whom passwords of desktops are sealed to; Refused on keyrings from before recorders had a key."""
        return self._recipient("recorder")

    @property
    def webhook_public(self) -> archive.Recipient:
        """Whom secrets of webhooks are sealed to; Refused on keyrings from before there were any."""
        return self._recipient("webhook")

    def _recipient(self, use: str) -> archive.Recipient:
        if use not in self.public:
            raise Refused(f"This keyring has no {use} key: run `manage.py keys init`, which adds it.")
        return archive.Recipient(bytes.fromhex(self.public[use]))

    @cached_property
    def recorder(self) -> archive.Identity:
        return archive.Identity.from_private(self._private("recorder"))

    @cached_property
    def webhook(self) -> archive.Identity:
        return archive.Identity.from_private(self._private("webhook"))

    @cached_property
    def log_key(self) -> archive.LogKey:
        return archive.LogKey.from_private(self.log_origin, self._private("log"))

    def _private(self, name: str) -> bytes:
        path = self.root / "private" / f"{name}.key"
        try:
            return bytes.fromhex(path.read_text(encoding="ascii"))
        except OSError as error:
            raise Retryable(f"The {name} key {path} cannot be read: {error.strerror}.") from error

    def unlock(self, password: str, salt: str) -> archive.Identity:
        """The repository's identity; Refused when the password is missing or wrong."""
        if not password:
            raise Refused(
                "Opening recordings needs ENCRYPTION_PASSWORD: set it, or ENCRYPTION_PASSWORD_FILE."
            )
        for slot in self._slots():
            try:
                return archive.open_slot(
                    slot,
                    password=password.encode(),
                    salt=salt.encode(),
                    repository=self.repository,
                )
            except archive.WrongPassword:
                continue
        raise Refused("ENCRYPTION_PASSWORD (or ENCRYPTION_SALT) is wrong: no key slot opens with it.")

    def lock_anew(self, identity: archive.Identity, *, password: str, salt: str) -> Path:
        """The slot by which this password opens recordings from now on; what opened them before still does.

        Refused: session keys are not sealed to this identity, or there is no password.
        """
        if identity.recipient.key_id not in {one.key_id for one in self.recipients}:
            raise Refused(f"That key opens nothing here: {self.root / 'repository.json'} names others.")
        slot = archive.make_slot(
            identity, password=password.encode(), salt=salt.encode(), repository=self.repository
        )
        path = self.root / "slots" / f"{identity.recipient.key_id.hex()}.lsk"
        write_durably(path, slot)
        return path

    def _slots(self) -> Iterator[bytes]:
        """Of the recipients that are named; `keys init` may have been killed and left another's."""
        for recipient in self.recipients:
            with suppress(FileNotFoundError):  # one of them is kept elsewhere
                yield (self.root / "slots" / f"{recipient.key_id.hex()}.lsk").read_bytes()

    def new_session_keys(self, session: UUID, tracks: Iterable[str]) -> dict[str, archive.Statement]:
        """Signed statements of fresh keys by track; private halves go durably to every recipient first.

        Of two who make them for one session at once both get those of who was first.
        """
        statements, born = {}, []
        for track in tracks:
            identity = archive.Identity.generate()
            public = archive.Statement(self.repository, session, track, identity.recipient.public)
            statements[track] = statement = public.sign(self.creator)
            sealed = {
                recipient.key_id.hex(): archive.seal_session_key(identity, statement=statement, to=recipient)
                for recipient in self.recipients
            }
            # Public, and in the database too: without that, the sealed keys alone would open nothing.
            born.append(session_keys.Born(statement.to_bytes(), sealed))
        path = self._directory(session) / session_keys.name_of(statements)
        with aside():  # the disk is waited for
            new = create_durably(path, session_keys.to_bytes(born), of_many=True)
        return statements if new else self._born_before(path, session)

    def _born_before(self, path: Path, session: UUID) -> dict[str, archive.Statement]:
        """What this file says of the session's keys, whose private halves are in it; Tampered if not so."""
        found = [archive.Statement.from_bytes(one.statement) for one in session_keys.read(path)]
        for statement in found:
            statement.verify(self.creator_public)
            if (statement.repository, statement.session) != (self.repository, session):
                raise Tampered(f"{path} holds keys of session {statement.session}, which is another one.")
        return {statement.track: statement for statement in found}

    def session_identity(self, statement: archive.Statement, *, by: archive.Identity) -> archive.Identity:
        """The private half of a session key, opened by the repository's identity; Refused once shredded."""
        statement.verify(self.creator_public)
        try:
            sealed = session_keys.sealed_for(self._directory(statement.session), statement, by.recipient)
        except FileNotFoundError:
            raise Refused(
                f"The key of session {statement.session}, track {statement.track}, is not there: "
                "the session was shredded, or the keys were not restored."
            ) from None
        return archive.unseal_session_key(sealed, statement=statement, by=by)

    def sealed_keys(self, session: UUID) -> list[Path]:
        """The files that hold a session's keys, for every track and recipient."""
        return session_keys.files(self._directory(session))

    def shred(self, session: UUID) -> None:
        """Nobody can open the session any more: its sealed keys are gone, and stay so after a power cut."""
        directory = self._directory(session)
        with blaming("delete", directory):
            for path in directory.glob("*"):
                path.unlink(missing_ok=True)
            if directory.is_dir():
                sync_directory(directory)
                directory.rmdir()
            if directory.parent.is_dir():
                sync_directory(directory.parent)

    def _directory(self, session: UUID) -> Path:
        return self.root / "sessions" / str(session)


def create(root: Path, *, origin: str, password: str, salt: str) -> Keyring:
    """A complete new keyring under `root`; a half-made one is made anew, a complete one kept."""
    ring = Keyring(root)
    if ring.exists:
        return _completed(ring)
    password = password or new_secret(root, "encryption_password")
    salt = salt or new_secret(root, "encryption_salt")
    repository = secrets.token_bytes(16)
    main, recovery = archive.Identity.generate(), archive.Identity.generate()
    creator, writer = archive.Writer.generate(), archive.Writer.generate()
    log_key = archive.LogKey.generate(origin)
    recorder, webhook = archive.Identity.generate(), archive.Identity.generate()
    slot = archive.make_slot(main, password=password.encode(), salt=salt.encode(), repository=repository)
    write_durably(root / "slots" / f"{main.recipient.key_id.hex()}.lsk", slot)
    for path, key in (
        ("private/creator.key", creator.private_bytes),
        ("private/writer.key", writer.private_bytes),
        ("private/log.key", log_key.private_bytes),
        ("private/recorder.key", recorder.private_bytes),
        ("private/webhook.key", webhook.private_bytes),
        ("recovery/recovery.key", recovery.private_bytes),
    ):
        write_durably(root / path, key.hex().encode())
    public = {
        "format": "lucid/1 repository",
        "repository": repository.hex(),
        "recipients": [
            {"use": use, "key_id": one.recipient.key_id.hex(), "public": one.recipient.public.hex()}
            for use, one in (("password", main), ("recovery", recovery))
        ],
        "creator": creator.public.hex(),
        "writers": [{"key_id": writer.key_id.hex(), "public": writer.public.hex()}],
        "log": {"origin": origin, "vkey": log_key.vkey},
        "recorder": recorder.recipient.public.hex(),
        "webhook": webhook.recipient.public.hex(),
    }
    # Written last: its presence says that everything it names is there.
    write_durably(root / "repository.json", json.dumps(public, indent=2).encode() + b"\n")
    return Keyring(root)


def _completed(ring: Keyring) -> Keyring:
    """The keyring, with the pairs that it lacks because it is from before they were needed."""
    public = dict(ring.public)
    for use in ("recorder", "webhook"):
        if use not in public:
            pair = archive.Identity.generate()
            write_durably(ring.root / "private" / f"{use}.key", pair.private_bytes.hex().encode())
            public[use] = pair.recipient.public.hex()
    if public == ring.public:
        return ring
    write_durably(ring.root / "repository.json", json.dumps(public, indent=2).encode() + b"\n")
    return Keyring(ring.root)


def new_secret(root: Path, name: str) -> str:
    """The random secret `name` of the embedded profile, made on first use, in a file of mode 0600."""
    path = root / "secrets" / name
    if not path.is_file():
        write_durably(path, secrets.token_urlsafe(32).encode())
    return path.read_text(encoding="ascii").strip()
