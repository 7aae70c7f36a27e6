"""Signatures by the Standard Webhooks specification 1.0.0 (symmetric, `v1`): what a receiver checks."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from lucid_sessions.errors import Refused

PREFIX = "whsec_"
# The specification asks for 24 to 64 random bytes.
SECRET_BYTES = 32


def new_secret() -> str:
    """A fresh secret as its receiver gets it: `whsec_` and base64 of 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signatures(keys: Sequence[str], *, message: str, seconds: int, body: bytes) -> str:
    """The `webhook-signature` header: one `v1,` signature for each secret, separated by spaces.

    Signed is `message.seconds.body`: the event's id, the attempt's time (Unix seconds) and the exact bytes.
    """
    signed = f"{message}.{seconds}.".encode() + body
    digests = (hmac.digest(_key(one), signed, hashlib.sha256) for one in keys)
    return " ".join("v1," + base64.b64encode(digest).decode() for digest in digests)


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise Refused("a webhook's secret is not base64") from error
