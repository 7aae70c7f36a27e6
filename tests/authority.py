"""A real time-stamp authority (RFC 3161): `openssl ts` with its own certificate, behind HTTP on loopback."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.programs import needed
from tests.waiting import PATIENCE

CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[stamper]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = stamping
[stamping]
serial = {folder}/serial
signer_cert = {folder}/stamper.pem
signer_key = {folder}/stamper.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class Stamper:
    """The authority: where it answers, who vouches for it (PEM), and how many it has stamped."""

    url: str
    roots: Path
    stamped: int = 0


@contextmanager
def stamping(folder: Path, *, name: str = "Test authority") -> Iterator[Stamper]:
    """An authority with a root of its own, for as long as the block lasts."""
    needed("openssl")
    folder.mkdir(parents=True)
    _make_certificates(folder, name)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            answer = _reply(folder, query)
            stamper.stamped += 1
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    with serving(Answers) as url:
        stamper = Stamper(url, folder / "root.pem")
        yield stamper


@contextmanager
def serving(answers: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of an HTTP server on loopback that answers so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _make_certificates(folder: Path, name: str) -> None:
    (folder / "conf").write_text(CONFIGURATION.format(name=name, folder=folder))
    (folder / "serial").write_text("01\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    root = ["-keyout", "root.key", "-out", "root.pem", "-days", "30", "-extensions", "ca"]
    _openssl(folder, "req", "-x509", "-config", "conf", *key, *root)
    _openssl(
        folder,
        *("req", "-new", "-config", "conf", *key, "-subj", f"/CN={name} stamper"),
        *("-keyout", "stamper.key", "-out", "stamper.csr"),
    )
    signer = ["-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "30"]
    extensions = ["-extfile", "conf", "-extensions", "stamper"]
    _openssl(folder, "x509", "-req", "-in", "stamper.csr", *signer, *extensions, "-out", "stamper.pem")


def _reply(folder: Path, query: bytes) -> bytes:
    (folder / "query").write_bytes(query)
    _openssl(folder, "ts", "-reply", "-config", "conf", "-queryfile", "query", "-out", "answer")
    return (folder / "answer").read_bytes()


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
