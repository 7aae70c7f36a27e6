"""Is it what was sealed, is it all there, and can we prove it? Two verdicts: integrity, completeness.

Every answer is taken from the signed log down: checkpoint, record, body, leaf, blob. The database only says
where to look, so a changed row is found out as well as a changed blob. Without a key, signatures and hashes
are checked; `deep` also decrypts and compares with the hash of what was recorded.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.blobs import read
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger import Log

from . import anchoring, leaves, seals
from .accounted import unaccounted
from .installation import Installation, identity, installation
from .leaves import Row
from .lifecycle import State, Status
from .models import Checkpoint, Chunk, LedgerRecord, Session
from .playback import Passed, session_identity
from .proven import ProvenLog
from .tombstones import GONE

# The log is walked once, record by record: so many of them are a step.
RECORDS_A_STEP = 1000


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was sealed: where, what, and the chunk when it is one."""

    where: str
    problem: str
    chunk: UUID | None = None


@dataclass
class Report:
    """The verdicts on one session, and what they rest on."""

    session: UUID | None
    checked: int = 0
    deep: bool = False
    sealed: bool = False
    revision: int = 0
    root: str = ""
    checkpoint_size: int = 0
    # The signed note: by it others see which log this was, and how far it went.
    checkpoint: str = ""
    verified_at: datetime = field(default_factory=timezone.now)
    # Index of the record that says that the session was shredded; then only proofs are left to check.
    shredded: int | None = None
    findings: list[Finding] = field(default_factory=list)
    missing: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def integrity(self) -> bool:
        """Nothing that was looked at differs from what was sealed."""
        return not self.findings

    @property
    def complete(self) -> bool:
        """The session is sealed and no segment of it is missing (gaps in the recording are named apart)."""
        return self.sealed and not self.missing

    @property
    def sound(self) -> bool:
        """Nothing differs and nothing is missing, as far as it is sealed."""
        return self.integrity and not self.missing

    @property
    def verdict(self) -> str:
        """One line for a person."""
        if self.shredded is not None and self.integrity:
            what = f"{self.checked} chunks are proven to have existed, and none of them is left"
            return f"shredded (record {self.shredded} of the log): {what}"
        how = "decrypted and compared" if self.deep else "hashes, signatures and proofs"
        state = "complete" if self.complete else "not sealed yet" if not self.sealed else "INCOMPLETE"
        word = "intact" if self.integrity else f"NOT INTACT ({len(self.findings)} found)"
        lost = f"{len(self.gaps)} gaps, {len(self.missing)} missing"
        what = "records" if self.session is None else "chunks"
        return f"{word}, {state}: {self.checked} {what} ({how}), {lost}"


def verify(
    session: Session,
    *,
    deep: bool = False,
    world: Installation | None = None,
    passed: Passed = lambda: None,
    report: Report | None = None,
) -> Report:
    """The report on one session. `deep` needs ENCRYPTION_PASSWORD. Retryable when a store is away.

    Of a shredded session the proofs are checked, and that nothing of it is left. `passed` is called for each
    step of `length`, and may raise to end it there; a `report` that was handed in then holds what was found.
    """
    if deep:
        identity()  # a missing or wrong password is not a finding about the recording
    report = report or Report(session.pk)
    report.deep = deep
    _Examination(session, deep=deep, world=world or installation(), passed=passed).fill(report)
    return report


def was_shredded_since(session: Session) -> bool:
    """Whether that was begun after the session was read: what is missing of it is gone for that reason."""
    now = Session.objects.filter(pk=session.pk).values_list("status", flat=True).first()
    return now in GONE and session.status not in GONE


def length(session: Session) -> int:
    """About how many steps it takes to verify the session: its chunks, and the log that is walked first."""
    records = Checkpoint.objects.values_list("size", flat=True).first() or 0
    return Chunk.objects.filter(session=session, state=State.ANCHORED).count() + records // RECORDS_A_STEP


@dataclass
class _Examination:
    session: Session
    deep: bool
    world: Installation
    passed: Passed
    _keys: dict[str, archive.Identity] = field(default_factory=dict)

    @cached_property
    def _log(self) -> ProvenLog:
        return ProvenLog(self.world, fresh=True)

    def fill(self, report: Report) -> None:
        try:
            self._log.tree.verify()
            size = self._log.tree.size
            report.checkpoint_size, report.root = size, self._log.tree.root(size).hex()
            report.checkpoint = self._log.note
            report.findings += _rolled_back(self._log.ledger)
            self._walk()
            report.shredded = self._log.index.shredded.get(str(self.session.pk))
            sealed = self._sealed_leaves(report)
        except (Tampered, Refused) as error:
            report.findings.append(Finding("the ledger", str(error)))
            return
        self._require_settled(report)
        rows = {(c.track, c.sequence): c for c in self._rows(report)}
        for leaf in sealed:
            self._check(leaf, rows.pop((leaf["track"], leaf["sequence"]), None), report)
        for row in rows.values():
            # Not in the newest seal: the next revision will list it. Its own batch must hold it already,
            # unless the sealer has not published that yet.
            if row.record is None or row.record < size:
                self._check(leaves.facts_of(row), row, report)
        self._require_still_there(report)

    def _walk(self) -> None:
        """The log's index, made in steps: of millions of records that takes minutes."""
        log = self._log.walk(RECORDS_A_STEP)
        while log.index.size < log.tree.size:
            self.passed()
            log.index.grow(log.tree, most=RECORDS_A_STEP)

    def _require_settled(self, report: Report) -> None:
        """Whether it was shredded is for the log to say; the row only says that it is on its way there."""
        if report.shredded is None and self.session.status == Status.EXPIRING:
            raise Retryable(
                f'Session "{self.session.name}" is being shredded: verify it when that is recorded.'
            )

    def _require_still_there(self, report: Report) -> None:
        """What was shredded while it was verified is gone for that reason: no finding, and no alarm."""
        if report.findings and was_shredded_since(self.session):
            raise Retryable(
                f'Session "{self.session.name}" was shredded meanwhile: verify it when that is recorded.'
            )

    def _rows(self, report: Report) -> Iterator[Row]:
        rows = Chunk.objects.filter(session=self.session, state=State.ANCHORED)
        if report.shredded is not None:
            rows = Chunk.objects.filter(session=self.session, state=State.EXPIRED, record__isnull=False)
        ordered = rows.order_by("track", "sequence").values_list(*Row._fields)
        return (Row(*values) for values in ordered.iterator())

    def _sealed_leaves(self, report: Report) -> list[dict[str, Any]]:
        """The leaves of the newest seal, by the log itself; none when the session was never sealed."""
        found = self._log.seal(str(self.session.pk))
        if found is None:
            return []
        facts, body = found
        report.sealed, report.revision = True, facts["revision"]
        report.missing, report.gaps = body["missing"], body["gaps"]
        for leaf, problem in seals.contradictions(self._log, str(self.session.pk)):
            report.findings.append(Finding(name_of(leaf, None), problem))
        sealed: list[dict[str, Any]] = body["leaves"]
        return sealed

    def _check(self, leaf: dict[str, Any], row: Row | None, report: Report) -> None:
        self.passed()
        report.checked += 1
        report.findings += self._problems(leaf, row, shredded=report.shredded is not None)

    def _problems(self, leaf: dict[str, Any], row: Row | None, *, shredded: bool) -> Iterator[Finding]:
        where, pk = name_of(leaf, row), row.pk if row else None
        if row is None:
            yield Finding(where, "is sealed in the ledger, but its row is gone from the database")
        elif leaves.facts_of(row) != leaf:
            yield Finding(where, "the database names another blob than the ledger", pk)
        try:
            if shredded:
                self._check_gone(leaf)
            else:
                self._check_blob(leaf, record=row.record if row else None)
            if row is not None:
                self._log.must_hold(leaf, row.record)
        except (Tampered, Refused) as error:
            yield Finding(where, str(error), pk)

    def _check_gone(self, leaf: dict[str, Any]) -> None:
        if self.world.blobs.exists(leaf["blob"]):
            raise Tampered("its session was shredded, but its blob is in the store (without a key)")

    def _check_blob(self, leaf: dict[str, Any], *, record: int | None) -> None:
        writers = self._log.writers(record)
        blob = read(leaf["blob"], source=self.world.blobs)
        if hashlib.sha256(blob).hexdigest() != leaf["blob"]:
            raise Tampered(f"its blob {leaf['blob'][:16]}… was changed: the bytes no longer have that hash")
        if len(blob) != leaf["length"]:
            raise Tampered("its blob has another length than the ledger says")
        place = archive.Place(
            self.world.keys.repository, UUID(leaf["session"]), leaf["track"], leaf["sequence"]
        )
        if self.deep:
            archive.open_blob(blob, place=place, identity=self._key(leaf["track"]), writers=writers)
        else:
            archive.verify_blob(blob, place=place, writers=writers)

    def _key(self, track: str) -> archive.Identity:
        if track not in self._keys:
            self._keys[track] = session_identity(self.session.pk, track, world=self.world)
        return self._keys[track]


def verify_log(world: Installation | None = None) -> Report:
    """The report on the whole log: tiles, signature, that the database has each record as it is, and that
    of each session which was sealed it has the row, unless the log says that it was shredded."""
    world = world or installation()
    report = Report(None, sealed=True)
    try:
        log = ProvenLog(world)
        tree = log.tree
        tree.verify()
        report.findings += _rolled_back(log.ledger)
        report.findings += [Finding("the ledger", problem) for problem in anchoring.findings(log.ledger)]
        report.checkpoint_size, report.root = tree.size, tree.root(tree.size).hex()
        report.checkpoint = log.note
        rows = iter(LedgerRecord.objects.filter(index__lt=tree.size).order_by("index").iterator())
        row = next(rows, None)
        for number in range(tree.size):
            report.checked += 1
            said, row = (row.entry, next(rows, None)) if row and row.index == number else (None, row)
            if said != tree.record(number).decode():
                problem = "is gone from" if said is None else "says another thing in"
                report.findings.append(Finding(f"record {number}", f"{problem} the database"))
        report.findings += [Finding(where, problem) for where, problem in unaccounted(world, log)]
    except Tampered as error:
        report.findings.append(Finding("the ledger", str(error)))
    return report


def _rolled_back(ledger: Log) -> Iterator[Finding]:
    """A finding if the newest signed checkpoint that the database has is not of this log's past."""
    for note in Checkpoint.objects.order_by("-size").values_list("note", flat=True).iterator():
        if not note.startswith(f"{ledger.origin}\n"):
            continue  # of a log that this one continues
        with suppress(Tampered):
            archive.open_checkpoint(note, ledger.vkey)
            try:
                ledger.at(note.encode())
            except Tampered as error:
                yield Finding("the ledger", str(error))
            return


def name_of(leaf: dict[str, Any], row: Row | None) -> str:
    """How a person finds the chunk: track, take, number, and its time when that is known."""
    sequence = leaf["sequence"]
    name = f"chunk {sequence & 0xFFFFFFFF} of take {sequence >> 32}, track {leaf['track']}"
    if row is None:
        return name
    return f"{name} ({row.start_us / 1e6:.1f} s to {row.end_us / 1e6:.1f} s)"
