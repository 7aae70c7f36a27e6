#!/usr/bin/env python3
"""Checks an evidence bundle of Lucid Sessions. One file, Python 3.8 or newer, nothing to install.

    python3 verify.py [BUNDLE.zip | DIRECTORY] [--log-key VKEY]

It checks, from the signed checkpoint down: the log's signature (C2SP signed note, Ed25519), that every
record stands in the log (RFC 6962), that bodies are what the records name, that the leaves make the roots,
that each blob is what its leaf names, and that a writer whom the log names, and has not revoked, signed it;
that earlier seals of the session held nothing else. What it cannot show it says. Pass --log-key with the
verifier key that you were given by another way: the one inside the bundle proves only consistency.

Exit code: 0 everything holds, 1 something does not, 2 wrong usage.
"""

import base64  # noqa: F401 - plain_note's
import hashlib
import json
import struct
import sys
import uuid
import zipfile
import zlib
from pathlib import Path

# In a bundle's verify.py what is imported here stands in the place of these imports.
from lucid_sessions.archive.plain_note import Failure, key_of, must, open_checkpoint
from lucid_sessions.archive.plain_proofs import ed25519_holds, leaf_hash, merkle_root, root_from_proof

FIXED = struct.Struct(">8sBBBBI16s32sQQQQ8s8s8s")
HEADER, DIGEST, TAG, SIGNATURE = 232, 32, 16, 64
LARGEST_PLAIN = 64 << 20
# The most that is read into memory of one member: of a chunk by its format; of JSON this, or, since hashes
# hardly compress, so many times what it takes up in the bundle.
LARGEST_CHUNK, LARGEST_JSON, EXPANSION = LARGEST_PLAIN + 344, 16 << 20, 8
PIECE = 1 << 20
NOT_SHOWN = "NOT SHOWN:"
OF_SHAPE = (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError)
UNREADABLE = (*OF_SHAPE, EOFError, OSError, struct.error, zipfile.BadZipFile, zlib.error)


# --- The bundle ------------------------------------------------------------------------------------------
class Bundle:
    """A directory or zip file, read by name; what it may be made of costs no more memory than it should."""

    def __init__(self, place):
        self.zip = zipfile.ZipFile(place) if zipfile.is_zipfile(place) else None
        self.root = Path(place)

    def names(self):
        """The name of every member, each once."""
        found = [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if not path.is_dir()]
        if self.zip:
            found = [info.filename for info in self.zip.infolist() if not info.is_dir()]
        seen = set()
        for name in found:
            must(name not in seen, name + " is in the bundle twice")
            seen.add(name)
        return sorted(seen)

    def read(self, name, most=LARGEST_CHUNK):
        """The bytes of one member, which has no more than so many."""
        with self.open(name)[0] as member:
            content = member.read(most + 1)
        must(len(content) <= most, name + " is larger than it can be")
        return content

    def digest(self, name):
        """The SHA-256 of one member, hexadecimal."""
        digest = hashlib.sha256()
        with self.open(name)[0] as member:
            for piece in iter(lambda: member.read(PIECE), b""):
                digest.update(piece)
        return digest.hexdigest()

    def json(self, name):
        """One member as JSON."""
        member, packed = self.open(name)
        member.close()
        return json.loads(self.read(name, max(LARGEST_JSON, EXPANSION * packed)))

    def open(self, name):
        """One member as a file, and what it takes up; its name leads nowhere outside of the bundle."""
        parts = name.replace("\\", "/").split("/")
        must(not {"", ".", ".."}.intersection(parts) and ":" not in name, name + " is no name in a bundle")
        try:
            if self.zip:
                info = self.zip.getinfo(name)
                must(info.compress_type in (0, 8), name + " is packed in another way than bundles are")
                return self.zip.open(info), info.compress_size
            path = (self.root / name).resolve(strict=True)
            must(self.root.resolve() in path.parents and path.is_file(), name + " is no file of the bundle")
            return path.open("rb"), path.stat().st_size
        except (KeyError, OSError):
            raise Failure(name + " is missing from the bundle") from None


def check_record(bundle, index, kind, size, root):
    """The record of this kind at this index of the log, shown by its proof; and its body, if it has one."""
    entry = bundle.read("records/%d.json" % index)
    proof = [bytes.fromhex(one) for one in bundle.json("records/%d.proof.json" % index)]
    must(root_from_proof(leaf_hash(entry), index, size, proof) == root, "record %d is not in the log" % index)
    facts = json.loads(entry)
    must(facts["kind"] == kind, f"record {index} is not of kind {kind}")
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
    must(len(blob) >= FIXED.size, "it is too short for a chunk")
    head = FIXED.unpack_from(blob)
    session = uuid.UUID(leaf["session"]).bytes
    binding = hashlib.sha256(b"lucid/1 session\0" + session + leaf["track"].encode()).digest()
    fixed = (head[0], head[1], head[2], head[4], head[5], head[14])
    must(fixed == (b"\x89LSC\r\n\x1a\n", 1, 1, 0, HEADER, bytes(8)), "it is no LSC1 chunk of version 1")
    codec, plain, packed = head[3], head[10], head[11] - DIGEST
    must(codec <= 3 and 0 <= packed <= plain <= LARGEST_PLAIN, "it states a codec or lengths that none has")
    whole = HEADER + head[11] + TAG + SIGNATURE
    must((codec or packed == plain) and len(blob) == whole, "it has another length than it states")
    must(head[6:9] == (repository, binding, leaf["sequence"]), "it was sealed for another place")
    public = writers.get(head[13].hex())
    must(public is not None, "its writer is not one that the log names, or was revoked before")
    signed = b"lucid/1 chunk sig\0" + hashlib.sha256(blob[:-SIGNATURE]).digest()
    must(ed25519_holds(public, blob[-SIGNATURE:], signed), "its signature does not hold")


def names(checkpoint, proof):
    """True when a time-stamp, a transaction or a cosigned note is about these bytes."""
    in_chain = hashlib.sha256(b"lucid/1 anchor\0" + checkpoint).hexdigest().encode()
    return hashlib.sha256(checkpoint).digest() in proof or in_chain in proof or proof.startswith(checkpoint)


def check(bundle, log_key):
    """Every check on the bundle; yields a line for each thing that holds, or that is not shown by it."""
    manifest = bundle.json("manifest.json")
    must(manifest["format"] == "lucid/1 evidence", "this is not an evidence bundle of version 1")
    there = bundle.names()
    for name, digest in manifest["files"].items():
        must(bundle.digest(name) == digest, f"{name} is not what the manifest lists")
    size, root = open_checkpoint(bundle.read("checkpoint").decode(), log_key or manifest["log_key"])
    yield f"checkpoint of {size} records, root {root.hex()}, signed by the log"
    for name in sorted(name for name in manifest["files"] if name.startswith("anchors/")):
        must(names(bundle.read("checkpoint"), bundle.read(name)), name + " is of another checkpoint")
        yield name + " names this checkpoint; whether it holds, and since when: see README.txt"
    writers = check_writers(bundle, manifest, size, root)
    yield f"{len(writers)} writers named by the log"
    anchored = check_batches(bundle, manifest["batches"], size, root)
    facts, sealed = check_seal(bundle, manifest["sealed"], manifest["session"], size, root)
    leaves = sealed["leaves"]
    must(anchored.keys() >= set(map(chunk_leaf, leaves)), "a chunk of the seal is in no batch of the log")
    yield f"session {manifest['session']}"
    yield f"seal, revision {facts['revision']}: {len(leaves)} chunks, root {facts['root']}"
    yield from check_earlier(bundle, manifest, facts, leaves, size, root)
    check_blobs(bundle, leaves, bytes.fromhex(manifest["repository"]), writers, anchored)
    yield f"{len(leaves)} blobs: hashes, places and signatures hold"
    for lost in sealed["missing"]:
        yield f"MISSING, and listed as such: {chunk_name(lost)}: {lost['reason']}"
    for gap in sealed["gaps"]:
        span = f"{gap['from_us'] / 1e6:.3f} s to {gap['to_us'] / 1e6:.3f} s"
        yield f"gap, recorded as such: track {gap['track']}, {span}: {gap['reason']}"
    yield from not_shown(manifest, there)


def not_shown(manifest, there):
    """What nobody can see by this bundle alone."""
    yield f"{NOT_SHOWN} whether the log revoked a writer, or sealed this session again, and this was left out"
    for name in sorted(manifest["files"]):
        if name.startswith("media/"):
            yield f"{NOT_SHOWN} {name} is bound by the manifest only, which nobody signed: see README.txt"
    for name in there:
        if name not in manifest["files"] and name != "manifest.json":
            yield f"{NOT_SHOWN} anything of {name}: the manifest does not list it"


def check_writers(bundle, manifest, size, root):
    """Key id to public key, and to the size from which it is revoked, of every writer that the log names."""
    writers = {}
    for index in manifest["writers"]:
        facts, _ = check_record(bundle, index, "writer-added", size, root)
        public = bytes.fromhex(facts["public"])
        writers[hashlib.sha256(b"lucid/1 kid\0" + public).hexdigest()[:16]] = public, size
    for index in manifest.get("revoked", []):
        facts, _ = check_record(bundle, index, "writer-revoked", size, root)
        if facts["key_id"] in writers:
            public, until = writers[facts["key_id"]]
            writers[facts["key_id"]] = public, min(until, facts["size"])  # a later one gives nothing back
    return writers


def check_batches(bundle, indices, size, root):
    """The hash of each leaf that the log's batches anchor, to the index of the first that does."""
    anchored: "dict[bytes, int]" = {}
    for index in sorted(indices):
        facts, body = check_record(bundle, index, "batch", size, root)
        hashes = [chunk_leaf(leaf) for leaf in body["leaves"]]
        must(merkle_root(hashes).hex() == facts["root"], f"batch {index} has another root than its leaves")
        for leaf in hashes:
            anchored.setdefault(leaf, index)
    return anchored


def check_seal(bundle, index, session, size, root):
    """A seal of this session, and its body."""
    facts, body = check_record(bundle, index, "sealed", size, root)
    leaves = body["leaves"]
    of_session = all(leaf["session"] == session for leaf in leaves) and facts["session"] == session
    must(of_session, f"the seal of record {index} is of another session")
    hashes = [chunk_leaf(leaf) for leaf in leaves]
    must(merkle_root(hashes).hex() == facts["root"], "the seal has another root than its leaves")
    places = {(leaf["track"], leaf["sequence"]) for leaf in leaves}
    must(len(places) == len(leaves), f"the seal of record {index} has one place twice")
    return facts, body


def check_earlier(bundle, manifest, newest, leaves, size, root):
    """The newest seal holds all that those before it held; yields a line for them, and for one not there."""
    held = {chunk_leaf(leaf) for leaf in leaves}
    found = {}
    for index in manifest.get("earlier", []):
        must(index < manifest["sealed"], f"the seal of record {index} is newer than the one called newest")
        facts, body = check_seal(bundle, index, manifest["session"], size, root)
        for leaf in body["leaves"]:
            must(chunk_leaf(leaf) in held, f"{chunk_name(leaf)} is in seal {index} and not in the newest")
        found[index] = facts
    if found:
        yield f"{len(found)} earlier seals: the newest holds all that they held"
    before = newest["previous"]
    while before in found:
        before = found.pop(before)["previous"]
    if before is not None:
        yield f"{NOT_SHOWN} what record {before} sealed before: it is not in the bundle"


def check_blobs(bundle, leaves, repository, writers, anchored):
    """Every blob that the seal lists is there and holds."""
    for leaf in leaves:
        batch = anchored[chunk_leaf(leaf)]
        known = {key_id: public for key_id, (public, until) in writers.items() if batch < until}
        try:
            check_blob(bundle.read("blobs/" + leaf["blob"]), leaf, repository, known)
        except Failure as failure:
            raise Failure(f"{chunk_name(leaf)}: {failure}") from None


def chunk_name(leaf):
    """How a person finds the chunk."""
    return f"chunk {leaf['sequence'] & 0xFFFFFFFF} of take {leaf['sequence'] >> 32}, track {leaf['track']}"


def say(line):
    """Print it as one line, whatever a name in it holds, and whatever the terminal can show."""
    plain = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    shown = sys.stdout.encoding or "ascii"
    print(plain.encode(shown, "backslashreplace").decode(shown))


def main(arguments):
    """Check what the arguments name; the exit code."""
    log_key = None
    if "--log-key" in arguments:
        at = arguments.index("--log-key")
        if at + 1 >= len(arguments):
            return print(__doc__) or 2
        log_key = arguments[at + 1]
        arguments = arguments[:at] + arguments[at + 2 :]
        try:
            key_of(log_key)
        except ValueError:
            return print("--log-key is no verifier key, such as NAME+1a2b3c4d+BASE64: " + repr(log_key)) or 2
    if len(arguments) > 1 or "-h" in arguments or "--help" in arguments:
        return print(__doc__) or 2
    try:
        for line in check(Bundle(arguments[0] if arguments else Path(__file__).parent), log_key):
            say(line if line.startswith(NOT_SHOWN) else "ok   " + line)
    except Failure as failure:
        return say("FAIL " + str(failure)) or 1
    except UNREADABLE as error:
        return say(f"FAIL the bundle cannot be read: {error!r}") or 1
    if log_key is None:
        print("note the log's key was taken from the bundle: compare it with the one that you were given")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
