"""Is it what was sealed, is it all there, and can we prove it? Two verdicts: integrity, completeness.

Every answer is taken from the signed log down: checkpoint, record, body, leaf, blob. The database only says
where to look, so a changed row is found out as well as a changed blob. Without a key, signatures and hashes
are checked; `deep` also decrypts and compares with the hash of what was recorded.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from lucid_sessions import archive
from lucid_sessions.errors import LucidError, Refused, Tampered
from lucid_sessions.ledger import Log

from . import leaves
from .installation import Installation, identity, installation
from .lifecycle import State
from .models import Chunk, LedgerRecord, Session
from .playback import session_identity
from .writers import trusted_writers


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
    def verdict(self) -> str:
        """One line for a person."""
        how = "decrypted and compared" if self.deep else "hashes, signatures and proofs"
        state = "complete" if self.complete else "not sealed yet" if not self.sealed else "INCOMPLETE"
        word = "intact" if self.integrity else f"NOT INTACT ({len(self.findings)} found)"
        lost = f"{len(self.gaps)} gaps, {len(self.missing)} missing"
        return f"{word}, {state}: {self.checked} chunks ({how}), {lost}"


def verify(session: Session, *, deep: bool = False, world: Installation | None = None) -> Report:
    """The report on one session. `deep` needs ENCRYPTION_PASSWORD. Retryable when a store is away."""
    if deep:
        identity()  # a missing or wrong password is not a finding about the recording
    return _Examination(session, deep=deep, world=world or installation()).report()


@dataclass
class _Examination:
    session: Session
    deep: bool
    world: Installation
    _batches: dict[int, set[bytes]] = field(default_factory=dict)
    _keys: dict[str, archive.Identity] = field(default_factory=dict)

    @cached_property
    def _ledger(self) -> Log:
        return self.world.log()

    @cached_property
    def _writers(self) -> archive.Writers:
        return trusted_writers(self.world)

    def report(self) -> Report:
        report = Report(self.session.pk, deep=self.deep)
        try:
            tree = self._ledger.tree()
            tree.verify()
            report.checkpoint_size, report.root = tree.size, tree.root(tree.size).hex()
            sealed = self._sealed_leaves(report)
        except Tampered as error:
            report.findings.append(Finding("the ledger", str(error)))
            sealed = None
        rows = {(c.track, c.sequence): c for c in self._rows()}
        if sealed is None:
            sealed = [leaves.facts_of(chunk) for chunk in rows.values()]
        for leaf in sealed:
            report.checked += 1
            report.findings += self._problems(leaf, rows.pop((leaf["track"], leaf["sequence"]), None))
        report.findings += self._unsealed(rows.values(), report)
        return report

    def _rows(self) -> Iterator[Chunk]:
        rows = Chunk.objects.filter(session=self.session, state=State.ANCHORED)
        return rows.order_by("track", "sequence").iterator()

    def _sealed_leaves(self, report: Report) -> list[dict[str, Any]] | None:
        """The leaves of the newest seal, by the log itself; None when the session was never sealed."""
        key = f"sealed:{self.session.pk}:"
        newest = LedgerRecord.objects.filter(kind="sealed", key__startswith=key).order_by("-index").first()
        if newest is None:
            return None
        facts, body = self._from_log(newest.index)
        sealed: list[dict[str, Any]] = body["leaves"]
        root = archive.merkle_root([leaves.hash_of(leaf) for leaf in sealed]).hex()
        if (root, len(sealed), facts["session"]) != (facts["root"], facts["count"], str(self.session.pk)):
            raise Tampered(f"record {newest.index} does not seal what its body lists")
        report.sealed, report.revision = True, facts["revision"]
        report.missing, report.gaps = body["missing"], body["gaps"]
        return sealed

    def _from_log(self, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
        facts = json.loads(self._ledger.record(index))
        return facts, json.loads(self._ledger.read_body(facts["body"]))

    def _problems(self, leaf: dict[str, Any], row: Chunk | None) -> Iterator[Finding]:
        where, pk = name_of(leaf, row), row.pk if row else None
        if row is None:
            yield Finding(where, "is sealed in the ledger, but its row is gone from the database")
        elif leaves.facts_of(row) != leaf:
            yield Finding(where, "the database names another blob than the ledger", pk)
        try:
            self._check_blob(leaf)
            if row is not None:
                self._check_batch(leaf, row)
        except (Tampered, Refused) as error:
            yield Finding(where, str(error), pk)

    def _check_blob(self, leaf: dict[str, Any]) -> None:
        blob = self.world.blobs.get(leaf["blob"])
        if hashlib.sha256(blob).hexdigest() != leaf["blob"]:
            raise Tampered(f"its blob {leaf['blob'][:16]}… was changed: the bytes no longer have that hash")
        if len(blob) != leaf["length"]:
            raise Tampered("its blob has another length than the ledger says")
        place = archive.Place(
            self.world.keys.repository, UUID(leaf["session"]), leaf["track"], leaf["sequence"]
        )
        if self.deep:
            archive.open_blob(blob, place=place, identity=self._key(leaf["track"]), writers=self._writers)
        else:
            archive.verify_blob(blob, place=place, writers=self._writers)

    def _check_batch(self, leaf: dict[str, Any], row: Chunk) -> None:
        if row.record is None:
            raise Tampered("it is marked as anchored without naming a record of the log")
        if row.record not in self._batches:
            facts, body = self._from_log(row.record)
            hashes = [leaves.hash_of(one) for one in body["leaves"]]
            if archive.merkle_root(hashes).hex() != facts["root"]:
                raise Tampered(f"record {row.record} has another root than its body")
            self._batches[row.record] = set(hashes)
        if leaves.hash_of(leaf) not in self._batches[row.record]:
            raise Tampered(f"record {row.record} of the log does not hold this chunk")

    def _key(self, track: str) -> archive.Identity:
        if track not in self._keys:
            self._keys[track] = session_identity(self.session.pk, track, world=self.world)
        return self._keys[track]

    def _unsealed(self, rows: Any, report: Report) -> Iterator[Finding]:
        """Chunks that the newest seal does not list: they came later, and the next revision will."""
        for row in list(rows) if report.sealed else []:
            report.checked += 1
            yield from self._problems(leaves.facts_of(row), row)


def verify_log(world: Installation | None = None) -> Report:
    """The report on the whole log: every tile, every record's row, every checkpoint that was ever signed."""
    world = world or installation()
    report = Report(None, sealed=True)
    ledger = world.log()
    try:
        tree = ledger.tree()
        tree.verify()
        report.checkpoint_size, report.root = tree.size, tree.root(tree.size).hex()
        for row in LedgerRecord.objects.filter(index__lt=tree.size).order_by("index").iterator():
            report.checked += 1
            if tree.record(row.index).decode() != row.entry:
                report.findings.append(
                    Finding(f"record {row.index}", "the database says another thing than the log")
                )
    except LucidError as error:
        report.findings.append(Finding("the ledger", str(error)))
    return report


def name_of(leaf: dict[str, Any], row: Chunk | None) -> str:
    """How a person finds the chunk: track, take, number, and its time when that is known."""
    sequence = leaf["sequence"]
    name = f"chunk {sequence & 0xFFFFFFFF} of take {sequence >> 32}, track {leaf['track']}"
    if row is None:
        return name
    return f"{name} ({row.start_us / 1e6:.1f} s to {row.end_us / 1e6:.1f} s)"
