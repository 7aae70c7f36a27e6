"""Anchors in a chain (EVM): a checkpoint's digest in a transaction, in a block that nobody can date back.

The transaction alone proves nothing about time, since we sign it. What proves is the chain: any node of it,
asked for the transaction's hash, says in which block it stands, and since when.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import structlog

from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger.anchors import IN_A_BLOCK, Anchor
from lucid_sessions.ledger.log import Log
from lucid_sessions.ledger.rpc import Inclusion, Node
from lucid_sessions.ledger.transactions import Account, Transaction, Unsigned

logger = structlog.get_logger(__name__)

FORMAT = "lucid/1 evm anchor"
GWEI = 10**9
# What one checkpoint may cost at most, in transactions: a node that forgets them must not empty the account.
MOST_TRANSACTIONS = 8
# 32 bytes to oneself take about 22,000 units where gas is counted as in Ethereum; elsewhere somewhat more.
MOST_GAS = 500_000
# Clocks of ours and of those who make blocks.
CLOCKS_DIFFER = 900


def digest(note: bytes) -> bytes:
    """The 32 bytes that stand in the chain for a signed checkpoint."""
    return hashlib.sha256(b"lucid/1 anchor\0" + note).digest()


@dataclass(frozen=True)
class Sent:
    """A transaction that was signed for a checkpoint, and when it was (seconds since 1970)."""

    raw: bytes
    at: int

    @property
    def transaction(self) -> Transaction:
        """What it says."""
        return Transaction.from_raw(self.raw)


@dataclass(frozen=True)
class Chain:
    """A chain: a node of it, the account that pays (None: it only verifies), and whose anchors count.

    Final is what has `confirmations` blocks, its own among them. A transaction that waits for `stuck_after`
    is sent again with higher fees, but never with more than `most_gwei` a unit of gas.
    """

    node: Node
    account: Account | None
    senders: frozenset[str]
    confirmations: int = 64
    most_gwei: float = 100.0
    every: timedelta = timedelta(hours=24)
    stuck_after: timedelta = timedelta(minutes=30)
    kind: ClassVar[str] = IN_A_BLOCK

    @property
    def name(self) -> str:
        """evm- and the chain's number."""
        return f"evm-{self.node.chain_id}"

    def vouch(self, log: Log, note: bytes) -> Anchor | None:
        """The checkpoint that was sent last, once it is final; if none waits, this one is sent.

        None: it is not final yet. Retryable: the node is away, or gas is dearer than allowed. Refused: it is
        of another chain. Tampered: it contradicts itself.
        """
        if self.account is None:
            return None
        self.node.require_chain()
        waiting = log.anchors.sent(self.name) or self._chosen(log, note)
        sent = _read_sent(waiting.proof)
        for one in sent:
            found = self._found(one)
            if found and found.confirmations >= self.confirmations:
                return Anchor(waiting.size, self.name, waiting.note, _proof(one, found, sent), IN_A_BLOCK)
            if found:
                return None
        self._send(log, waiting, sent)
        return None

    def unfinished(self, log: Log, /) -> bool:
        """True while a checkpoint waits, or again if the chain no longer holds what was final last."""
        if self.account is None:
            return False
        newest = log.anchors.newest(self.name, IN_A_BLOCK)
        if log.anchors.sent(self.name) is None and newest is not None:
            self._recall(log, newest)
        return log.anchors.sent(self.name) is not None

    def verify(self, proof: bytes, note: bytes) -> datetime:
        """When, as the node said, the block was made that holds this checkpoint's digest.

        That an account of ours signed it for this chain is shown; that the chain holds it is not: `confirm`.
        """
        said = _parsed(proof)
        try:
            transaction = Transaction.from_raw(bytes.fromhex(said["transaction"][2:]))
            block, receipt = said["block"], said["receipt"]
            at = datetime.fromtimestamp(int(block["timestamp"], 16), UTC)
            wrong = _differences(
                {
                    "the chain": (transaction.said.chain_id, self.node.chain_id),
                    "the digest": (transaction.said.content, digest(note)),
                    "the transaction's hash": (said["transaction_hash"], transaction.hash),
                    "the receipt's hash": (receipt["transactionHash"], transaction.hash),
                    "the receipt's block": (receipt["blockHash"], block["hash"]),
                }
            )
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise Tampered(f"The anchor of {self.name} is not in its form: {error!r}") from error
        if transaction.sender not in self.senders:
            wrong.append(f"it was sent by {transaction.sender}, which LUCID_EVM_ACCOUNTS does not name")
        if wrong:
            raise Tampered(f"The anchor of {self.name} does not hold: {'; '.join(wrong)}")
        return at

    def confirm(self, proof: bytes) -> int:
        """How many blocks hold it by now, as the node says. Tampered: the chain does not hold it there."""
        said, transaction, found = self._look_up(proof)
        if found is None:
            where = f"in block {int(said['block']['number'], 16)} of chain {self.node.chain_id}"
            raise Tampered(f"{self.node} does not find {transaction.hash} {where}")
        return found.confirmations

    def _recall(self, log: Log, anchor: Anchor) -> None:
        """What the chain no longer holds where it did waits from now on, as it did before it was final."""
        said, transaction, found = self._look_up(anchor.proof)
        if found is None:
            # All that was ever sent for it, so that a node which forgets again and again finds the limit.
            raws = [*said["also_sent"], said["transaction"]]
            at = int(said["block"]["timestamp"], 16)
            log.anchors.send(_waiting(anchor, [Sent(bytes.fromhex(one[2:]), at) for one in raws]))
            logger.warning("anchor is gone from its block", chain=self.name, transaction=transaction.hash)

    def _look_up(self, proof: bytes) -> tuple[dict[str, Any], Transaction, Inclusion | None]:
        """What a proof says, its transaction, and where that stands; None: not in the block that it says."""
        self.node.require_chain()
        said = _parsed(proof)
        transaction = Transaction.from_raw(bytes.fromhex(said["transaction"][2:]))
        found = self.node.inclusion(transaction.hash, sender=transaction.sender)
        there = found is not None and found.header.get("hash") == said["block"]["hash"]
        return said, transaction, found if there else None

    def _chosen(self, log: Log, note: bytes) -> Anchor:
        """The newest checkpoint that others vouched for, so that one bundle holds all; else the newest."""
        before = log.anchors.newest(self.name, IN_A_BLOCK)
        known = next(log.anchors.all(), None)
        if known and known.kind != IN_A_BLOCK and known.size > (before.size if before else 0):
            note = known.note
        return Anchor(log.at(note).size, self.name, note, b"[]", IN_A_BLOCK)

    def _found(self, sent: Sent) -> Inclusion | None:
        transaction = sent.transaction
        found = self.node.inclusion(transaction.hash, sender=transaction.sender)
        if found and not sent.at - CLOCKS_DIFFER <= found.seconds <= time.time() + CLOCKS_DIFFER:
            raise Tampered(f"{self.node} dates the block of {transaction.hash} at {found.seconds}: not now")
        return found

    def _send(self, log: Log, waiting: Anchor, sent: Sequence[Sent]) -> None:
        """One transaction for this checkpoint waits at the node: the last of these, or a new one."""
        raw = self._replacement(waiting.note, sent)
        if raw is not None:
            # On the disk first: what was sent is never forgotten, whatever ends this process.
            sent = [*sent, Sent(raw, int(time.time()))]
            log.anchors.send(_waiting(waiting, sent))
        last = sent[-1].transaction
        if raw is not None or not self.node.knows(last.hash):
            self.node.send(sent[-1].raw, expected=last.hash)

    def _replacement(self, note: bytes, sent: Sequence[Sent]) -> bytes | None:
        """A new transaction, where the last one will not do: none yet, its number taken, or stuck."""
        account = self._paying()
        nonce = self.node.number("eth_getTransactionCount", account.address, "latest")
        last = sent[-1].transaction if sent else None
        again = last is not None and (last.sender, last.said.nonce) == (account.address, nonce)
        if again and time.time() - sent[-1].at < self.stuck_after.total_seconds():
            return None
        fees = self._fees(last.said if last and again else None)
        if fees is None:
            return None
        if len(sent) >= MOST_TRANSACTIONS:
            raise Refused(
                f"{len(sent)} transactions were sent for one checkpoint, and {self.node} has none in one: "
                f"look at {account.address} there, and whether LUCID_EVM_MAX_GWEI is enough."
            )
        to = bytes.fromhex(account.address[2:])
        gas = self._gas(account, note)
        return Unsigned(self.node.chain_id, nonce, *fees, gas, to, 0, digest(note)).sign(account)

    def _fees(self, before: Unsigned | None) -> tuple[int, int] | None:
        """Tip and most to pay a unit of gas; None: a transaction with these before cannot be outbid.

        Nodes take a replacement only if both are a tenth higher. Retryable: gas is dearer than allowed.
        """
        base, tip = self.node.fees()
        limit = int(self.most_gwei * GWEI)
        if before is None and base + tip > limit:
            raise Retryable(
                f"Gas costs {(base + tip) / GWEI:.3g} gwei at chain {self.node.chain_id}, "
                f"LUCID_EVM_MAX_GWEI allows {self.most_gwei:g}: the checkpoint waits."
            )
        most = min(2 * base + tip, limit)
        if before is not None:
            tip = max(tip, before.tip * 9 // 8 + 1)
            most = max(most, before.most * 9 // 8 + 1, tip)
        return (tip, most) if most <= limit else None

    def _gas(self, account: Account, note: bytes) -> int:
        """The limit of gas: what the node expects, and a quarter more."""
        asked = {"from": account.address, "to": account.address, "data": "0x" + digest(note).hex()}
        gas = self.node.number("eth_estimateGas", asked) * 5 // 4
        if gas > MOST_GAS:
            raise Refused(f"{self.node} wants {gas} units of gas for 32 bytes: more than {MOST_GAS}.")
        return gas

    def _paying(self) -> Account:
        if self.account is None:
            raise Refused("LUCID_EVM_KEY is not set: there is no account to send anchors from.")
        return self.account


def _waiting(anchor: Anchor, sent: Sequence[Sent]) -> Anchor:
    content = json.dumps([{"raw": "0x" + one.raw.hex(), "at": one.at} for one in sent]).encode()
    return Anchor(anchor.size, anchor.name, anchor.note, content, IN_A_BLOCK)


def _read_sent(content: bytes) -> list[Sent]:
    try:
        return [Sent(bytes.fromhex(one["raw"][2:]), int(one["at"])) for one in json.loads(content)]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Tampered(f"the list of sent transactions is not in its form: {error!r}") from error


def _proof(one: Sent, found: Inclusion, sent: Sequence[Sent]) -> bytes:
    transaction = one.transaction
    said = {
        "format": FORMAT,
        "chain_id": transaction.said.chain_id,
        "digest": transaction.said.content.hex(),
        "from": transaction.sender,
        "transaction": "0x" + one.raw.hex(),
        "also_sent": ["0x" + other.raw.hex() for other in sent if other.raw != one.raw],
        "transaction_hash": transaction.hash,
        "block": found.header,
        "receipt": found.receipt,
        "confirmations": found.confirmations,
    }
    return json.dumps(said, indent=1, sort_keys=True).encode() + b"\n"


def _parsed(proof: bytes) -> dict[str, Any]:
    try:
        said = json.loads(proof)
        dict(said)
        for raw in (said["transaction"], *said["also_sent"]):
            bytes.fromhex(raw[2:])
        str(said["block"]["hash"])
        int(said["block"]["number"], 16), int(said["block"]["timestamp"], 16)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Tampered(f"an anchor in a chain is not in its form: {error!r}") from error
    if said.get("format") != FORMAT:
        raise Tampered("an anchor in a chain is of another format")
    return dict(said)


def _differences(facts: dict[str, tuple[object, object]]) -> list[str]:
    return [f"{name} is another" for name, (found, expected) in facts.items() if found != expected]
