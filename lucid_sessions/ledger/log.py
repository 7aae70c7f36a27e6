"""The log: append records, publish checkpoints, prove. One sealer writes; anyone may read."""

from collections.abc import Sequence
from pathlib import Path

from lucid_sessions.archive import EMPTY_ROOT, Checkpoint, LogKey, open_checkpoint, parse_vkey
from lucid_sessions.errors import Refused, Tampered
from lucid_sessions.ledger.anchors import Anchors
from lucid_sessions.ledger.bodies import read_body, write_body
from lucid_sessions.ledger.published import read_checkpoint
from lucid_sessions.ledger.sealing import Sealer
from lucid_sessions.ledger.tree import Tree


class Log:
    """A C2SP tlog-tiles directory: `checkpoint`, `tile/...`, `tile/entries/...`, and `body/...` beside them.

    vkey: the log's C2SP verifier key; nothing that it does not vouch for is believed. With `key` and `pin`
    it is the sealer's. The pin is a file outside root with the last checkpoint that was signed, so that a
    ledger which was rolled back or replaced is never signed anew as a second history.

    Errors: Tampered when files are not what was signed, Retryable when the disk fails, Refused for a
    question about records that are not there.
    """

    def __init__(self, root: Path, *, vkey: str, key: LogKey | None = None, pin: Path | None = None) -> None:
        self.root = root.absolute()
        self.vkey = vkey
        self.origin = parse_vkey(vkey)[0]
        self._sealer: Sealer | None = None
        if key is None:
            return
        if key.vkey != vkey:
            raise Refused(f"The ledger's key is not the one of {vkey}")
        if pin is None:
            raise Refused(
                "A ledger's key needs a pin: the file that holds the last checkpoint signed with it"
            )
        self._sealer = Sealer(self.root, key=key, pin=pin.absolute())

    @property
    def size(self) -> int:
        """How many records the published checkpoint covers; 0 before the first."""
        return self.tree().size

    def checkpoint_text(self) -> str | None:
        """The published checkpoint as a C2SP signed note, its signature verified; None before the first."""
        found = read_checkpoint(self.root / "checkpoint", self.vkey)
        return found and found[0]

    def checkpoint(self) -> Checkpoint | None:
        """The published checkpoint, its signature verified; None before the first."""
        found = read_checkpoint(self.root / "checkpoint", self.vkey)
        return found and found[1]

    def tree(self) -> Tree:
        """The log at its published checkpoint: ask this for several answers about one and the same state."""
        return Tree(self.root, self.checkpoint() or Checkpoint(self.origin, 0, EMPTY_ROOT))

    def published(self) -> tuple[str, Tree]:
        """The signed note and the tree of one and the same checkpoint; an empty note before the first."""
        found = read_checkpoint(self.root / "checkpoint", self.vkey)
        text, checkpoint = found or ("", Checkpoint(self.origin, 0, EMPTY_ROOT))
        return text, Tree(self.root, checkpoint)

    @property
    def anchors(self) -> Anchors:
        """What authorities outside said about this log's checkpoints."""
        return Anchors(self.root / "anchors", vkey=self.vkey)

    def at(self, note: bytes) -> Tree:
        """The log at an older checkpoint of its own; Tampered when it has another past than that says."""
        try:
            checkpoint = open_checkpoint(note.decode(), self.vkey)
        except UnicodeDecodeError as error:
            raise Tampered(f"a checkpoint of the ledger {self.root} is not text") from error
        tree = self.tree()
        if checkpoint.size > tree.size or tree.root(checkpoint.size) != checkpoint.root:
            raise Tampered(
                f"The ledger {self.root} is not what its checkpoint of size {checkpoint.size} says it was: "
                "it was rolled back or written anew"
            )
        return Tree(self.root, checkpoint)

    def extend(self, records: Sequence[bytes]) -> Checkpoint:
        """The new checkpoint, published, once these records stand at the indices from `size` on.

        After a crash or a Retryable, call it again with the records from `size` on: the same, or more.
        Tampered: they, or the ledger, are not what was signed before. Retryable: another sealer is at work.
        """
        sealer = self._required_sealer()
        with sealer.alone():
            return sealer.extend(self.tree(), records)

    def check(self) -> None:
        """Nothing, when the ledger here is the one that was signed last. Writes nothing.

        Retryable: it is empty, so not mounted. Tampered: it was rolled back or replaced.
        """
        self._required_sealer().check(self.tree())

    @property
    def signed(self) -> int:
        """How many records were signed, by the pin: after a death they may not all be published yet."""
        return self._required_sealer().signed()

    def adopt(self) -> Checkpoint | None:
        """The published checkpoint, now pinned: for an operator who lost the pin and vouches for the ledger.

        Refused: there is a pin, or nothing to pin.
        """
        sealer = self._required_sealer()
        with sealer.alone():
            sealer.adopt(self.tree())
        return self.checkpoint()

    def record(self, index: int) -> bytes:
        """The record at this index, shown to be in the log."""
        return self.tree().record(index)

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """The hashes from record `index` to the root of the first `size` records (all by default)."""
        tree = self.tree()
        return tree.inclusion_proof(index, size=tree.size if size is None else size)

    def consistency_proof(self, old: int, new: int | None = None) -> list[bytes]:
        """The hashes that show the first `old` records to begin the first `new` (all by default)."""
        tree = self.tree()
        return tree.consistency_proof(old, tree.size if new is None else new)

    def write_body(self, body: bytes) -> str:
        """The body's SHA-256 (hexadecimal), once it is stored durably. Again: the same."""
        return write_body(self.root / "body", body)

    def read_body(self, name: str) -> bytes:
        """The body with this SHA-256 (hexadecimal), verified."""
        return read_body(self.root / "body", name)

    def _required_sealer(self) -> Sealer:
        if self._sealer is None:
            raise Refused(f"The ledger {self.root} was opened to be read: only the sealer has its key")
        return self._sealer
