"""The append-only log of records on disk: C2SP tlog-tiles, signed checkpoints, and the records' bodies.

`Log` is all of it: with a key it is the sealer's, without one it only reads, and verifies what it reads.
`Anchors` keeps what an `Authority` outside has said about its checkpoints.
Knows files and the archive's proofs; no Django, no database.
"""

from lucid_sessions.ledger.anchors import Anchor, Anchors
from lucid_sessions.ledger.log import Log
from lucid_sessions.ledger.rfc3161 import Authority
from lucid_sessions.ledger.tree import Tree

__all__ = ["Anchor", "Anchors", "Authority", "Log", "Tree"]
