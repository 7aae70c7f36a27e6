"""What proves a session or a chunk to someone who has the log's verifier key: records, bodies, hash paths.

Everything of one proof is of one checkpoint. docs/archive-format.md says how each hash is made.
"""

import json
from typing import Any

from lucid_sessions import archive
from lucid_sessions.errors import Refused

from . import leaves
from .installation import Installation
from .models import Chunk, Session
from .proven import ProvenLog


def record_proof(log: ProvenLog, index: int) -> dict[str, Any]:
    """One record, and the hashes from it to the checkpoint's root (RFC 6962)."""
    if not 0 <= index < log.tree.size:
        raise Refused(f"There is no record {index}: the checkpoint covers {log.tree.size}.")
    return {
        "index": index,
        "entry": log.tree.record(index).decode(),
        "proof": [one.hex() for one in log.tree.inclusion_proof(index, size=log.tree.size)],
    }


def of_session(session: Session, *, world: Installation) -> dict[str, Any]:
    """The session's newest seal with its body, proven. Refused: it is not sealed below a checkpoint yet."""
    log = ProvenLog(world)
    numbers = log.seals(str(session.pk))
    if not numbers:
        raise Refused(f'Session "{session.name}" is not sealed yet: there is nothing to prove it by.')
    proof = record_proof(log, numbers[-1])
    return {
        "session": str(session.pk),
        "repository": world.keys.repository.hex(),
        "log_key": world.keys.log_vkey,
        "checkpoint": log.note,
        "seal": proof,
        "body": log.ledger.read_body(json.loads(proof["entry"])["body"]).decode(),
    }


def of_chunk(chunk: Chunk, *, world: Installation) -> dict[str, Any]:
    """The chunk's leaf, its path to its batch, the batch's record and its path. Refused: not anchored yet."""
    log = ProvenLog(world)
    if chunk.record is None or chunk.record >= log.tree.size:
        raise Refused(f"Chunk {chunk} is {chunk.state}: it is proven once a checkpoint covers it.")
    leaf = leaves.facts_of(chunk)
    log.must_hold(leaf, chunk.record)
    hashes = [leaves.hash_of(one) for one in log.body(log.record(chunk.record))["leaves"]]
    place = hashes.index(leaves.hash_of(leaf))
    return {
        "repository": world.keys.repository.hex(),
        "log_key": world.keys.log_vkey,
        "checkpoint": log.note,
        "leaf": leaf,
        "leaf_hash": hashes[place].hex(),
        "batch_index": place,
        "batch_size": len(hashes),
        "batch_proof": [one.hex() for one in archive.inclusion_proof(hashes, place)],
        "batch": record_proof(log, chunk.record),
    }
