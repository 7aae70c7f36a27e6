"""An RDP server's certificate, looked at before anything secret is sent."""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Literal

from recorder.errors import BadSource, SourceAway
from recorder.sources.reach import Endpoint
from recorder.sources.target import Target

SECONDS = 6.0
_TLS, _NLA = 1, 2
# MS-RDPBCGR 2.2.1.1: TPKT header, X.224 connection request, then which security protocols we can do.
_ASK = struct.pack(">BBH BBHHB", 3, 0, 19, 14, 0xE0, 0, 0, 0) + struct.pack("<BBHI", 1, 0, 8, _TLS | _NLA)
_ANSWER, _REFUSAL = 2, 3
Checked = Literal["fingerprint", "authority", "not checked"]


@dataclass(frozen=True)
class Certificate:
    """A server's certificate: its SHA-256 in small hexadecimal digits, and how it was checked."""

    sha256: str
    checked: Checked

    @property
    def pretty(self) -> str:
        """The fingerprint as tools print it."""
        digits = self.sha256.upper()
        return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))


def check_certificate(target: Target, endpoint: Endpoint) -> Certificate:
    """The server's certificate, checked as the target says; `BadSource` when it does not pass.

    `SourceAway` when the server cannot be reached.
    """
    found = fingerprint(target, endpoint)
    if target.ignore_cert:
        return Certificate(found, "not checked")
    if not target.fingerprint:
        _check_authority(target, endpoint, found=found)
        return Certificate(found, "authority")
    if found != target.fingerprint:
        raise BadSource(
            f"{target.place} shows another certificate than was pinned: SHA-256 {found}. "
            "No password was sent. If the server has a new certificate, pin that one; "
            "if not, somebody stands between."
        )
    return Certificate(found, "fingerprint")


def fingerprint(target: Target, endpoint: Endpoint) -> str:
    """The SHA-256 of the certificate that the server shows, unchecked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Old servers sign with what OpenSSL calls weak: here nothing is trusted because of a signature.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        with _negotiated(endpoint) as plain, context.wrap_socket(plain) as secure:
            return hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError as error:
        raise _away(target, error) from error


def is_answering(endpoint: Endpoint, *, seconds: float) -> bool:
    """Whether the server still takes connections and answers the first question of each."""
    try:
        with _negotiated(endpoint, seconds=seconds):
            return True
    except BadSource:
        return True
    except OSError:
        return False


def _check_authority(target: Target, endpoint: Endpoint, *, found: str) -> None:
    context = ssl.create_default_context()
    try:
        with (
            _negotiated(endpoint) as plain,
            context.wrap_socket(plain, server_hostname=target.host) as secure,
        ):
            shown = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
    except ssl.SSLCertVerificationError as error:
        raise BadSource(
            f"No authority that this machine trusts vouches for {target.place} ({error.verify_message}). "
            f"No password was sent. If SHA-256 {found} is the server's certificate, pin it."
        ) from error
    except OSError as error:
        raise _away(target, error) from error
    if shown != found:
        raise BadSource(f"{target.place} showed two certificates within a moment. Pin the right one.")


def _negotiated(endpoint: Endpoint, *, seconds: float = SECONDS) -> socket.socket:
    """A connection on which the server has agreed to TLS; `BadSource` when it does not."""
    connection = endpoint.connect(seconds)
    try:
        connection.sendall(_ASK)
        answer = _read(connection, 4)
        answer += _read(connection, struct.unpack(">H", answer[2:])[0] - 4)
        _check_answer(answer, endpoint)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_answer(answer: bytes, endpoint: Endpoint) -> None:
    if len(answer) < 19 or answer[11] != _ANSWER or not answer[15] & (_TLS | _NLA):
        raise BadSource(
            f"The server at {endpoint} does not protect its connections with TLS or NLA. "
            "Turn that on there: without it a password could be read on the way."
        )


def _read(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        piece = connection.recv(length - len(content))
        if not piece:
            raise ConnectionResetError("the connection was closed")
        content += piece
    return content


def _away(target: Target, error: OSError) -> SourceAway:
    why = error.strerror or str(error) or type(error).__name__
    return SourceAway(
        f"{target.place} does not answer as an RDP server ({why}). Check host, port and network."
    )
