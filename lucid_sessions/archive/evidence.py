"""The offline bundle: everything that proves one session, for someone who does not trust us. Pure.

A zip file that holds the sealed blobs, the ledger's records with their inclusion proofs and bodies, the
signed checkpoint, and `verify.py`, which checks it all with nothing but Python's standard library.
docs/archive-format.md describes every byte, so that anyone may write another verifier.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

FORMAT = "lucid/1 evidence"

README = """Evidence of one recorded remote-desktop session.

Check it:        python3 verify.py
                 python3 verify.py --log-key '<the log's verifier key, given to you by another way>'
checkpoint       the log's signed head (C2SP signed note)
anchors/         what others say of the checkpoint, if there are any:
  NAME.tsr         a time-stamp (RFC 3161):
                   openssl ts -verify -in anchors/NAME.tsr -data checkpoint -CAfile ROOTS-OF-NAME.pem
                   It counts for what its authority signed while its certificate was valid. When that has
                   expired, add -attime SECONDS: the time that the stamp says, in seconds since 1970
                   (openssl ts -reply -in anchors/NAME.tsr -text says it as a date). Without it OpenSSL
                   asks about today, and fails.
  NAME.cosigned    the checkpoint, cosigned by a witness that saw the log only grow (C2SP tlog-cosignature):
                   python3 verify_anchors.py --witness-key '<the witness's verifier key>'
  evm-N.evm.json   a transaction in chain N (EVM) that carries its digest:
                   python3 verify_anchors.py --account 0x<the log's account in that chain>
                   This shows who signed it. That the chain holds it, and since when, any node of the chain
                   says: the command prints the question.
records/         the ledger records that speak of this session, each with its RFC 6962 inclusion proof
bodies/          what those records name by SHA-256: leaves, gaps, what is missing
blobs/           the encrypted segments, named by SHA-256 (LSC1 chunks)
media/           the decrypted recording, if it was asked for. Only manifest.json binds it, which nobody
                 signed: another film with its hash put there would pass. To check it, decrypt blobs/ with
                 keys/ (ask for a bundle with them): each blob that the seal lists is one piece of the film
                 and plays alone. What they show is what was recorded, and the film has to show the same.
keys/            the session's private keys, if they were asked for: with them anyone can decrypt blobs/, by
                 section 3 of the published archive format (docs/archive-format.md)
manifest.json    the SHA-256 of every file here
"""


@dataclass(frozen=True)
class Proven:
    """One record of the log: its index, its bytes, its inclusion proof, and its body if it has one."""

    index: int
    entry: bytes
    proof: Sequence[bytes]
    body_name: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Evidence:
    """What goes into a bundle. Blobs are read one by one, since together they may not fit in memory."""

    session: str
    repository: bytes
    log_key: str
    checkpoint: str
    sealed: Proven
    batches: Sequence[Proven]
    writers: Sequence[Proven]
    # Records that revoke writers, and the session's seals before the newest.
    revoked: Sequence[Proven]
    earlier: Sequence[Proven]
    blobs: Sequence[str]
    read_blob: Callable[[str], bytes]
    media: Sequence[Path] = ()
    keys: dict[str, bytes] = field(default_factory=dict, repr=False)
    # File name to what an authority outside has said about the checkpoint.
    anchors: dict[str, bytes] = field(default_factory=dict)


def write_bundle(out: IO[bytes], evidence: Evidence) -> None:
    """Write the bundle as a zip file to `out`; blobs are stored, since they do not compress."""
    files: dict[str, str] = {}
    with zipfile.ZipFile(out, "w", allowZip64=True) as bundle:
        for name, content in _small_files(evidence):
            files[name] = hashlib.sha256(content).hexdigest()
            bundle.writestr(_entry(name), content, zipfile.ZIP_DEFLATED)
        for blob in evidence.blobs:
            content = evidence.read_blob(blob)
            files[f"blobs/{blob}"] = hashlib.sha256(content).hexdigest()
            bundle.writestr(_entry(f"blobs/{blob}"), content, zipfile.ZIP_STORED)
        for path in evidence.media:
            with path.open("rb") as media:
                files[f"media/{path.name}"] = hashlib.file_digest(media, "sha256").hexdigest()
            bundle.write(path, f"media/{path.name}", zipfile.ZIP_STORED)
        bundle.writestr(_entry("manifest.json"), _manifest(evidence, files), zipfile.ZIP_DEFLATED)


def _further(evidence: Evidence) -> Iterable[Proven]:
    return (*evidence.batches, *evidence.writers, *evidence.revoked, *evidence.earlier)


def _entry(name: str) -> zipfile.ZipInfo:
    # A fixed date: the same evidence makes the same bytes.
    return zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))


def _small_files(evidence: Evidence) -> Iterable[tuple[str, bytes]]:
    yield "README.txt", README.encode()
    yield "verify.py", _verifier().encode()
    if evidence.anchors:
        yield "verify_anchors.py", (Path(__file__).parent / "anchor_verifier.py").read_bytes()
    yield "checkpoint", evidence.checkpoint.encode()
    for name, proof in evidence.anchors.items():
        yield f"anchors/{name}", proof
    bodies = {}
    for record in (evidence.sealed, *_further(evidence)):
        yield f"records/{record.index}.json", record.entry
        yield f"records/{record.index}.proof.json", json.dumps([one.hex() for one in record.proof]).encode()
        if record.body_name:
            bodies[record.body_name] = record.body
    for name, body in bodies.items():
        yield f"bodies/{name}.json", body
    for track, key in evidence.keys.items():
        yield f"keys/{track}.x25519", key.hex().encode() + b"\n"


def _verifier() -> str:
    """One file that needs nothing of ours: what it imports from beside it stands in the imports' place."""
    text = (Path(__file__).parent / "verifier.py").read_text(encoding="utf-8")
    return re.sub(r"^from lucid_sessions\.archive\.(\w+) import .*\n", _imported, text, flags=re.MULTILINE)


def _imported(line: re.Match[str]) -> str:
    """What the module that this line imports from says below its own imports."""
    text = (Path(__file__).parent / f"{line[1]}.py").read_text(encoding="utf-8")
    _, rule, content = text.partition("# --- ")
    return rule + content


def _manifest(evidence: Evidence, files: dict[str, str]) -> bytes:
    content = {
        "format": FORMAT,
        "session": evidence.session,
        "repository": evidence.repository.hex(),
        "log_key": evidence.log_key,
        "sealed": evidence.sealed.index,
        "batches": [record.index for record in evidence.batches],
        "writers": [record.index for record in evidence.writers],
        "revoked": [record.index for record in evidence.revoked],
        "earlier": [record.index for record in evidence.earlier],
        "files": files,
    }
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"
