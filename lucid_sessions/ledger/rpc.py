"""A node of an EVM chain, asked by JSON-RPC. What it says is believed only where it agrees with itself."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger.answers import post, public_part

_QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})")
_BYTES = re.compile(r"0x(?:[0-9a-f]{2})*")
# What of a block's header is kept, where a chain has it.
_HEADER = (
    *("number", "hash", "parentHash", "timestamp", "miner", "stateRoot", "transactionsRoot", "receiptsRoot"),
    *("sha3Uncles", "logsBloom", "difficulty", "gasLimit", "gasUsed", "extraData", "mixHash", "nonce"),
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot"),
    "requestsHash",
)


class RpcError(Retryable):
    """The node answered that it will not."""


@dataclass(frozen=True)
class Inclusion:
    """Where a transaction stands: the block's header, the receipt, how many blocks there are from it on."""

    header: dict[str, str]
    receipt: dict[str, str]
    confirmations: int

    @property
    def seconds(self) -> int:
        """The block's time, in seconds since 1970."""
        return int(self.header["timestamp"], 16)


@dataclass(frozen=True)
class Node:
    """A node at this address, which may hold a secret: of it only the host is ever told."""

    url: str = field(repr=False)
    chain_id: int

    def __str__(self) -> str:
        return f"The node at {public_part(self.url)}"

    def require_chain(self) -> None:
        """Nothing, if the node is of our chain. Refused: it is of another."""
        found = self.number("eth_chainId")
        if found != self.chain_id:
            raise Refused(
                f"{self} is of chain {found}, not of {self.chain_id}: "
                "check LUCID_EVM_URL and LUCID_EVM_CHAIN_ID."
            )

    def number(self, method: str, *params: object) -> int:
        """A quantity that the node is asked for."""
        return self._number(self.call(method, *params), of=method)

    def call(self, method: str, *params: object) -> Any:
        """What the node answers. RpcError: it declines. Retryable: it is away, or what came is no answer."""
        asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        status, content = post(self.url, asked, kind="application/json", who="The node")
        try:
            answer = json.loads(content)
            error, result = answer.get("error"), answer.get("result")
        except (ValueError, AttributeError, RecursionError) as problem:
            raise Retryable(f"{self} answered {method} with {status} and no JSON-RPC.") from problem
        if error:
            said = error.get("message", "") if isinstance(error, dict) else error
            raise RpcError(f"{self} declined {method}: {str(said)[:200]}.")
        return result

    def send(self, raw: bytes, *, expected: str) -> None:
        """The node has this transaction. Tampered: it calls it otherwise than its hash."""
        found = self.call("eth_sendRawTransaction", "0x" + raw.hex())
        if found != expected:
            raise Tampered(f"{self} calls our transaction {str(found)[:80]!r}, but it is {expected}")

    def knows(self, transaction: str) -> bool:
        """True while the transaction waits, or is in a block."""
        return self.call("eth_getTransactionByHash", transaction) is not None

    def fees(self) -> tuple[int, int]:
        """What a unit of gas costs now, and the usual tip, in wei. Refused: the chain has no such fees."""
        base = self._block("latest").get("baseFeePerGas")
        if base is None:
            raise Refused(f"{self} is of a chain without base fees (EIP-1559).")
        return self._number(base, of="baseFeePerGas"), self.number("eth_maxPriorityFeePerGas")

    def inclusion(self, transaction: str, *, sender: str) -> Inclusion | None:
        """Where the transaction stands in the chain now; None: nowhere. Tampered: answers do not agree."""
        receipt = self.call("eth_getTransactionReceipt", transaction)
        if receipt is None:
            return None
        self._agree(_texts(receipt), {"transactionHash": transaction, "from": sender, "status": "0x1"})
        number = self._number(receipt.get("blockNumber"), of="blockNumber")
        block = self._block(hex(number))
        if block.get("hash") != receipt.get("blockHash"):
            return None  # the chain was just reorganized: the receipt is of a block that no longer counts
        self._agree(_texts(block), {"number": hex(number)})
        if transaction not in block.get("transactions", ()):
            raise Tampered(f"{self} contradicts itself: block {number} does not hold {transaction}")
        self._number(block.get("timestamp"), of="timestamp")
        header = {name: value for name, value in _texts(block).items() if name in _HEADER}
        newest = self.number("eth_blockNumber")
        return Inclusion(header, _texts(receipt), max(0, newest - number + 1))

    def _block(self, which: str) -> dict[str, Any]:
        block = self.call("eth_getBlockByNumber", which, False)
        if not isinstance(block, dict):
            raise Retryable(f"{self} has no block {which}.")
        return block

    def _number(self, value: object, *, of: str) -> int:
        if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
            raise Retryable(f"{self} answered {of} with {str(value)[:80]!r}, which is no number.")
        return int(value, 16)

    def _agree(self, found: dict[str, str], expected: dict[str, str]) -> None:
        for name, value in expected.items():
            if found.get(name) != value:
                raise Tampered(
                    f"{self} contradicts itself: {name} is {found.get(name, '')[:80]!r}, not {value!r}"
                )


def _texts(answer: object) -> dict[str, str]:
    """The hexadecimal values of an answer; lists and what is null are left out."""
    fields = answer.items() if isinstance(answer, dict) else ()
    return {name: value.lower() for name, value in fields if isinstance(value, str) and len(value) < 2048}
