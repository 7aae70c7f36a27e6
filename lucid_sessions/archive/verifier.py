#!/usr/bin/env python3
"""Checks an evidence bundle of Lucid Sessions. One file, Python 3.8 or newer, nothing to install.

    python3 verify.py [BUNDLE.zip | DIRECTORY] [--log-key VKEY]

It checks, from the signed checkpoint down: the log's signature (C2SP signed note, Ed25519), that every
record stands in the log (RFC 6962), that bodies are what the records name, that the leaves make the roots,
that each blob is what its leaf names, and that a writer whom the log names signed it. Pass --log-key with
the verifier key that you were given by another way: the one inside the bundle proves only consistency.

Exit code: 0 everything holds, 1 something does not, 2 wrong usage.
"""

import base64
import hashlib
import json
import struct
import sys
import uuid
import zipfile
from pathlib import Path

FIXED = struct.Struct(">8sBBBBI16s32sQQQQ8s8s8s")
HEADER, TAG, SIGNATURE = 232, 16, 64

# --- Ed25519 verification, RFC 8032 section 5.1.7, in plain integers ----------------------------------
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def _recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def _point(encoded):
    number = int.from_bytes(encoded, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = _recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def _add(one, two):
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _multiply(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (_recover_x(BASE_Y, 0), BASE_Y, 1, _recover_x(BASE_Y, 0) * BASE_Y % P)


def ed25519_holds(public, signature, message):
    """True when `signature` (64 bytes) of `message` was made with the private half of `public` (32 bytes)."""
    key, nonce = _point(public), _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or key is None or nonce is None or scalar >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left = _multiply(scalar, BASE)
    right = _add(nonce, _multiply(int.from_bytes(digest, "little") % L, key))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- Merkle trees, RFC 6962 ------------------------------------------------------------------------------
def leaf_hash(entry):
    """The hash of a leaf."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    """The hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


def merkle_root(leaves):
    """The root over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
    return level[0]


def root_from_proof(leaf, index, size, proof):
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2); None when it has no such shape."""
    node, last = leaf, size - 1
    for sibling in proof:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while index & 1 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return node if last == 0 else None


# --- The bundle ------------------------------------------------------------------------------------------
class Failure(Exception):
    """Something in the bundle does not hold."""


def must(holds, problem):
    """Go on only if it holds."""
    if not holds:
        raise Failure(problem)


class Bundle:
    """A directory or zip file, read by name."""

    def __init__(self, place):
        self.zip = zipfile.ZipFile(place) if zipfile.is_zipfile(place) else None
        self.root = Path(place)

    def read(self, name):
        """The bytes of one member."""
        try:
            return self.zip.read(name) if self.zip else (self.root / name).read_bytes()
        except (KeyError, OSError):
            raise Failure(name + " is missing from the bundle") from None

    def json(self, name):
        """One member as JSON."""
        return json.loads(self.read(name))


def open_checkpoint(note, vkey):
    """Size and root of the checkpoint that the log's key signed."""
    origin, key_hash, encoded = vkey.split("+", 2)
    key = base64.b64decode(encoded)
    text, _, signatures = note.rpartition("\n\n")
    for line in signatures.split("\n"):
        words = line.split(" ")
        if len(words) == 3 and words[1] == origin:
            blob = base64.b64decode(words[2])
            if blob[:4].hex() == key_hash and ed25519_holds(key[1:], blob[4:], (text + "\n").encode()):
                lines = text.split("\n")
                must(lines[0] == origin and len(lines) == 3, "the checkpoint is not of this log")
                return int(lines[1]), base64.b64decode(lines[2])
    raise Failure("the checkpoint is not signed by the log's key")


def check_record(bundle, index, size, root):
    """The record at this index of the log, its place shown by its proof; and its body, if it has one."""
    entry = bundle.read("records/%d.json" % index)
    proof = [bytes.fromhex(one) for one in bundle.json("records/%d.proof.json" % index)]
    must(root_from_proof(leaf_hash(entry), index, size, proof) == root, "record %d is not in the log" % index)
    facts = json.loads(entry)
    if not facts.get("body"):
        return facts, None
    body = bundle.read("bodies/{}.json".format(facts["body"]))
    must(hashlib.sha256(body).hexdigest() == facts["body"], "the body of record %d was changed" % index)
    return facts, json.loads(body)


def chunk_leaf(leaf):
    """The leaf hash of one chunk as bodies list it."""
    place = uuid.UUID(leaf["session"]).bytes + leaf["track"].encode() + b"\0"
    number, length = struct.pack(">Q", leaf["sequence"]), struct.pack(">Q", leaf["length"])
    return leaf_hash(b"lucid/1 leaf\0" + place + number + bytes.fromhex(leaf["blob"]) + length)


def check_blob(blob, leaf, repository, writers):
    """The blob is the one that the leaf names, sealed for this place, signed by a writer of the log."""
    must(hashlib.sha256(blob).hexdigest() == leaf["blob"], "its bytes were changed")
    must(len(blob) == leaf["length"], "it has another length than its leaf says")
    must(len(blob) > HEADER + TAG + SIGNATURE, "it is too short for a chunk")
    head = FIXED.unpack_from(blob)
    session = uuid.UUID(leaf["session"]).bytes
    binding = hashlib.sha256(b"lucid/1 session\0" + session + leaf["track"].encode()).digest()
    must(head[0] == b"\x89LSC\r\n\x1a\n" and head[5] == HEADER, "it is no LSC1 chunk")
    must(head[6:9] == (repository, binding, leaf["sequence"]), "it was sealed for another place")
    public = writers.get(head[13].hex())
    must(public is not None, "its writer is not one that the log names")
    signed = b"lucid/1 chunk sig\0" + hashlib.sha256(blob[:-SIGNATURE]).digest()
    must(ed25519_holds(public, blob[-SIGNATURE:], signed), "its signature does not hold")


def names(checkpoint, proof):
    """True when a time-stamp, a transaction or a cosigned note is about these bytes."""
    in_chain = hashlib.sha256(b"lucid/1 anchor\0" + checkpoint).hexdigest().encode()
    return hashlib.sha256(checkpoint).digest() in proof or in_chain in proof or proof.startswith(checkpoint)


def check(bundle, log_key):
    """Every check on the bundle; yields a line for each thing that holds."""
    manifest = bundle.json("manifest.json")
    must(manifest["format"] == "lucid/1 evidence", "this is not an evidence bundle of version 1")
    for name, digest in manifest["files"].items():
        found = hashlib.sha256(bundle.read(name)).hexdigest()
        must(found == digest, f"{name} is not what the manifest lists")
    size, root = open_checkpoint(bundle.read("checkpoint").decode(), log_key or manifest["log_key"])
    yield f"checkpoint of {size} records, root {root.hex()}, signed by the log"
    for name in sorted(name for name in manifest["files"] if name.startswith("anchors/")):
        must(names(bundle.read("checkpoint"), bundle.read(name)), name + " is of another checkpoint")
        yield name + " names this checkpoint; whether it holds, and since when: see README.txt"
    writers = check_writers(bundle, manifest["writers"], size, root)
    yield f"{len(writers)} writers named by the log"
    in_batches = check_batches(bundle, manifest["batches"], size, root)
    facts, sealed = check_record(bundle, manifest["sealed"], size, root)
    hashes = [chunk_leaf(leaf) for leaf in sealed["leaves"]]
    must(facts["session"] == manifest["session"], "the seal is of another session")
    must(merkle_root(hashes).hex() == facts["root"], "the seal has another root than its leaves")
    must(in_batches.issuperset(hashes), "a chunk of the seal is in no batch of the log")
    yield f"seal, revision {facts['revision']}: {len(hashes)} chunks, root {facts['root']}"
    check_blobs(bundle, sealed["leaves"], bytes.fromhex(manifest["repository"]), writers)
    yield f"{len(hashes)} blobs: hashes, places and signatures hold"
    for lost in sealed["missing"]:
        yield f"MISSING, and listed as such: {chunk_name(lost)}: {lost['reason']}"
    for gap in sealed["gaps"]:
        span = f"{gap['from_us'] / 1e6:.3f} s to {gap['to_us'] / 1e6:.3f} s"
        yield f"gap, recorded as such: {span}: {gap['reason']}"


def check_writers(bundle, indices, size, root):
    """Key id to public key of every writer that the log's records name."""
    writers = {}
    for index in indices:
        facts, _ = check_record(bundle, index, size, root)
        must(facts["kind"] == "writer-added", f"record {index} adds no writer")
        public = bytes.fromhex(facts["public"])
        writers[hashlib.sha256(b"lucid/1 kid\0" + public).hexdigest()[:16]] = public
    return writers


def check_batches(bundle, indices, size, root):
    """The hashes of all leaves that the log's batches anchor."""
    anchored = set()
    for index in indices:
        facts, body = check_record(bundle, index, size, root)
        hashes = [chunk_leaf(leaf) for leaf in body["leaves"]]
        must(merkle_root(hashes).hex() == facts["root"], f"batch {index} has another root than its leaves")
        anchored.update(hashes)
    return anchored


def check_blobs(bundle, leaves, repository, writers):
    """Every blob that the seal lists is there and holds."""
    for leaf in leaves:
        try:
            check_blob(bundle.read("blobs/" + leaf["blob"]), leaf, repository, writers)
        except Failure as failure:
            raise Failure(f"{chunk_name(leaf)}: {failure}") from None


def chunk_name(leaf):
    """How a person finds the chunk."""
    return f"chunk {leaf['sequence'] & 0xFFFFFFFF} of take {leaf['sequence'] >> 32}, track {leaf['track']}"


def main(arguments):
    """Check what the arguments name; the exit code."""
    log_key = None
    if "--log-key" in arguments:
        at = arguments.index("--log-key")
        if at + 1 >= len(arguments):
            return print(__doc__) or 2
        log_key = arguments[at + 1]
        arguments = arguments[:at] + arguments[at + 2 :]
    if len(arguments) > 1 or "-h" in arguments or "--help" in arguments:
        return print(__doc__) or 2
    try:
        for line in check(Bundle(arguments[0] if arguments else Path(__file__).parent), log_key):
            print("ok   " + line)
    except Failure as failure:
        return print("FAIL " + str(failure)) or 1
    except (ValueError, TypeError, KeyError, struct.error, zipfile.BadZipFile, OSError) as error:
        return print(f"FAIL the bundle cannot be read: {error!r}") or 1
    if log_key is None:
        print("note the log's key was taken from the bundle: compare it with the one that you were given")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
