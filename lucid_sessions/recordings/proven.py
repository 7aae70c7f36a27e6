"""What the signed log itself says: which seals, batches and writers there are. Rows are never asked.

Whoever can write the database must not be able to name a writer, hide a seal, or claim an anchor. So
everything here is read from the log at one checkpoint, and each record is shown to be in it.
"""

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from lucid_sessions import archive
from lucid_sessions.errors import Refused, Tampered
from lucid_sessions.ledger import Log, Tree

from . import leaves
from .installation import Installation


@dataclass
class Index:
    """The records of a log that others are found by, up to a size."""

    size: int = 0
    # Session id to the indices of its seals, oldest first.
    seals: dict[str, list[int]] = field(default_factory=dict)
    shredded: dict[str, int] = field(default_factory=dict)
    # Index of each `writer-added` record, with the writer's public key.
    writers: dict[int, bytes] = field(default_factory=dict)
    # Key id of a revoked writer to the smallest log size from which its blobs no longer count.
    revoked: dict[bytes, int] = field(default_factory=dict)
    # Index of each record that says so.
    revocations: list[int] = field(default_factory=list)
    # Index of each batch of the audit to the heads and bodies that records name for it (several only
    # where an older database was restored and went on).
    audits: dict[int, set[tuple[str, str]]] = field(default_factory=dict)
    _growing: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def grow(self, tree: Tree, *, most: int | None = None) -> "Index":
        """Take in the records from `size` to the tree's, at most so many; of an older tree there are none."""
        with self._growing:
            end = tree.size if most is None else min(tree.size, self.size + most)
            for number in range(self.size, end):
                self._note(number, json.loads(tree.record(number)))
                self.size = number + 1
        return self

    def _note(self, number: int, facts: dict[str, Any]) -> None:
        if facts["kind"] == "sealed":
            self.seals.setdefault(facts["session"], []).append(number)
        elif facts["kind"] == "shredded":
            self.shredded[facts["session"]] = number
        elif facts["kind"] == "writer-added":
            self.writers[number] = bytes.fromhex(facts["public"])
        elif facts["kind"] == "writer-revoked":
            # The smallest counts: a later record takes no chunk's refusal back.
            key_id, size = bytes.fromhex(facts["key_id"]), int(facts["size"])
            self.revoked[key_id] = min(size, self.revoked.get(key_id, size))
            self.revocations.append(number)
        elif facts["kind"] == "audit" and "batch" in facts:
            self.audits.setdefault(facts["batch"], set()).add((facts["head"], facts["body"]))


@lru_cache(maxsize=8)
def _index(_root: Path, _vkey: str) -> Index:
    return Index()


class ProvenLog:
    """The log of an installation at one checkpoint.

    `fresh` reads every record again; otherwise what this process has read before is built upon, which is
    for playing, where a look at the newest record should not cost a walk over all.
    """

    def __init__(self, world: Installation, *, fresh: bool = False) -> None:
        self.world = world
        self.ledger: Log = world.log()
        self.note, self.tree = self.ledger.published()
        self._fresh = fresh
        self._last_batch: tuple[int, frozenset[bytes]] | None = None

    def stand_at(self, note: bytes) -> None:
        """From now on prove by this older checkpoint; Tampered unless it is one of this log's past."""
        self.tree, self.note = self.ledger.at(note), note.decode()

    @cached_property
    def index(self) -> Index:
        """Where the seals and writers are."""
        return self._known().grow(self.tree)

    def walk(self, most: int) -> "ProvenLog":
        """This, with an index that may not reach the end yet: it has come on by at most so many records."""
        self.index = self._known().grow(self.tree, most=most)
        return self

    def _known(self) -> Index:
        return Index() if self._fresh else _index(self.world.ledger_root, self.world.keys.log_vkey)

    def record(self, number: int) -> dict[str, Any]:
        """What a record says; Tampered unless it is in the log."""
        try:
            facts: dict[str, Any] = json.loads(self.tree.record(number))
        except Refused as error:
            raise Tampered(f"the log has no record {number}") from error
        return facts

    def body(self, facts: dict[str, Any]) -> dict[str, Any]:
        """The body that a record names; Tampered when it is not that."""
        content: dict[str, Any] = json.loads(self.ledger.read_body(facts["body"]))
        return content

    def seals(self, session: str, *, also: Iterable[int] = ()) -> list[int]:
        """The indices of a session's seals at this checkpoint, oldest first.

        `also` are further places to look at, for whoever has not walked the whole log.
        """
        known = self.index.seals.get(session, [])
        looked = [n for n in also if 0 <= n < self.tree.size and _seals(self.record(n), session)]
        return sorted({*looked, *(number for number in known if number < self.tree.size)})

    def seal(self, session: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The newest seal of a session and its body, which make the same root; None when there is none."""
        numbers = self.seals(session)
        return self.seal_at(numbers[-1]) if numbers else None

    def seal_at(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The seal at this index of the log and its body, which make the same root."""
        facts = self.record(number)
        body = self.body(facts)
        root = archive.merkle_root([leaves.hash_of(leaf) for leaf in body["leaves"]]).hex()
        if (root, len(body["leaves"])) != (facts["root"], facts["count"]):
            raise Tampered(f"record {number} does not seal what its body lists")
        return facts, body

    def batch(self, number: int) -> frozenset[bytes]:
        """The leaf hashes that a batch record anchors; Tampered when record and body disagree."""
        if not self._fresh:
            return _known_batch(self, number)
        # Chunks are looked at in their order, and one batch may have thousands.
        if self._last_batch is None or self._last_batch[0] != number:
            self._last_batch = number, _batch(self, number)
        return self._last_batch[1]

    def must_hold(self, leaf: dict[str, Any], record: int | None) -> None:
        """Nothing, if the batch at this index of the log holds the leaf; Tampered if it does not."""
        if record is None:
            raise Tampered("it is marked as anchored without naming a record of the log")
        if leaves.hash_of(leaf) not in self.batch(record):
            raise Tampered(f"record {record} of the log does not hold this chunk")

    def writers(self, record: int | None) -> archive.Writers:
        """Key id to public key of the writers whose signature counts for a chunk anchored by `record`.

        A revoked writer's chunks count only below the size that its revocation names.
        """
        known = {archive.key_id(public): public for public in self._named()}
        for key_id, size in list(self.index.revoked.items()):
            if record is None or record >= size:
                known.pop(key_id, None)
        return known

    def _named(self) -> list[bytes]:
        # The installation's own writer is pinned in its configuration, so that a new log can begin.
        own = [bytes.fromhex(one["public"]) for one in self.world.keys.public["writers"]]
        return [*own, *self.index.writers.values()]


def _seals(facts: dict[str, Any], session: str) -> bool:
    return facts["kind"] == "sealed" and facts["session"] == session


def _batch(log: ProvenLog, number: int) -> frozenset[bytes]:
    facts = log.record(number)
    hashes = [leaves.hash_of(leaf) for leaf in log.body(facts)["leaves"]]
    if facts["kind"] != "batch" or archive.merkle_root(hashes).hex() != facts["root"]:
        raise Tampered(f"record {number} is no batch, or has another root than its body")
    return frozenset(hashes)


_batches: dict[tuple[Path, str, int], frozenset[bytes]] = {}
_MOST_BATCHES = 256


def _known_batch(log: ProvenLog, number: int) -> frozenset[bytes]:
    """As `_batch`; what a record of the log says never changes, so it is read once in a while only."""
    key = (log.world.ledger_root, log.world.keys.log_vkey, number)
    if key not in _batches:
        if len(_batches) >= _MOST_BATCHES:
            _batches.clear()
        _batches[key] = _batch(log, number)
    return _batches[key]
