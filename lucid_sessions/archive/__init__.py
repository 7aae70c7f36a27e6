"""What a stored recording is, in bytes: chunks, keys, leaves, proofs and checkpoints. No I/O, no framework.

Two verbs: `seal` needs a Recipient (public) and a Writer, `open_blob` needs an Identity (secret). Workers
hold the first two and can read nothing. `verify_blob` needs neither.

Promise: what any released version sealed, every later version opens. docs/archive-format.md describes the
bytes, tests/vectors/archive holds published examples.

Errors: Tampered for bytes that are not what was sealed, Refused for a call that is wrong.
"""

from lucid_sessions.archive.checkpoint import Checkpoint, LogKey, open_checkpoint, parse_vkey, sign_checkpoint
from lucid_sessions.archive.chunk import open_blob, seal, seal_named, verify_blob
from lucid_sessions.archive.compression import MAX_PLAIN, Packed, compress, expand
from lucid_sessions.archive.cosignature import check_cosignature, parse_witness_key
from lucid_sessions.archive.evidence import Evidence, Proven, write_bundle
from lucid_sessions.archive.header import HEADER, OVERHEAD, Header, read_header
from lucid_sessions.archive.keys import Identity, Recipient, Writer, Writers, key_id
from lucid_sessions.archive.merkle import (
    EMPTY_ROOT,
    chunk_leaf,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    merkle_root,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from lucid_sessions.archive.password import LONGEST_PASSWORD, open_password, seal_password
from lucid_sessions.archive.place import Place, session_binding
from lucid_sessions.archive.records import RECORD_LIMIT, RecordTooLarge, canonical_json
from lucid_sessions.archive.slots import SlotCost, WrongPassword, make_slot, open_slot
from lucid_sessions.archive.spool_copy import open_copy, seal_copy
from lucid_sessions.archive.statement import Statement, seal_session_key, unseal_session_key
from lucid_sessions.archive.tiles import (
    TILE_WIDTH,
    ReadTile,
    Tile,
    bundle_entries,
    entries_path,
    new_tiles,
    tile_consistency_proof,
    tile_inclusion_proof,
    tile_path,
    tile_root,
    tile_width,
    unbundle_entries,
)

__all__ = [
    "EMPTY_ROOT",
    "HEADER",
    "LONGEST_PASSWORD",
    "MAX_PLAIN",
    "OVERHEAD",
    "RECORD_LIMIT",
    "TILE_WIDTH",
    "Checkpoint",
    "Evidence",
    "Header",
    "Identity",
    "LogKey",
    "Packed",
    "Place",
    "Proven",
    "ReadTile",
    "Recipient",
    "RecordTooLarge",
    "SlotCost",
    "Statement",
    "Tile",
    "Writer",
    "Writers",
    "WrongPassword",
    "bundle_entries",
    "canonical_json",
    "check_cosignature",
    "chunk_leaf",
    "compress",
    "consistency_proof",
    "entries_path",
    "expand",
    "inclusion_proof",
    "key_id",
    "leaf_hash",
    "make_slot",
    "merkle_root",
    "new_tiles",
    "node_hash",
    "open_blob",
    "open_checkpoint",
    "open_copy",
    "open_password",
    "open_slot",
    "parse_vkey",
    "parse_witness_key",
    "read_header",
    "seal",
    "seal_copy",
    "seal_named",
    "seal_password",
    "seal_session_key",
    "session_binding",
    "sign_checkpoint",
    "tile_consistency_proof",
    "tile_inclusion_proof",
    "tile_path",
    "tile_root",
    "tile_width",
    "unbundle_entries",
    "unseal_session_key",
    "verify_blob",
    "verify_consistency",
    "verify_inclusion",
    "write_bundle",
]
