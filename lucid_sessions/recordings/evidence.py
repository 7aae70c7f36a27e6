"""Gathers everything that proves one sealed session into a bundle for someone who does not trust us."""

import json
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from lucid_sessions import archive
from lucid_sessions.durable import blaming, sync_directory
from lucid_sessions.errors import Refused

from .installation import Installation, installation
from .models import Chunk, Session
from .playback import Passed, export, session_identity
from .proven import ProvenLog

log = structlog.get_logger(__name__)


def write(
    session: Session, out: Path, *, disclose: frozenset[str] = frozenset(), passed: Passed = lambda: None
) -> dict[str, object]:
    """Write the session's bundle to `out`, whole or not at all; what it holds, in figures.

    `passed` is called for each blob, and each chunk that is disclosed; it may raise to end it there.

    `disclose` may name "media" (the decrypted recording goes in) and "keys" (the session's private keys go
    in: with them anyone can decrypt the blobs by the published format). Both need ENCRYPTION_PASSWORD.
    Refused: the session is not sealed yet.
    """
    world = installation()
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    with (
        blaming("write", out),
        # Where the bundle goes, and what a killed runner leaves is looked for: /tmp may be memory.
        tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent) as folder,
    ):
        film = Path(folder) / "session.mp4"
        media = export(session, film, passed=passed) if "media" in disclose else []
        keys = _keys(session, world) if "keys" in disclose else {}
        evidence = _gather(session, world, media=media, keys=keys)
        evidence = replace(evidence, read_blob=_counted(evidence.read_blob, passed))
        try:
            with temporary.open("wb") as file:
                archive.write_bundle(file, evidence)
                os.fsync(file.fileno())
            temporary.replace(out)
            sync_directory(out.parent)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    log.warning("evidence written", session=str(session.pk), disclosed=sorted(disclose))
    return {"blobs": len(evidence.blobs), "batches": len(evidence.batches), "bytes": out.stat().st_size}


def _counted(read: Callable[[str], bytes], passed: Passed) -> Callable[[str], bytes]:
    def counted(name: str) -> bytes:
        passed()
        return read(name)

    return counted


def _gather(
    session: Session, world: Installation, *, media: list[Path], keys: dict[str, bytes]
) -> archive.Evidence:
    """Everything at one checkpoint: a log that grows meanwhile must not mix proofs to several roots.

    The one that was vouched for outside since the seal, the last revocation of a writer and the naming of
    those who signed, in as many ways as any; without one, the newest.
    """
    log = ProvenLog(world)
    numbers = log.seals(str(session.pk))
    if not numbers:
        raise Refused(f'Session "{session.name}" is not sealed yet: there is nothing to prove it by.')
    # What names or revokes a writer has to be shown by the same checkpoint as the seal.
    needed = max([numbers[-1], *log.index.revocations, *_named_later(log, numbers[-1])])
    anchors = log.ledger.anchors.covering(needed)
    if anchors:
        log.stand_at(anchors[0].note)
    sealed = _proven(log, numbers[-1])
    blobs = [leaf["blob"] for leaf in json.loads(sealed.body)["leaves"]]
    batches = set(Chunk.objects.filter(session=session, blob__in=blobs).values_list("record", flat=True))
    return archive.Evidence(
        session=str(session.pk),
        repository=world.keys.repository,
        log_key=world.keys.log_vkey,
        checkpoint=log.note,
        anchors={one.file: one.proof for one in anchors},
        sealed=sealed,
        batches=[_proven(log, one) for one in sorted(one for one in batches if one is not None)],
        writers=[_proven(log, one) for one in sorted(log.index.writers) if one < log.tree.size],
        revoked=[_proven(log, one) for one in sorted(log.index.revocations)],
        earlier=[_proven(log, one) for one in numbers[:-1]],
        blobs=blobs,
        read_blob=world.blobs.get,
        media=media,
        keys=keys,
    )


def _named_later(log: ProvenLog, seal: int) -> list[int]:
    """Where the log first names those of the seal's writers whom it named after the seal.

    A writer may sign as soon as it is in `repository.json`, and be announced to the log another day.
    """
    first: dict[bytes, int] = {}
    for index, public in sorted(log.index.writers.items()):
        first.setdefault(archive.key_id(public), index)
    late = {key_id: index for key_id, index in first.items() if index > seal}
    if not late:
        return []
    blobs = [leaf["blob"] for leaf in log.seal_at(seal)[1]["leaves"]]
    heads = (log.world.blobs.start(blob, archive.HEADER) for blob in blobs)
    return sorted({late.get(archive.read_header(head).writer_key_id, seal) for head in heads})


def _proven(log: ProvenLog, number: int) -> archive.Proven:
    entry = log.tree.record(number)
    body = str(json.loads(entry).get("body", ""))
    proof = log.tree.inclusion_proof(number, size=log.tree.size)
    return archive.Proven(number, entry, proof, body, log.ledger.read_body(body) if body else b"")


def _keys(session: Session, world: Installation) -> dict[str, bytes]:
    tracks = session.keys.values_list("track", flat=True)
    return {track: session_identity(session.pk, track, world=world).private_bytes for track in tracks}
