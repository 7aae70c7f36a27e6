"""Time-stamps of an authority that is not us (RFC 3161): a checkpoint existed at a time that we did not set.

Anyone can check one with OpenSSL alone:

    openssl ts -verify -in NAME.tsr -data checkpoint -CAfile ROOTS.pem
"""

import time
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    Verifier,
    VerifierBuilder,
    decode_timestamp_response,
)

from lucid_sessions.errors import Refused, Retryable, Tampered

ANSWER_WITHIN = 10.0
# A response holds a few certificates; more than this is something else.
MOST_BYTES = 256 * 1024


@dataclass(frozen=True)
class Authority:
    """A time-stamp authority: its name here, its URL, and the certificates (PEM) that vouch for it.

    `roots` may hold intermediate certificates, too; those that signed themselves are what is trusted.
    """

    name: str
    url: str
    roots: bytes = field(repr=False)

    def stamp(self, content: bytes) -> bytes:
        """The authority's response over these bytes (DER), verified.

        Retryable: it cannot be reached, or declines. Tampered: what came is no time-stamp of these bytes by
        an authority that `roots` vouch for.
        """
        request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
        response = self._ask(request.as_bytes())
        self._verified(response, content, nonce=request.nonce)
        return response

    def verify(self, response: bytes, content: bytes) -> datetime:
        """When, by the authority's clock, these bytes existed. Tampered unless it is vouched for."""
        return self._verified(response, content, nonce=None)

    def _verified(self, response: bytes, content: bytes, *, nonce: int | None) -> datetime:
        try:
            stamp = decode_timestamp_response(response)
            self._verifier(nonce).verify_message(stamp, content)
        except (VerificationError, ValueError) as error:
            raise Tampered(
                f"The time-stamp of {self.name} does not hold: {error}. Check LUCID_TIMESTAMP_ROOTS"
            ) from error
        return stamp.tst_info.gen_time

    def _verifier(self, nonce: int | None) -> Verifier:
        certificates = self._certificates
        roots = [one for one in certificates if one.issuer == one.subject]
        inner = [one for one in certificates if one.issuer != one.subject]
        if not roots:
            raise Refused("LUCID_TIMESTAMP_ROOTS holds no certificate that signed itself: add the root.")
        return VerifierBuilder(roots=roots, intermediates=inner, nonce=nonce).build()

    @cached_property
    def _certificates(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(self.roots)
        except ValueError as error:
            raise Refused(f"LUCID_TIMESTAMP_ROOTS holds no PEM certificates: {error}.") from error

    def _ask(self, query: bytes) -> bytes:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise Refused(f"The time-stamp authority {self.name} has no http or https address: {self.url}")
        asked = urllib.request.Request(  # noqa: S310 -- the scheme was checked
            self.url, data=query, headers={"Content-Type": "application/timestamp-query"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=ANSWER_WITHIN) as answer:  # noqa: S310  # nosec B310
                return _bounded(answer)
        except (OSError, HTTPException, ValueError) as error:
            raise Retryable(f"The time-stamp authority {self.name} at {self.url} failed: {error}.") from error


def _bounded(answer: HTTPResponse) -> bytes:
    """The whole answer; ValueError for one that is too long, or comes too slowly."""
    content, until = b"", time.monotonic() + ANSWER_WITHIN
    while part := answer.read1(MOST_BYTES):
        content += part
        if len(content) > MOST_BYTES:
            raise ValueError(f"it sent more than {MOST_BYTES} bytes")
        if time.monotonic() > until:
            raise ValueError(f"it did not finish within {ANSWER_WITHIN:.0f} s")
    return content
