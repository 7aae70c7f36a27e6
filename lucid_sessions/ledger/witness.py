"""Witnesses (C2SP tlog-witness): somebody outside who saw this log only ever grow, and signs that.

A witness cosigns a checkpoint when it is shown to continue the one that it cosigned before. A second
history under the log's own key therefore finds no cosignature. Anyone who has the witness's verifier key
can check one: it is an Ed25519 signature below the checkpoint (C2SP tlog-cosignature).
"""

import base64
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from lucid_sessions.archive import check_cosignature, parse_witness_key
from lucid_sessions.errors import LucidError, Refused, Retryable, Tampered
from lucid_sessions.ledger.anchors import COSIGNED, Anchor
from lucid_sessions.ledger.answers import post, public_part
from lucid_sessions.ledger.log import Log

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n?")
# The size that a witness knows moves only when others show it this log, too.
_MOST_CONFLICTS = 3
_REFUSALS: dict[int, tuple[type[LucidError], str]] = {
    400: (Refused, "cannot read what it was sent"),
    403: (Refused, "does not know this log's key: give its operator log.vkey of keys/repository.json"),
    404: (
        Refused,
        "does not know this log: give its operator the log's origin and vkey, of keys/repository.json",
    ),
    422: (Tampered, "holds that this log has another past than the one that it cosigned"),
}


@dataclass(frozen=True)
class Witness:
    """A witness: its name here, where it answers, and its verifier key (C2SP, type 4)."""

    name: str
    url: str
    vkey: str
    every: timedelta = timedelta(hours=1)
    kind: ClassVar[str] = COSIGNED

    def unfinished(self, _: Log, /) -> bool:
        """False: each answer is final."""
        return False

    def vouch(self, log: Log, note: bytes) -> Anchor:
        """The checkpoint, cosigned and verified.

        Retryable: it cannot be reached, or declines for now. Refused: it does not know this log. Tampered:
        it saw another past of this log, or what came is not its cosignature.
        """
        size, before = log.at(note).size, log.anchors.newest(self.name, COSIGNED)
        old = before.size if before and before.size <= size else 0
        for _ in range(_MOST_CONFLICTS):
            proof = log.consistency_proof(old, size) if old else []
            status, answer = self._ask(old, proof, note)
            if status == 200:
                return Anchor(size, self.name, note, self._cosigned(note, answer), COSIGNED)
            if status != 409:
                raise self._refusal(status, answer)
            old = self._seen(answer, asked=old, size=size)
        raise Retryable(f"{self._who} knew a newer checkpoint each time that it was asked.")

    def verify(self, proof: bytes, note: bytes) -> datetime:
        """When, by the witness's clock, it cosigned this checkpoint. Tampered unless it did."""
        if not proof.startswith(note):
            raise Tampered(f"The cosignature of {self.name} does not hold: it is below another checkpoint")
        try:
            text = note.decode().rpartition("\n\n")[0] + "\n"
            return check_cosignature(text, proof[len(note) :].decode(), self.vkey)
        except (Tampered, UnicodeDecodeError) as error:
            raise Tampered(
                f"The cosignature of {self.name} does not hold: {error}. Check LUCID_WITNESS_KEYS"
            ) from error

    @property
    def _who(self) -> str:
        return f"The witness {self.name}"

    def _ask(self, old: int, proof: list[bytes], note: bytes) -> tuple[int, bytes]:
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof)
        content = f"old {old}\n{hashes}\n".encode() + note
        address = self.url.rstrip("/") + "/add-checkpoint"
        return post(address, content, kind="text/plain; charset=utf-8", who=self._who)

    def _cosigned(self, note: bytes, answer: bytes) -> bytes:
        """The note with the witness's own lines below it, verified."""
        own = f"— {parse_witness_key(self.vkey)} ".encode()
        lines = [line for line in answer.splitlines(keepends=True) if line.startswith(own)]
        proof = note + b"".join(lines)
        self.verify(proof, note)
        return proof

    def _seen(self, answer: bytes, *, asked: int, size: int) -> int:
        """The size that the witness cosigned last."""
        match = _SIZE.fullmatch(answer)
        if match is None:
            raise Retryable(f"{self._who} refused, and said no size: is {public_part(self.url)} its address?")
        seen = int(match[1])
        if seen > size:
            raise Tampered(
                f"{self._who} cosigned {seen} records of this log, which has {size}: "
                "it was rolled back, or another one was begun under its key"
            )
        if seen == asked:
            raise Tampered(f"{self._who} cosigned {seen} records of another log under this log's key")
        return seen

    def _refusal(self, status: int, answer: bytes) -> LucidError:
        said = answer[:200].decode(errors="replace").strip()
        family, why = _REFUSALS.get(status, (Retryable, f"answered {status}"))
        return family(f"{self._who} {why}{f' ({said})' if said else ''}.")
