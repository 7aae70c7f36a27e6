"""The key backup: sealed session keys and the installation's own keys, apart from everything else.

It has an age limit of its own, since it alone decides for how long a shredded session could be brought back:
once the last key backup that is older than the shredding has gone, nobody can read the session again.

    <id>.tar.zst           every file below keys/ but the pin and the recovery key
    <id>.json and .sig     its SHA-256, signed

The pin of the log is left out on purpose. An old pin would say that the log ends where it does not: after a
loss nobody but the operator can know whether more was signed.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import zstandard

from lucid_sessions import archive
from lucid_sessions.durable import TEMPORARY_SUFFIX, blaming, remove_stray, sync_directory, write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.recordings import failpoints

from .retaining import made_us
from .signing import PIN, read_signed, write_signed

FORMAT = "lucid/1 keys"
LEFT_OUT = ("recovery/", "private/log.pin", "restoring.json")
SESSIONS = "sessions/"
UNREADABLE = (zstandard.ZstdError, tarfile.TarError)
# An unfinished file of this age has no writer any more: writing takes a second.
STRAY_SECONDS = 3600.0


@dataclass(frozen=True)
class Keys:
    """A directory of key backups of one repository, signed by one backup key."""

    root: Path
    repository: str
    public: str

    def keep(self, keys_root: Path, name: str, *, key: archive.Writer) -> int:
        """How many files of keys were put into the key backup `name`, which was read back."""
        self._clear()
        packed, count = _packed(keys_root)
        target = self.root / f"{name}.tar.zst"
        write_durably(target, packed)
        failpoints.reach("keys.packed")
        content = {
            "format": FORMAT,
            "version": 1,
            "repository": self.repository,
            "name": name,
            "sha256": hashlib.sha256(packed).hexdigest(),
            "files": count,
        }
        write_signed(self.root / f"{name}.json", content, key=key)
        if len(list(self._files(name))) != count:
            raise Retryable(f"{target} read back as another one. Check that disk; it does not count")
        return count

    def require_ours(self) -> None:
        """Refused when the key backups here are another installation's, or another backup key's."""
        names = self.names()
        strange = [name for name in names if not self._is_ours(name)]
        if any(self._claims(name) not in ("", self.repository) for name in strange):
            raise Refused(f"{self.root} holds key backups of another installation: name another directory")
        if names and strange == names:
            raise Refused(
                f"{self.root} was signed with another backup key (this installation's is "
                f"{self.public[:16]}…): bring keys/private/backup.key back, or name another directory"
            )

    def names(self) -> list[str]:
        """Every key backup here, oldest first."""
        with blaming("list", self.root):
            return sorted(path.name[: -len(".json")] for path in self.root.glob("[0-9]*.json"))

    def sessions(self, name: str) -> set[UUID]:
        """The sessions whose keys are in this key backup."""
        return {found for path, _ in self._files(name) if (found := _session_of(path))}

    def restore(self, name: str, keys_root: Path, *, without: frozenset[UUID]) -> list[str]:
        """The files that differ from the backup's, which lie beside them as *.from-backup.

        Missing ones are written. What is there may be newer (a password changed, a log succeeded), so it
        is never replaced.
        """
        differing = []
        for path, content in self._files_but(name, without):
            target = keys_root / path
            if not target.exists():
                write_durably(target, content)
            elif target.read_bytes() != content:
                write_durably(target.with_name(f"{target.name}.from-backup"), content)
                differing.append(path)
        return differing

    def complete(self, name: str, keys_root: Path, *, without: frozenset[UUID]) -> list[str]:
        """The keys of sessions that no other key backup had are brought from this one; why it has none."""
        try:
            for path, content in self._files_but(name, without):
                if _session_of(path) and not (keys_root / path).exists():
                    write_durably(keys_root / path, content)
        except Tampered as error:
            return [str(error)]
        return []

    def prune(self, *, before_us: int, least: int = 1) -> list[str]:
        """The key backups that were removed: made by then, or before such a one. The newest always stays;
        with `least` 0, where newer ones are made elsewhere, it goes too.

        The number says which came first: one that was made while the clock was ahead goes in its turn too.
        """
        names = self.names()
        names = names[: len(names) - least]
        due = [place for place, name in enumerate(names) if made_us(name) <= before_us]
        old = names[: due[-1] + 1] if due else []
        for name in old:
            for suffix in (".json", ".sig", ".tar.zst"):
                (self.root / f"{name}{suffix}").unlink(missing_ok=True)
        if old:
            sync_directory(self.root)
        return old

    def _claims(self, name: str) -> str:
        """The repository that a key backup says it is of, whoever signed it; empty when it is damaged."""
        path = self.root / f"{name}.json"
        with blaming("read", path):
            try:
                return str(json.loads(path.read_bytes())["repository"])
            except (ValueError, KeyError, TypeError):
                return ""

    def _is_ours(self, name: str) -> bool:
        """True when it is signed so, or else when the keys in it are: what is damaged is no stranger."""
        with suppress(Tampered):
            signed = read_signed(self.root / f"{name}.json", public=self.public)
            return bool(signed["repository"] == self.repository)
        with blaming("read", self.root), suppress(FileNotFoundError, ValueError, *UNREADABLE):
            files = dict(_unpacked((self.root / f"{name}.tar.zst").read_bytes()))
            return bool(json.loads(files.get(PIN, b"{}")).get("public") == self.public)
        return False

    def _clear(self) -> None:
        """What a dead process left unfinished goes: there are keys in it, and no age limit would reach it."""
        remove_stray(self.root, older_than_seconds=STRAY_SECONDS)
        finished = set(self.names())
        with blaming("clear", self.root):
            for path in (*self.root.glob("[0-9]*.tar.zst"), *self.root.glob("[0-9]*.sig")):
                if path.name.partition(".")[0] not in finished:
                    path.unlink(missing_ok=True)

    def _files_but(self, name: str, without: frozenset[UUID]) -> Iterator[tuple[str, bytes]]:
        for path, content in self._files(name):
            if _session_of(path) not in without and ".." not in Path(path).parts and not path.startswith("/"):
                yield path, content

    def _files(self, name: str) -> Iterator[tuple[str, bytes]]:
        about = read_signed(self.root / f"{name}.json", public=self.public)
        if about["repository"] != self.repository or about["name"] != name:
            raise Refused(f"{self.root / name} is a key backup of another installation")
        path = self.root / f"{name}.tar.zst"
        with blaming("read", path):
            packed = path.read_bytes()
        if hashlib.sha256(packed).hexdigest() != about["sha256"]:
            raise Tampered(f"{path} is not what was signed: it was changed or cut off")
        yield from _unpacked(packed)


def _unpacked(packed: bytes) -> Iterator[tuple[str, bytes]]:
    plain = zstandard.ZstdDecompressor().stream_reader(packed).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content.read()


def _packed(keys_root: Path) -> tuple[bytes, int]:
    plain, count = io.BytesIO(), 0
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path in _wanted(keys_root):
            with blaming("read", path):
                try:
                    content = path.read_bytes()
                except FileNotFoundError:
                    continue  # shredded a moment ago
            member = tarfile.TarInfo(str(path.relative_to(keys_root)))
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
            count += 1
    return zstandard.ZstdCompressor(level=3).compress(plain.getvalue()), count


def _wanted(keys_root: Path) -> Iterator[Path]:
    for folder, _, names in sorted(os.walk(keys_root)):
        for name in sorted(names):
            path = Path(folder, name)
            place = str(path.relative_to(keys_root))
            if not place.startswith(LEFT_OUT) and not name.endswith(
                (TEMPORARY_SUFFIX, ".lock", ".from-backup")
            ):
                yield path


def _session_of(path: str) -> UUID | None:
    if not path.startswith(SESSIONS):
        return None
    try:
        return UUID(path.split("/")[1])
    except ValueError:
        return None
