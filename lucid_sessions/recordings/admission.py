"""What may enter the log. Whoever can write the database can ask for much: no more than this is signed.

Asked before a record is appended, and again before it is published, since records have rows as well. What
a batch says of chunks that are sealed, and a seal of its session, has to agree with the log as it is.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from lucid_sessions import archive
from lucid_sessions.errors import Refused, Tampered

from . import seals
from .installation import Installation
from .keyring import Keyring
from .models import LedgerRecord, Session
from .proven import ProvenLog

Facts = dict[str, Any]

# What the sealer says of every record.
OWN = ("v", "kind", "key", "time_us", "body")


def require_askable(kind: str, key: str, facts: Facts, *, world: Installation) -> None:
    """Nothing, if a row may ask for this record; else Refused."""
    if kind not in ASKABLE or not isinstance(facts, dict):
        raise Refused(f"a record of kind {kind} is not made because a row asks for it")
    prefixes, check = ASKABLE[kind]
    if key.partition(":")[0] not in prefixes:
        raise Refused(f"a record of kind {kind} has no key like {key}")
    mine = [name for name in OWN if name in facts and (name, kind) != ("body", "audit")]
    if mine:
        raise Refused(f"what a record says as {mine[0]} is for the sealer to say")
    try:
        check(facts, world)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"a record of kind {kind} that says this could not be read: {error!r}") from error


def _about_a_session(facts: Facts, _world: Installation) -> None:
    if str(UUID(str(facts["session"]))) != facts["session"]:
        raise Refused("it names its session in another spelling than the log's")


def _about_a_hold(facts: Facts, world: Installation) -> None:
    _about_a_session(facts, world)
    if not {"hold", "by", "at_us"} <= facts.keys():
        raise Refused("it does not say which hold, by whom and when")


def _audit(facts: Facts, _world: Installation) -> None:
    if ("batch" in facts or "body" in facts) and not isinstance(facts["batch"], int):
        raise Refused("it numbers no batch")
    for name in ("head", "body"):
        if "batch" in facts and len(bytes.fromhex(facts[name])) != 32:
            raise Refused(f"its {name} is no SHA-256")


def _writer(facts: Facts, world: Installation) -> None:
    if facts not in _repository(world)["writers"]:
        raise Refused(f"repository.json names no writer {facts['key_id']}: the database cannot name one")


def _revoked(facts: Facts, world: Installation) -> None:
    if facts not in _repository(world).get("revoked", []):
        raise Refused(f"repository.json does not revoke {facts['key_id']}: the database cannot")


def _continues(facts: Facts, world: Installation) -> None:
    former = [(one["origin"], one["vkey"]) for one in _repository(world).get("former_logs", [])]
    if (facts["origin"], facts["vkey"]) not in former:
        raise Refused("repository.json names no such former log")
    if world.log().tree().root(facts["size"]).hex() != facts["root"]:
        raise Refused("the log that it continues had another root")


def _repository(world: Installation) -> Facts:
    # Read anew: it may name what it did not when this process began.
    return Keyring(world.keys_root).public


# What rows ask for: how the keys begin, and what else has to hold.
ASKABLE: dict[str, tuple[tuple[str, ...], Callable[[Facts, Installation], None]]] = {
    "audit": (("audit", "connected"), _audit),
    "continues": (("continues",), _continues),
    "held": (("held",), _about_a_hold),
    "released": (("released",), _about_a_hold),
    "shredded": (("shredded",), _about_a_session),
    "writer-added": (("writer-added",), _writer),
    "writer-revoked": (("writer-revoked",), _revoked),
}


class Sealed:
    """What is sealed of some sessions, by the log; their rows only say where to look, too."""

    def __init__(self, log: ProvenLog, sessions: Iterable[UUID | str]) -> None:
        self._log = log
        rows = Session.objects.filter(pk__in={str(pk) for pk in sessions}, sealed_record__isnull=False)
        self._rows = {str(pk): number for pk, number in rows.values_list("pk", "sealed_record")}
        self._places: dict[str, dict[seals.Place, Facts]] = {}

    def newest(self, session: UUID | str) -> int | None:
        """The index of the session's newest seal; None when it has none."""
        hint = self._rows.get(str(session))
        numbers = self._log.seals(str(session), also=[] if hint is None else [hint])
        return numbers[-1] if numbers else None

    def otherwise(self, leaf: Facts) -> bool:
        """True when the leaf's place is sealed with another leaf."""
        session = leaf["session"]
        if session not in self._places:
            number = self.newest(session)
            body = self._log.seal_at(number)[1] if number is not None else {"leaves": []}
            self._places[session] = {seals.place_of(one): one for one in body["leaves"]}
        return self._places[session].get(seals.place_of(leaf), leaf) != leaf


def require_record(row: LedgerRecord, *, log: ProvenLog) -> None:
    """Tampered unless this row holds what the sealer may have appended behind `log`."""
    try:
        _require_record(row, log)
    except (Refused, KeyError, TypeError, ValueError) as error:
        raise Tampered(
            f"Not signed: the row of record {row.index} ({row.kind}) is not one that the sealer wrote: "
            f"{error}. Remove it, and find out who wrote it"
        ) from error


def _require_record(row: LedgerRecord, log: ProvenLog) -> None:
    facts = json.loads(row.entry)
    if (facts["v"], facts["kind"], facts["key"]) != (1, row.kind, row.key):
        raise Refused("it says another thing than its row")
    if archive.canonical_json(facts).decode() != row.entry:
        raise Refused("it is not in canonical JSON")
    if row.kind == "sealed":
        newest = Sealed(log, [facts["session"]]).newest(facts["session"])
        if newest is not None:
            seals.require_growth(log, newest, log.body(facts))
    elif row.kind == "batch":
        listed = log.body(facts)["leaves"]
        sealed = Sealed(log, {leaf["session"] for leaf in listed})
        if any(sealed.otherwise(leaf) for leaf in listed):
            raise Refused("it names another blob for a chunk that is sealed")
    else:
        own = OWN if not facts["body"] else OWN[:-1]
        asked = {name: value for name, value in facts.items() if name not in own}
        require_askable(row.kind, row.key, asked, world=log.world)
