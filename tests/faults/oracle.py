"""What must hold after every fault, asked of the archive itself and of nothing that the engine claims.

lost         an acknowledged chunk is not anchored, or does not open to the acknowledged bytes
duplicated   a place has two rows or is in two leaves, or two blobs share an encapsulated key
undetected   something visible fails verification, or the log forgets a checkpoint that it had signed
unfinished   a lease is held still, or work is left
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import ledger_rows, playback, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import ARCHIVED, UNFINISHED, State
from lucid_sessions.recordings.models import Chunk, LedgerRecord, Session

Place = tuple[UUID, str, int]
# Where the encapsulated key lies in a blob.
ENC = slice(120, 152)


@dataclass
class Findings:
    """Everything that the oracle holds against the engine."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    undetected: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        return [
            f"{kind}: {what}"
            for kind in ("lost", "duplicated", "undetected", "unfinished")
            for what in getattr(self, kind)
        ]


def examine(
    world: Installation,
    acknowledged: Mapping[Place, bytes],
    *,
    checkpoints: Sequence[archive.Checkpoint],
    quarantined: set[Place],
) -> Findings:
    """All findings. `quarantined` are places that the fault itself damaged: they must be in quarantine."""
    found = Findings()
    _chunks(world, acknowledged, quarantined, found)
    _leaves(world, acknowledged.keys() - quarantined, found)
    _blobs(world, found)
    _log(world, checkpoints, found)
    _verdicts(found)
    _leftovers(found)
    return found


def _chunks(
    world: Installation, acknowledged: Mapping[Place, bytes], quarantined: set[Place], found: Findings
) -> None:
    rows: dict[Place, list[Chunk]] = {}
    for row in Chunk.objects.all():
        rows.setdefault((row.session_id, row.track, row.sequence), []).append(row)
    found.duplicated += [f"{place} has {len(those)} rows" for place, those in rows.items() if len(those) > 1]
    keys: dict[tuple[UUID, str], archive.Identity] = {}
    for place, content in acknowledged.items():
        those = rows.get(place)
        if not those:
            found.lost.append(f"{place} has no row")
            continue
        row = those[0]
        if place in quarantined:
            if row.quarantined_at is None:
                found.undetected.append(f"{place} was damaged and is not in quarantine: {row.state}")
            continue
        if row.state != State.ANCHORED or row.quarantined_at is not None:
            found.lost.append(f"{place} is {row.state}, {row.reason or 'without a reason'}")
            continue
        key = keys.get(place[:2]) or playback.session_identity(*place[:2], world=world)
        keys[place[:2]] = key
        try:
            if playback.open_chunk(row, world=world, key=key) != content:
                found.lost.append(f"{place} opens to other bytes")
        except LucidError as error:
            found.lost.append(f"{place}: {error}")


def _leaves(world: Installation, places: set[Place], found: Findings) -> None:
    log, seen = world.log(), Counter[Place]()
    for record in LedgerRecord.objects.filter(kind="batch").order_by("index"):
        for leaf in ledger_rows.read_body(log, record)["leaves"]:
            seen[UUID(leaf["session"]), leaf["track"], leaf["sequence"]] += 1
    found.duplicated += [f"{place} is in {count} leaves" for place, count in seen.items() if count > 1]
    found.lost += [f"{place} is in no leaf" for place in places if not seen[place]]


def _blobs(world: Installation, found: Findings) -> None:
    used: Counter[bytes] = Counter()
    visible = set(Chunk.objects.filter(state__in=ARCHIVED).values_list("blob", flat=True))
    for name in world.blobs.names():
        content = world.blobs.get(name)
        used[content[ENC]] += 1
        if archive_name(content) != name and name in visible:
            found.undetected.append(f"blob {name} holds other bytes")
    found.duplicated += [f"an encapsulated key serves {count} blobs" for count in used.values() if count > 1]


def archive_name(content: bytes) -> str:
    """The name that these bytes would have in the store."""
    from lucid_sessions.blobs import blob_name

    return blob_name(content)


def _log(world: Installation, checkpoints: Sequence[archive.Checkpoint], found: Findings) -> None:
    log = world.log()
    new = log.checkpoint()
    for old in checkpoints:
        try:
            assert new is not None, "the log has no checkpoint any more"
            proof = log.consistency_proof(old.size, new.size)
            archive.verify_consistency(
                old_size=old.size, old_root=old.root, new_size=new.size, new_root=new.root, proof=proof
            )
        except (LucidError, AssertionError) as error:
            found.undetected.append(f"checkpoint {old.size} is forgotten: {error}")
    found.undetected += [f"{one.where}: {one.problem}" for one in verification.verify_log(world).findings]


def _verdicts(found: Findings) -> None:
    for session in Session.objects.filter(chunks__isnull=False).distinct():
        for one in verification.verify(session, deep=False).findings:
            found.undetected.append(f"{session.name}: {one.where}: {one.problem}")


def _leftovers(found: Findings) -> None:
    held = Chunk.objects.filter(token__gt="", lease_until__gt=timezone.now())
    found.unfinished += [f"{chunk} of {chunk.session_id} is leased" for chunk in held]
    left = Chunk.objects.filter(state__in=UNFINISHED, quarantined_at__isnull=True).count()
    if left:
        found.unfinished.append(f"{left} chunks are unfinished")
