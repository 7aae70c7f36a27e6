"""Transactions of EVM chains (EIP-1559): signed here, and told apart from forged ones, without a node.

A transaction of an account to itself that carries 32 bytes. Keccak and the curve are libraries'
(pycryptodome, libsecp256k1 through coincurve), loaded only where a chain is named; the encoding (RLP) is
two rules, here.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

from lucid_sessions.errors import Refused, Tampered

_EIP_1559 = b"\x02"
Item = bytes | list["Item"]


def keccak(content: bytes) -> bytes:
    """The 32 bytes by which chains name transactions, blocks and accounts."""
    # Of pycryptodome, which goes on where the pyCrypto of the warning ended.
    from Crypto.Hash import keccak as library  # nosec B413

    return library.new(digest_bits=256, data=content).digest()


@dataclass(frozen=True)
class Account:
    """A private key (32 bytes); it pays for what it sends."""

    private: bytes = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> "Account":
        """The account of a private key in hexadecimal. Refused: it is none."""
        from coincurve import PrivateKey

        try:
            return cls(PrivateKey(bytes.fromhex(text.strip().removeprefix("0x"))).secret)
        except ValueError as error:
            raise Refused("LUCID_EVM_KEY is no private key: 32 bytes in hexadecimal.") from error

    @property
    def address(self) -> str:
        """0x and 40 digits, in small letters."""
        from coincurve import PrivateKey

        return _address(PrivateKey(self.private).public_key.format(compressed=False))


@dataclass(frozen=True)
class Unsigned:
    """What is signed, in the order in which it is. Fees are in wei a unit of gas, `to` is 20 bytes."""

    chain_id: int
    nonce: int
    tip: int
    most: int
    gas: int
    to: bytes
    value: int
    content: bytes

    def fields(self) -> list[Item]:
        """Each field as bytes; the last is the list of addresses to be read, which is empty."""
        return [one if isinstance(one, bytes) else _number(one) for one in astuple(self)] + [[]]

    def sign(self, account: Account) -> bytes:
        """The raw transaction, as a node takes it."""
        from coincurve import PrivateKey

        digest = keccak(_EIP_1559 + encode(self.fields()))
        signature = PrivateKey(account.private).sign_recoverable(digest, hasher=None)
        parts = [_number(signature[64]), *(_stripped(signature[at : at + 32]) for at in (0, 32))]
        return _EIP_1559 + encode([*self.fields(), *parts])


@dataclass(frozen=True)
class Transaction:
    """A signed one: what it says, who signed it, and its hash (both as 0x and digits)."""

    said: Unsigned
    sender: str
    hash: str

    @classmethod
    def from_raw(cls, raw: bytes) -> "Transaction":
        """The transaction with these bytes, its signature taken for its sender's. Tampered: it is none."""
        from coincurve import PublicKey

        try:
            fields = decode(raw[1:])
            texts = [one for one in fields if isinstance(one, bytes)]
            chain_id, nonce, tip, most, gas = map(_read, texts[:5])
            said = Unsigned(chain_id, nonce, tip, most, gas, texts[5], _read(texts[6]), texts[7])
            parity, *halves = texts[8:]
            signature = b"".join(one.rjust(32, b"\0") for one in halves) + bytes([_read(parity)])
            digest = keccak(_EIP_1559 + encode(said.fields()))
            key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
        except (ValueError, IndexError, TypeError, RecursionError) as error:
            raise Tampered(f"these bytes are no signed transaction: {error}") from error
        if raw != _EIP_1559 + encode([*said.fields(), *texts[8:]]):
            raise Tampered("these bytes are no transaction of type 2 with an empty access list")
        return cls(said, _address(key.format(compressed=False)), _hex(keccak(raw)))


def encode(item: Item | Sequence[Item]) -> bytes:
    """Bytes and lists of such as RLP."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _headed(item, 0x80)
    return _headed(b"".join(map(encode, item)), 0xC0)


def decode(content: bytes) -> list[Item]:
    """The one list that these bytes are as RLP; ValueError unless they are it in its only spelling."""
    item, rest = _first(content)
    if rest or isinstance(item, bytes) or encode(item) != content:
        raise ValueError("it is not one list in canonical RLP")
    return item


def _headed(content: bytes, kind: int) -> bytes:
    if len(content) < 56:
        return bytes([kind + len(content)]) + content
    length = _number(len(content))
    return bytes([kind + 55 + len(length)]) + length + content


def _first(content: bytes) -> tuple[Item, bytes]:
    head = content[0]
    if head < 0x80:
        return content[:1], content[1:]
    kind, begin = (0x80 if head < 0xC0 else 0xC0), 1
    length = head - kind
    if length > 55:
        begin += length - 55
        length = int.from_bytes(content[1:begin], "big")
    inside, rest = content[begin : begin + length], content[begin + length :]
    if len(inside) != length:
        raise ValueError("it is cut short")
    return (inside if kind == 0x80 else _all(inside)), rest


def _all(content: bytes) -> list[Item]:
    items: list[Item] = []
    while content:
        item, content = _first(content)
        items.append(item)
    return items


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _read(value: bytes) -> int:
    if value[:1] == b"\0":
        raise ValueError("a number begins with zeros")
    return int.from_bytes(value, "big")


def _stripped(value: bytes) -> bytes:
    return value.lstrip(b"\0")


def _address(public: bytes) -> str:
    return _hex(keccak(public[1:])[-20:])


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
