"""The signed note of a checkpoint (C2SP), read as strictly as it is defined: a part of verify.py, too."""

import base64
import hashlib

from lucid_sessions.archive.plain_proofs import ed25519_holds


# --- The checkpoint --------------------------------------------------------------------------------------
class Failure(Exception):
    """Something in the bundle does not hold."""


def must(holds, problem):
    """Go on only if it holds."""
    if not holds:
        raise Failure(problem)


def key_of(vkey):
    """Origin, key hash and public key of a log's verifier key; ValueError for what is none."""
    origin, key_hash, encoded = vkey.strip().split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    named = hashlib.sha256(origin.encode() + b"\n" + key).digest()[:4].hex()
    if len(key) != 33 or key[:1] != b"\1" or key_hash != named:
        raise ValueError(vkey)
    return origin, key_hash, key[1:]


def open_checkpoint(note, vkey):
    """Size and root of the checkpoint that the log's key signed."""
    origin, key_hash, public = key_of(vkey)
    text, _, signatures = note.rpartition("\n\n")
    must(len(note) <= 64 << 10 and signatures.endswith("\n"), "the checkpoint is not a signed note")
    ours = 0
    for line in signatures[:-1].split("\n"):
        name, blob = signature_line(line)
        if name == origin and blob[:4].hex() == key_hash:
            holds = ed25519_holds(public, blob[4:], (text + "\n").encode())
            must(holds, "a signature of the checkpoint by the log's key does not hold")
            ours += 1
    must(ours, "the checkpoint is not signed by the log's key")
    lines = text.split("\n")
    must(lines[0] == origin and len(lines) == 3, "the checkpoint is not of this log")
    size, root = int(lines[1]), _decode(lines[2])
    must(
        lines[1] == str(size) and 0 <= size < 1 << 63 and len(root) == 32, "the checkpoint says what none can"
    )
    return size, root


def signature_line(line):
    """The name and the bytes of one line below a checkpoint."""
    words = line.split(" ")
    signed = len(words) == 3 and words[0] == "—" and words[1] and "+" not in words[1]
    must(signed, "below the checkpoint is a line that is no signature")
    return words[1], _decode(words[2])


def _decode(text):
    """The bytes of canonical base64."""
    value = base64.b64decode(text, validate=True)
    must(base64.b64encode(value).decode() == text, "the checkpoint holds base64 that is not in its one form")
    return value
