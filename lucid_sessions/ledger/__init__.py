"""The append-only log of records on disk: C2SP tlog-tiles, signed checkpoints, and the records' bodies.

`Log` is all of it: with a key it is the sealer's, without one it only reads, and verifies what it reads.
`Anchors` keeps what a `Party` outside has said about its checkpoints: an `Authority` (time-stamps), a
`Witness` (cosignatures) or a `Chain` (a block of an EVM chain).
Knows files, addresses and the archive's proofs; no Django, no database.
"""

from lucid_sessions.ledger.anchors import Anchor, Anchors
from lucid_sessions.ledger.evm import Chain
from lucid_sessions.ledger.log import Log
from lucid_sessions.ledger.parties import Party
from lucid_sessions.ledger.rfc3161 import Authority
from lucid_sessions.ledger.rpc import Node
from lucid_sessions.ledger.transactions import Account
from lucid_sessions.ledger.tree import Tree
from lucid_sessions.ledger.witness import Witness

__all__ = [
    "Account",
    "Anchor",
    "Anchors",
    "Authority",
    "Chain",
    "Log",
    "Node",
    "Party",
    "Tree",
    "Witness",
]
