"""The append-only log of records on disk: C2SP tlog-tiles, signed checkpoints, and the records' bodies.

`Log` is all of it: with a key it is the sealer's, without one it only reads, and verifies what it reads.
Knows files and the archive's proofs; no Django, no database.
"""

from lucid_sessions.ledger.log import Log
from lucid_sessions.ledger.tree import Tree

__all__ = ["Log", "Tree"]
