"""Rows from ledger, blobs, keys and spool: all that is needed when the database is older than they, or gone.

A leaf says session, track, number, blob and length; the blob's header says codec, lengths and time; opened,
the blob says its exact place on the timeline. What is in none of these is lost: names, owners, users. Nothing
here is believed unproven: records come from the signed log, blobs are verified by signature and hash.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.errors import LucidError, Refused, Tampered
from lucid_sessions.recordings import adoption, failpoints, intake, ledger_rows, session_keys
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import ARCHIVED, BAD_BLOB, UNFINISHED, State, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, LedgerRequest, Session, SessionKey
from lucid_sessions.recordings.retention import RECOVERED
from lucid_sessions.recordings.spool_files import adopted_takes

from . import session_rows
from .blob_reader import BlobReader
from .hold_rows import hold_again

Leaves = dict[UUID, list[dict[str, Any]]]


@dataclass(frozen=True)
class Shredded:
    """Sessions that may not come back: by the log, and those whose shredding had begun but not ended."""

    recorded: frozenset[UUID] = frozenset()
    begun: frozenset[UUID] = frozenset()

    @property
    def all(self) -> frozenset[UUID]:
        return self.recorded | self.begun


@dataclass
class Recovered:
    """What was made anew, and what could not be."""

    records: int = 0
    sessions: int = 0
    chunks: int = 0
    opened: int = 0
    spooled: int = 0
    lost: list[str] = field(default_factory=list)


def unlock(world: Installation) -> archive.Identity | None:
    """The key that opens recordings, from the settings or the embedded profile's files; None without one."""
    found = []
    for name, value in (
        ("encryption_password", settings.ENCRYPTION_PASSWORD),
        ("encryption_salt", settings.ENCRYPTION_SALT),
    ):
        path = world.keys_root / "secrets" / name
        found.append(value or (path.read_text(encoding="ascii").strip() if path.is_file() else ""))
    return world.keys.unlock(*found) if found[0] else None


@dataclass
class Recovery:
    """Brings the rows of one installation up to what its log, store, keys and spool say."""

    world: Installation
    shredded: Shredded
    unlock: Callable[[], archive.Identity | None]
    done: Recovered = field(default_factory=Recovered)
    # Why there is no blob, by session, track and number, of what the log names.
    _lost: dict[tuple[UUID, str, int], str] = field(default_factory=dict)

    @cached_property
    def _reader(self) -> BlobReader:
        return BlobReader(self.world, self.unlock)

    def forward(self) -> Recovered:
        """A restored database, older than the log: the records, chunks and sessions since then."""
        log, before = self.world.log(), ledger_rows.tail()
        ledger_rows.replay(log)
        self.done.records = ledger_rows.tail() - before
        failpoints.reach("recovery.replayed")
        self.bury()
        # What is not applied yet includes what an earlier run, which died, has replayed.
        self._file(self._leaves(LedgerRecord.objects.filter(applied=False)))
        self._file(self._unanchored())
        self._spooled()
        hold_again()
        self._seals(LedgerRecord.objects.filter(applied=False))
        ledger_rows.apply_all(log)
        self.done.opened = self._reader.opened
        return self.done

    def rebuild(self) -> Recovered:
        """An empty database: everything, from the first record to the last file in the spool."""
        log = self.world.log()
        ledger_rows.replay(log)
        self.done.records = ledger_rows.tail()
        self._requests()
        failpoints.reach("recovery.replayed")
        self.bury()
        self._file(self._leaves(LedgerRecord.objects.all()))
        self._file(self._unanchored())
        self._spooled()
        hold_again()
        self._seals(LedgerRecord.objects.all())
        session_rows.close_all()
        ledger_rows.apply_all(log)
        self.done.opened = self._reader.opened
        return self.done

    def bury(self) -> None:
        """Shredded sessions are gone before anything of them could be filed, and stay so."""
        for session in sorted(self.shredded.all):
            target = Status.DELETED if session in self.shredded.recorded else Status.EXPIRING
            session_rows.bury(session, target)
        failpoints.reach("recovery.buried")

    def _leaves(self, records: Any) -> Leaves:
        """By session, what these batches say is in the archive."""
        found: Leaves = defaultdict(list)
        for record in records.filter(kind="batch").order_by("index"):
            for leaf in ledger_rows.read_body(self.world.log(), record)["leaves"]:
                found[UUID(leaf["session"])].append({**leaf, "record": record.index})
        return found

    def _spooled(self) -> None:
        """What the spool has is filed first: its own markers tell more exactly what a seal tells, too.

        Of a session that came no further than there, it is all that is left.
        """
        takes = (*self.world.spool.takes(), *adopted_takes(self.world.spool_root))
        spooled = {session for session, _, _ in takes} - self.shredded.all
        for session in sorted(spooled):
            self._session(session)
        self.done.spooled = len(intake.Intake(self.world.spool).scan())
        adopted = adoption.file_again(self.world)
        self.done.spooled += adopted.segments
        self.done.lost += adopted.problems
        for session in Session.objects.filter(source=RECOVERED).values_list("pk", flat=True):
            if session in spooled:
                session_rows.take_in(session, spool=self.world.spool.identity)
        self._keep_segments()
        failpoints.reach("recovery.spooled")

    def _keep_segments(self) -> None:
        """Segments whose blobs are lost are not released once their chunks count as anchored."""
        for (session, track, sequence), why in self._lost.items():
            rows = Chunk.objects.filter(session=session, track=track, sequence=sequence, state__in=UNFINISHED)
            kept = {"quarantined_at": timezone.now(), "reason": f"{BAD_BLOB}{why}"}
            rows.update(**kept, token="", lease_until=None, fence=F("fence") + 1)

    def _seals(self, records: Any) -> None:
        """What these seals say beside their chunks; the newest first, which knows best where takes ended."""
        for record in records.filter(kind="sealed").order_by("-index"):
            session = UUID(json.loads(record.entry)["session"])
            if session not in self.shredded.all:
                self._session(session)
            session_rows.follow_seal(session, ledger_rows.read_body(self.world.log(), record))

    def _requests(self) -> None:
        """What was asked for and granted: else it would be asked for, and appended, a second time."""
        asked = LedgerRecord.objects.exclude(kind__in=("batch", "sealed"))
        for record in asked.order_by("index"):
            facts = {
                name: value
                for name, value in json.loads(record.entry).items()
                if name not in ("v", "kind", "key", "time_us", "body")
            }
            LedgerRequest.objects.update_or_create(
                key=record.key, defaults={"kind": record.kind, "facts": facts, "record": record.index}
            )

    def _file(self, found: Leaves) -> None:
        for session in sorted(found.keys() - self.shredded.all):
            self._session(session)
            rows = {(row.track, row.sequence): row for row in Chunk.objects.filter(session=session)}
            for leaf in sorted(found[session], key=lambda one: (one["track"], one["sequence"])):
                row = rows.get((leaf["track"], leaf["sequence"]))
                if not _is_there(row, leaf):
                    self._store(leaf, row)
            session_rows.take_in(session, spool=self.world.spool.identity)
        failpoints.reach("recovery.filed")

    def _session(self, session: UUID) -> None:
        """The session has its row, and its keys' rows as far as statements are there."""
        if not Session.objects.filter(pk=session).exists():
            session_rows.create(session, status=Status.PROCESSING)
            self.done.sessions += 1
        for statement in self._born.get(session, []):
            facts = {"public": statement.public.hex(), "statement": statement.to_bytes()}
            SessionKey.objects.get_or_create(session_id=session, track=statement.track, defaults=facts)

    def _store(self, leaf: dict[str, Any], row: Chunk | None) -> None:
        """The row of this leaf stands at STORED; without its blob it is reported, and not made."""
        session, track, sequence = UUID(leaf["session"]), leaf["track"], leaf["sequence"]
        try:
            blob, facts = self._reader.stored(leaf)
            where = self._reader.place_in_time(leaf, blob, facts) if row is None else {}
        except (Tampered, Refused) as error:
            self.done.lost.append(f"chunk {sequence} of track {track}, session {session}: {error}")
            if "record" in leaf:
                self._lost[session, track, sequence] = str(error)
            return
        if row is not None:
            mine = Chunk.objects.filter(pk=row.pk, state=row.state, fence=row.fence)
            mine.update(fence=F("fence") + 1, quarantined_at=None, token="", lease_until=None, **facts)
        else:
            Chunk.objects.create(
                session_id=session,
                track=track,
                sequence=sequence,
                spool=self.world.spool.identity,
                path=self._in_spool.get((session, track, sequence), ""),
                **facts,
                **where,
            )
        self.done.chunks += row is None or row.state != State.STORED

    def _unanchored(self) -> Leaves:
        """Blobs that no record names yet, by session: told by their headers and the statements we have."""
        found: Leaves = defaultdict(list)
        known = set(Chunk.objects.values_list("blob", flat=True))
        bindings = {
            archive.session_binding(session, one.track): one
            for session, born in self._born.items()
            for one in born
        }
        for name in self.world.blobs.names():
            if name in known:
                continue
            try:
                header = archive.read_header(self.world.blobs.start(name, archive.HEADER))
            except Tampered as error:
                self.done.lost.append(f"blob {name}: {error}")
                continue
            if one := bindings.get(header.binding):
                leaf = {"session": str(one.session), "track": one.track, "sequence": header.sequence}
                found[one.session].append({**leaf, "blob": name, "length": self.world.blobs.size(name)})
        return found

    @cached_property
    def _born(self) -> dict[UUID, list[archive.Statement]]:
        """By session, the statements of its keys that lie beside the sealed ones, verified."""
        found: dict[UUID, list[archive.Statement]] = defaultdict(list)
        for statement in self._statements():
            found[statement.session].append(statement)
        return found

    def _statements(self) -> Iterator[archive.Statement]:
        for directory in sorted((self.world.keys_root / "sessions").glob("*/")):
            try:
                for content in session_keys.statements(directory):
                    if statement := self._verified(content, directory.name):
                        yield statement
            except LucidError as error:
                self.done.lost.append(str(error))

    def _verified(self, content: bytes, session: str) -> archive.Statement | None:
        try:
            statement = archive.Statement.from_bytes(content)
            statement.verify(self.world.keys.creator_public)
        except LucidError as error:
            self.done.lost.append(f"a statement of session {session}: {error}")
            return None
        return statement

    @cached_property
    def _in_spool(self) -> dict[tuple[UUID, str, int], str]:
        """Where the spool still has a segment."""
        spool = self.world.spool
        folders = [folder for _, _, folder in (*adopted_takes(spool.root), *spool.takes())]
        return {
            (name.session, name.track, name.sequence): str(path.relative_to(spool.root))
            for folder in folders
            for path, name in spool.segments(folder)
        }


def _is_there(row: Chunk | None, leaf: dict[str, Any]) -> bool:
    """True where nothing is to be done. What was only stored is looked at: its blob may be lost since."""
    if row is None or row.state not in (*ARCHIVED, State.EXPIRED):
        return False
    return row.state != State.STORED or row.blob != leaf["blob"]
