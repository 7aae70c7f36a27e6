"""Checkpoints in a real chain: final in time, sent anew when it forgets; no node is believed blindly."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lucid_sessions.errors import LucidError, Refused, Retryable, Tampered
from lucid_sessions.ledger import Account, Anchor, Chain, Log, Node
from lucid_sessions.ledger.evm import MOST_TRANSACTIONS, digest
from lucid_sessions.ledger.transactions import Transaction, Unsigned, decode, encode
from tests.authority import serving
from tests.ledger.logs import records, sealer
from tests.outside import CHAIN_ID, PAYING, Anvil, anvil

PAYER = Account.from_text(PAYING)


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with anvil() as found:
        yield found


@pytest.fixture
def log(tmp_path: Path) -> Log:
    found = sealer(tmp_path)
    found.extend(records(0, 3))
    return found


def test_a_checkpoint_is_final_after_so_many_blocks_and_costs_one_transaction(node: Anvil, log: Log) -> None:
    chain, before = _chain(node, confirmations=3), node.sent()
    assert _asked(chain, log) is None
    assert _asked(chain, log) is None  # it waits: nothing is sent twice
    node.mine(2)
    assert _asked(chain, log) is None
    log.extend(records(3, 5))  # what waits is the checkpoint that was sent
    node.mine()
    anchor = _asked(chain, log)
    assert anchor is not None
    assert (anchor.size, anchor.name, node.sent() - before) == (3, f"evm-{CHAIN_ID}", 1)
    assert log.anchors.sent(chain.name) is None
    at = chain.verify(anchor.proof, anchor.note)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    assert chain.confirm(anchor.proof) == 3
    said = json.loads(anchor.proof)
    assert int(said["receipt"]["gasUsed"], 16) < 23_000


def test_the_node_reads_the_transaction_as_we_do(node: Anvil, log: Log) -> None:
    proof = json.loads(_anchored(_chain(node), log, node).proof)
    told = node.do("eth_getTransactionByHash", proof["transaction_hash"])
    read = Transaction.from_raw(bytes.fromhex(proof["transaction"][2:]))
    assert (told["from"], told["to"], told["input"][2:]) == (read.sender, read.sender, proof["digest"])
    assert int(told["maxFeePerGas"], 16) == read.said.most
    assert told["hash"] == read.hash


def test_a_reorganization_makes_an_anchor_wait_again_until_it_is_in_the_chain(node: Anvil, log: Log) -> None:
    chain, before = _chain(node, confirmations=2), node.do("evm_snapshot")
    _asked(chain, log)
    node.mine(2)
    found = _anchored(chain, log, node)
    assert chain.verify(found.proof, found.note)
    node.do("evm_revert", before)
    with pytest.raises(Tampered, match="does not find"):
        chain.confirm(found.proof)
    assert chain.unfinished(log)
    assert log.anchors.newest(chain.name, chain.kind) is None
    assert _asked(chain, log) is None
    node.mine(2)
    again = _asked(chain, log)
    assert again is not None
    assert (again.note, chain.confirm(again.proof)) == (found.note, 2)
    assert not chain.unfinished(log)


def test_a_transaction_that_a_reorganization_removed_before_it_was_final_is_sent_again(
    node: Anvil, log: Log
) -> None:
    chain, before = _chain(node, confirmations=2), node.do("evm_snapshot")
    _asked(chain, log)
    node.mine()
    assert _asked(chain, log) is None
    sent = node.sent()
    node.do("evm_revert", before)
    assert node.sent() == sent - 1
    assert _asked(chain, log) is None
    node.mine(2)
    assert (found := _asked(chain, log)) is not None
    assert json.loads(found.proof)["confirmations"] == 2


def test_a_stuck_transaction_is_outbid_but_never_beyond_the_limit(node: Anvil, log: Log) -> None:
    chain = replace(_chain(node), stuck_after=timedelta(0))
    for _ in range(3):
        assert _asked(chain, log) is None
    waiting = log.anchors.sent(chain.name)
    assert waiting is not None
    raws = [bytes.fromhex(one["raw"][2:]) for one in json.loads(waiting.proof)]
    said = [Transaction.from_raw(raw).said for raw in raws]
    assert len(said) == 3
    assert len({one.nonce for one in said}) == 1
    assert all(one.most * 1.1 <= two.most for one, two in itertools.pairwise(said))
    held = replace(chain, most_gwei=said[-1].most / 1e9)
    assert _asked(held, log) is None  # what waits is as dear as is allowed: it waits on
    node.mine()
    anchor = _asked(chain, log)
    assert anchor is not None
    assert json.loads(anchor.proof)["transaction"] == "0x" + raws[-1].hex()


def test_while_gas_is_dearer_than_allowed_nothing_is_sent(node: Anvil, log: Log) -> None:
    before = node.sent()
    with pytest.raises(Retryable, match=r"LUCID_EVM_MAX_GWEI allows 0.001: the checkpoint waits"):
        _asked(replace(_chain(node), most_gwei=0.001), log)
    assert (node.sent(), log.anchors.sent(_chain(node).name)) == (before, None)


def test_a_number_that_another_transaction_took_is_given_up(node: Anvil, log: Log) -> None:
    chain = _chain(node)
    _asked(chain, log)
    nonce = node.sent()
    other = Unsigned(CHAIN_ID, nonce, 10**10, 5 * 10**10, 30_000, bytes(20), 1, b"").sign(PAYER)
    node.do("eth_sendRawTransaction", "0x" + other.hex())
    node.mine()
    assert node.sent() == nonce + 1
    found = _anchored(chain, log, node)
    read = Transaction.from_raw(bytes.fromhex(json.loads(found.proof)["transaction"][2:]))
    assert read.said.nonce == nonce + 1


def test_a_node_of_another_chain_is_refused(node: Anvil, log: Log) -> None:
    chain = replace(_chain(node), node=Node(node.url, 1))
    for ask in (lambda: _asked(chain, log), lambda: chain.confirm(b"{}")):
        with pytest.raises(Refused, match=f"is of chain {CHAIN_ID}, not of 1: check LUCID_EVM_URL"):
            ask()
    assert log.anchors.sent("evm-1") is None


def test_forged_anchors_are_refused_without_asking_anybody(node: Anvil, log: Log) -> None:
    chain = _chain(node)
    anchor = _anchored(chain, log, node)
    offline = replace(chain, node=Node("http://127.0.0.1:9/", CHAIN_ID))
    assert offline.verify(anchor.proof, anchor.note)
    stranger = Account.from_text("0x" + "11" * 32)
    plain = Unsigned(CHAIN_ID, 0, 1, 1, 30_000, bytes.fromhex(PAYER.address[2:]), 0, digest(anchor.note))
    for why, raw in (
        ("digest is another", replace(plain, content=digest(b"other")).sign(PAYER)),
        ("chain is another", replace(plain, chain_id=1).sign(PAYER)),
        ("LUCID_EVM_ACCOUNTS does not name", plain.sign(stranger)),
        ("no signed transaction|no transaction of type 2", b"\x01" + plain.sign(PAYER)[1:]),
        ("no signed transaction", b""),
        ("no signed transaction", b"\x02" + b"\xc1" * 5000),
    ):
        with pytest.raises(Tampered, match=why):
            offline.verify(_with(anchor.proof, transaction="0x" + raw.hex()), anchor.note)
    for change in ({"block": {}}, {"receipt": None}, {"transaction": 7}, {"format": "2"}, {"block": []}):
        with pytest.raises(Tampered):
            offline.verify(_with(anchor.proof, **change), anchor.note)
    for nonsense in (b"", b"[]", b"{}", b"[" * 100_000, b"\xff"):
        with pytest.raises(Tampered):
            offline.verify(nonsense, anchor.note)


def test_every_changed_byte_of_a_transaction_is_noticed(node: Anvil, log: Log) -> None:
    chain = _chain(node)
    anchor = _anchored(chain, log, node)
    raw = bytes.fromhex(json.loads(anchor.proof)["transaction"][2:])
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(Tampered):
            chain.verify(_with(anchor.proof, transaction="0x" + changed.hex()), anchor.note)


def test_an_account_without_money_is_told_and_what_was_sent_stays_on_the_disk(node: Anvil, log: Log) -> None:
    poor = Account.from_text("0x" + "22" * 32)
    chain = replace(_chain(node), account=poor, senders=frozenset({poor.address}))
    with pytest.raises(Retryable, match=r"(?i)declined .*(funds|balance)"):
        _asked(chain, log)


class Liar(BaseHTTPRequestHandler):
    """Passes questions on to a real node, and changes what `says` names; a value may be a function."""

    truth: ClassVar[str] = ""
    says: ClassVar[dict[str, Any]] = {}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.says.get(asked["method"], ...)
        if answer is ... or callable(answer):
            told = Anvil(self.truth).do(asked["method"], *asked["params"])
            answer = answer(told) if callable(answer) else told
        body = answer if isinstance(answer, bytes) else json.dumps({"id": 1, "result": answer}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


LIES: tuple[tuple[str, Any, type[LucidError], str], ...] = (
    ("eth_chainId", b"<html>", Retryable, "no JSON-RPC"),
    ("eth_chainId", b"[" * 100_000, Retryable, "no JSON-RPC"),
    ("eth_chainId", b" " * 400_000, Retryable, "more than"),
    ("eth_chainId", "four", Retryable, "which is no number"),
    ("eth_chainId", b'{"error":{"message":"pay first"}}', Retryable, "declined eth_chainId: pay first"),
    ("eth_getTransactionReceipt", lambda it: {**it, "from": "0x" + "0" * 40}, Tampered, "contradicts itself"),
    ("eth_getTransactionReceipt", lambda it: {**it, "status": "0x0"}, Tampered, "contradicts itself"),
    ("eth_getTransactionReceipt", lambda it: {**it, "blockNumber": None}, Retryable, "no number"),
    ("eth_getBlockByNumber", lambda it: {**it, "transactions": []}, Tampered, "does not hold"),
    (
        "eth_getBlockByNumber",
        lambda it: {**it, "number": hex(int(it["number"], 16) + 1)},
        Tampered,
        "contradicts itself",
    ),
    ("eth_getBlockByNumber", lambda it: {**it, "timestamp": "0x1"}, Tampered, "not now"),
    ("eth_getBlockByNumber", lambda it: {**it, "timestamp": "0xffffffff"}, Tampered, "not now"),
    ("eth_getBlockByNumber", None, Retryable, "has no block"),
)


@pytest.mark.parametrize(("method", "lie", "error", "why"), LIES, ids=map(str, range(len(LIES))))
def test_a_node_that_lies_or_stammers_is_told_apart_and_waited_for(
    node: Anvil, log: Log, method: str, lie: Any, error: type[LucidError], why: str
) -> None:
    chain = _chain(node)
    _asked(chain, log)
    node.mine()
    Liar.truth, Liar.says = node.url, {method: lie}
    with serving(Liar) as url, pytest.raises(error, match=why):
        _asked(replace(chain, node=Node(url + "v3/secret", CHAIN_ID)), log)
    assert _asked(chain, log) is not None


def test_a_node_that_calls_our_transaction_otherwise_or_wants_much_gas_is_refused(
    node: Anvil, log: Log
) -> None:
    for method, lie, error in (
        ("eth_sendRawTransaction", "0x" + "0" * 64, Tampered),
        ("eth_estimateGas", "0xffffff", Refused),
    ):
        Liar.truth, Liar.says = node.url, {method: lie}
        with serving(Liar) as url, pytest.raises(error, match=r"calls our transaction|units of gas"):
            _asked(_chain(Anvil(url)), sealer_like(log, method))


def test_a_node_that_forgets_everything_does_not_empty_the_account(node: Anvil, log: Log) -> None:
    count = iter(range(100))
    Liar.truth = node.url
    Liar.says = {
        "eth_getTransactionCount": lambda _: hex(next(count)),
        "eth_getTransactionReceipt": None,
        "eth_sendRawTransaction": b'{"error":"no"}',
    }
    with serving(Liar) as url:
        chain = _chain(Anvil(url))
        for _ in range(MOST_TRANSACTIONS):
            with pytest.raises(Retryable, match="declined eth_sendRaw"):
                _asked(chain, log)
        with pytest.raises(Refused, match=f"{MOST_TRANSACTIONS} transactions were sent for one checkpoint"):
            _asked(chain, log)


def test_a_node_that_forgets_what_was_final_again_and_again_does_not_either(node: Anvil, log: Log) -> None:
    chain, before = _chain(node), node.sent()
    Liar.truth, Liar.says = node.url, {"eth_getTransactionReceipt": None}
    with serving(Liar) as url:
        forgetful = _chain(Anvil(url))
        for _ in range(MOST_TRANSACTIONS - 1):
            _anchored(chain, log, node)
            assert forgetful.unfinished(log)
            assert _asked(forgetful, log) is None
            node.mine()
        _anchored(chain, log, node)
        assert forgetful.unfinished(log)
        with pytest.raises(Refused, match="transactions were sent for one checkpoint"):
            _asked(forgetful, log)
    assert node.sent() == before + MOST_TRANSACTIONS


def test_a_node_that_is_away_is_named_without_the_secret_in_its_address(log: Log) -> None:
    chain = _chain(Anvil("http://127.0.0.1:9/v3/secret-of-ours"))
    with pytest.raises(Retryable, match=r"node at http://127.0.0.1:9/ failed: .*refused") as error:
        _asked(chain, log)
    assert "secret-of-ours" not in f"{error.value}{chain!r}"
    assert PAYING[2:] not in repr(chain)


@pytest.mark.parametrize("text", ["", "0x00", "zz", "0x" + "00" * 32, "ff" * 32])
def test_keys_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="LUCID_EVM_KEY is no private key"):
        Account.from_text(text)


def test_only_the_one_spelling_of_a_list_is_read() -> None:
    for item in ([], [b""], [b"\x01", b"\x80", b"x" * 55, b"x" * 56, b"x" * 300], [[b"a", []], [[]]]):
        assert decode(encode(item)) == item
    for content in (b"", b"\x80", b"\xc1", b"\xc2\x81\x01", b"\xc0\x00", b"\xf8\x01\x00", b"\xb8"):
        with pytest.raises((ValueError, IndexError)):
            decode(content)


def sealer_like(log: Log, name: str) -> Log:
    """A log of its own, beside that one."""
    other = sealer(log.root.parent / name)
    other.extend(records(0, 3))
    return other


def _chain(node: Anvil, *, confirmations: int = 1) -> Chain:
    return Chain(Node(node.url, CHAIN_ID), PAYER, frozenset({PAYER.address}), confirmations=confirmations)


def _asked(chain: Chain, log: Log) -> Anchor | None:
    anchor = chain.vouch(log, (log.checkpoint_text() or "").encode())
    if anchor is not None:
        log.anchors.add(anchor)
    return anchor


def _anchored(chain: Chain, log: Log, node: Anvil) -> Anchor:
    for _ in range(4):
        if found := _asked(chain, log):
            return found
        node.mine()
    raise AssertionError("it did not become final")


def _with(proof: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(proof), **changes}).encode()
