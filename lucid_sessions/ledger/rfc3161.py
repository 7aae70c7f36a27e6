"""Time-stamps of an authority that is not us (RFC 3161): a checkpoint existed at a time that we did not set.

Anyone can check one with OpenSSL alone:

    openssl ts -verify -in NAME.tsr -data checkpoint -CAfile ROOTS.pem

That asks about today. Once the authority's certificate has expired: -attime, with the stamp's own time.

What reads certificates is loaded by whoever stamps or verifies: it was a twentieth of every command's start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger.anchors import STAMP, Anchor
from lucid_sessions.ledger.answers import post, public_part
from lucid_sessions.ledger.log import Log

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import Verifier


@dataclass(frozen=True)
class Authority:
    """A time-stamp authority: its name here, its URL, and the certificates (PEM) that vouch for it.

    `roots` may hold intermediate certificates, too; those that signed themselves are what is trusted.
    """

    name: str
    url: str
    roots: bytes = field(repr=False)
    every: timedelta = timedelta(hours=1)
    kind: ClassVar[str] = STAMP

    def unfinished(self, _: Log, /) -> bool:
        """False: each answer is final."""
        return False

    def vouch(self, log: Log, note: bytes) -> Anchor:
        """The authority's time-stamp of this checkpoint."""
        return Anchor(log.at(note).size, self.name, note, self.stamp(note))

    def stamp(self, content: bytes) -> bytes:
        """The authority's response over these bytes (DER), verified.

        Retryable: it cannot be reached, or declines. Tampered: what came is no time-stamp of these bytes by
        an authority that `roots` vouch for.
        """
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
        response = self._ask(request.as_bytes())
        self._verified(response, content, nonce=request.nonce)
        return response

    def verify(self, response: bytes, content: bytes) -> datetime:
        """When, by the authority's clock, these bytes existed. Tampered unless it is vouched for."""
        return self._verified(response, content, nonce=None)

    def _verified(self, response: bytes, content: bytes, *, nonce: int | None) -> datetime:
        from rfc3161_client import VerificationError, decode_timestamp_response

        try:
            stamp = decode_timestamp_response(response)
            self._verifier(nonce).verify_message(stamp, content)
        except (VerificationError, ValueError) as error:
            raise Tampered(
                f"The time-stamp of {self.name} does not hold: {error}. Check LUCID_TIMESTAMP_ROOTS"
            ) from error
        return stamp.tst_info.gen_time

    def _verifier(self, nonce: int | None) -> Verifier:
        from rfc3161_client import VerifierBuilder

        certificates = self._certificates
        roots = [one for one in certificates if one.issuer == one.subject]
        inner = [one for one in certificates if one.issuer != one.subject]
        if not roots:
            raise Refused("LUCID_TIMESTAMP_ROOTS holds no certificate that signed itself: add the root.")
        return VerifierBuilder(roots=roots, intermediates=inner, nonce=nonce).build()

    @cached_property
    def _certificates(self) -> list[Certificate]:
        from cryptography.x509 import load_pem_x509_certificates

        try:
            return load_pem_x509_certificates(self.roots)
        except ValueError as error:
            raise Refused(f"LUCID_TIMESTAMP_ROOTS holds no PEM certificates: {error}.") from error

    def _ask(self, query: bytes) -> bytes:
        who = f"The time-stamp authority {self.name}"
        status, answer = post(self.url, query, kind="application/timestamp-query", who=who)
        if status != 200:
            raise Retryable(f"{who} at {public_part(self.url)} answered {status}.")
        return answer
