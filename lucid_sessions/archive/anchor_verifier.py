#!/usr/bin/env python3
"""Checks what others say of an evidence bundle's checkpoint. Python 3.8 or newer, nothing to install.

    python3 verify_anchors.py [BUNDLE.zip | DIRECTORY] [--witness-key VKEY]... [--account 0x...]...

Cosignatures of witnesses are checked whole, with the witness's verifier key (C2SP) that you were given. Of a
transaction in a chain it checks, without asking anybody, that it carries the checkpoint's digest and which
account signed it. That proves no time, for the log's operator has that account's key. The chain does: ask
any node that you trust for the transaction, with the command that is printed, and compare its block.
Time-stamps (NAME.tsr) are checked with OpenSSL: see README.txt. verify.py, beside this, checks the rest.

Exit code: 0 everything holds, 1 something does not, or nothing is there by a witness or an account that you
named, 2 wrong usage.
"""

import base64
import datetime
import hashlib
import json
import runpy
import sys
from pathlib import Path

# --- Keccak-256, as before FIPS 202: https://keccak.team/keccak_specs_summary.html ----------------------
WORD = (1 << 64) - 1
RATE = 136


def _round_constants():
    state, found = 1, []
    for _ in range(24):
        constant = 0
        for bit in range(7):
            if state & 1:
                constant ^= 1 << ((1 << bit) - 1)
            state = (state << 1) ^ (0x171 if state & 0x80 else 0)
        found.append(constant)
    return found


ROUNDS = _round_constants()


def _turn(word, by):
    return ((word << by) | (word >> (64 - by))) & WORD if by else word


def _permute(lanes):
    for constant in ROUNDS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [columns[(x - 1) % 5] ^ _turn(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ mixed[place % 5] for place, lane in enumerate(lanes)]
        x, y, moved = 1, 0, lanes[1]
        turned = list(lanes)
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            turned[x + 5 * y], moved = _turn(moved, (step + 1) * (step + 2) // 2 % 64), lanes[x + 5 * y]
        lanes = [
            turned[place]
            ^ (~turned[place // 5 * 5 + (place + 1) % 5] & turned[place // 5 * 5 + (place + 2) % 5])
            for place in range(25)
        ]
        lanes[0] ^= constant
    return lanes


def keccak(content):
    """The 32 bytes by which Ethereum names things."""
    padded = bytearray(content) + b"\1" + b"\0" * (RATE - 1 - len(content) % RATE)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for begin in range(0, len(padded), RATE):
        for place in range(RATE // 8):
            at = begin + 8 * place
            lanes[place] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


# --- ECDSA over secp256k1: the public key that a signature is by (SEC 1, 4.1.6), in plain integers -------
P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def _add(one, two):
    if one is None or two is None:
        return two if one is None else one
    if one[0] == two[0]:
        if (one[1] + two[1]) % P == 0:
            return None
        slope = 3 * one[0] * one[0] * pow(2 * one[1], P - 2, P) % P
    else:
        slope = (two[1] - one[1]) * pow(two[0] - one[0], P - 2, P) % P
    x = (slope * slope - one[0] - two[0]) % P
    return (x, (slope * (one[0] - x) - one[1]) % P)


def _multiply(scalar, point):
    total = None
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def signer(digest, r, s, odd):
    """The public key (x, y) whose signature of the digest this is; None: nobody's."""
    if not (0 < r < N and 0 < s < N):
        return None
    y = pow(r**3 + 7, (P + 1) // 4, P)
    if (y * y - r**3 - 7) % P:
        return None
    point = (r, y if y & 1 == odd else P - y)
    inverse = pow(r, N - 2, N)
    shift = _multiply(-int.from_bytes(digest, "big") * inverse % N, G)
    return _add(_multiply(s * inverse % N, point), shift)


# --- Transactions of type 2 (EIP-1559) in RLP ------------------------------------------------------------
def decode(content):
    """The first item of RLP, and what follows it."""
    head = content[0]
    if head < 0x80:
        return content[:1], content[1:]
    base, begin = (0x80 if head < 0xC0 else 0xC0), 1
    length = head - base
    if length > 55:
        begin += length - 55
        length = int.from_bytes(content[1:begin], "big")
    inside, rest = content[begin : begin + length], content[begin + length :]
    if len(inside) != length:
        raise ValueError("a transaction is cut short")
    if base == 0x80:
        return inside, rest
    items = []
    while inside:
        item, inside = decode(inside)
        items.append(item)
    return items, rest


def encode(items):
    """A list of bytes, and of empty lists, as RLP."""
    parts = []
    for item in items:
        if item == []:
            parts.append(b"\xc0")
        else:
            parts.append(item if len(item) == 1 and item[0] < 0x80 else _head(0x80, item) + item)
    content = b"".join(parts)
    return _head(0xC0, content) + content


def _head(base, content):
    if len(content) < 56:
        return bytes([base + len(content)])
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(length)]) + length


def read_transaction(raw):
    """Chain, content, sender and hash of a signed transaction."""
    fields, rest = decode(raw[1:])
    if raw[:1] != b"\2" or rest or len(fields) != 12 or raw[1:] != encode(fields):
        raise ValueError("it is no transaction of type 2")
    digest = keccak(b"\2" + encode(fields[:9]))
    odd, r, s = (int.from_bytes(one, "big") for one in fields[9:])
    key = signer(digest, r, s, odd)
    if key is None:
        raise ValueError("its signature is nobody's")
    sender = keccak(key[0].to_bytes(32, "big") + key[1].to_bytes(32, "big"))[-20:]
    return int.from_bytes(fields[0], "big"), fields[7], "0x" + sender.hex(), "0x" + keccak(raw).hex()


# --- The anchors -----------------------------------------------------------------------------------------
# What is told and was not checked begins with this.
NOTE = "note "


def check_transaction(checkpoint, proof, accounts, must):
    """Lines on an anchor in a chain."""
    said = json.loads(proof)
    chain, content, sender, name = read_transaction(bytes.fromhex(said["transaction"][2:]))
    digest = hashlib.sha256(b"lucid/1 anchor\0" + checkpoint).digest()
    must(content == digest, "the transaction carries another digest than this checkpoint's")
    must(said["transaction_hash"] == name, "the transaction has another hash")
    must(not accounts or sender in accounts, "it was sent by " + sender)
    block = said["block"]
    number, at = int(block["number"], 16), _time(int(block["timestamp"], 16))
    yield f"transaction {name} of chain {chain} carries this checkpoint's digest, signed by {sender}"
    yield NOTE + f"SAID, not shown here: block {number}, {block['hash']}, of {at}"
    params = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionByHash", "params": [name]})
    yield NOTE + f"ask a node of chain {chain}: curl -H 'Content-Type: application/json' -d '{params}' URL"


def check_cosigned(checkpoint, proof, keys, tools):
    """Lines on a checkpoint that witnesses cosigned."""
    must, holds = tools["must"], tools["ed25519_holds"]
    must(proof.startswith(checkpoint), "what was cosigned is another checkpoint")
    text = checkpoint.decode().rpartition("\n\n")[0] + "\n"
    signed: "dict[str, list[bytes]]" = {}
    for line in proof[len(checkpoint) :].decode().rstrip("\n").split("\n"):
        name, signature = tools["signature_line"](line)
        signed.setdefault(name, []).append(signature)
    known = [key for key in keys if key.partition("+")[0] in signed]
    if not known:
        yield NOTE + "cosigned by {}, NOT CHECKED: pass --witness-key".format(", ".join(signed))
    for key in known:
        name, _, encoded = key.split("+", 2)
        public = base64.b64decode(encoded)
        key_hash = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
        # A witness may sign with another key as well, as when it changes its key.
        own = [line for line in signed[name] if line[:4] == key_hash]
        times = [int.from_bytes(line[4:12], "big") for line in own]
        messages = [f"cosignature/v1\ntime {seconds}\n{text}".encode() for seconds in times]
        whole = all(holds(public[1:], line[12:], said) for line, said in zip(own, messages))
        must(own and public[:1] == b"\4" and whole, f"the cosignature by {name} does not hold")
        yield f"cosigned by {name} at {_time(min(times))}"


def _time(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()


def check(bundle, keys, accounts, tools):
    """Every check on the anchors; yields a line for each thing that holds."""
    checkpoint, said = bundle.read("checkpoint"), []
    for name in sorted(one for one in bundle.json("manifest.json")["files"] if one.startswith("anchors/")):
        proof = bundle.read(name)
        lines = [NOTE + name + " is not checked here: see README.txt (openssl)"]
        if name.endswith(".evm.json"):
            lines = check_transaction(checkpoint, proof, accounts, tools["must"])
        elif name.endswith(".cosigned"):
            lines = check_cosigned(checkpoint, proof, keys, tools)
        for line in lines:
            said.append(line)
            yield line
    for account in accounts:
        signed = any(line.endswith("signed by " + account) for line in said)
        tools["must"](signed, "there is no transaction signed by " + account)
    for key in keys:
        name = key.partition("+")[0]
        cosigned = any(line.startswith("cosigned by " + name + " at ") for line in said)
        tools["must"](cosigned, "there is no cosignature by " + name)
    if not said:
        yield NOTE + "nobody vouches for this checkpoint: no anchors are in the bundle"


def main(arguments):
    """Check what the arguments name; the exit code."""
    place = None
    told: "dict[str, list[str]]" = {"--witness-key": [], "--account": []}
    while arguments:
        one, *arguments = arguments
        if one in told and arguments:
            told[one].append(arguments.pop(0))
        elif one.startswith("-") or place is not None:
            return print(__doc__) or 2
        else:
            place = one
    here = Path(__file__).parent
    tools = runpy.run_path(str(here / "verify.py"))
    accounts = [one.lower() for one in told["--account"]]
    try:
        for line in check(tools["Bundle"](place or here), told["--witness-key"], accounts, tools):
            tools["say"](line if line.startswith(NOTE) else "ok   " + line)
    except tools["Failure"] as failure:
        return tools["say"]("FAIL " + str(failure)) or 1
    except (*tools["UNREADABLE"], IndexError) as error:
        return tools["say"](f"FAIL an anchor cannot be read: {error!r}") or 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
