"""What an S3 service's refusals mean to an operator. Its own words are never repeated."""

from typing import Any

from lucid_sessions.errors import Retryable

_ACCESS = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the clock"
_FIXES = {
    "AccessDenied": "Give these credentials permission there; what is held must be released first",
    # A look at an object is refused without a word why.
    "403": f"{_ACCESS}, and what these credentials may do there",
    "301": "Name the bucket's region in the address (?region=…)",
    "AllAccessDisabled": "Ask who runs that service",
    "InvalidAccessKeyId": _ACCESS,
    "SignatureDoesNotMatch": _ACCESS,
    "ExpiredToken": "Renew the credentials",
    "InvalidToken": "Renew the credentials",
    "RequestTimeTooSkewed": "Set this machine's clock",
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
    "PartialCredentialsError": "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "Correct the profile's name in the address, or AWS_SHARED_CREDENTIALS_FILE",
    "EndpointConnectionError": "Start that service, or correct its endpoint",
    "ConnectTimeoutError": "Check the network to that service",
    "ReadTimeoutError": "Check the network to that service",
    "ConnectionClosedError": "Check that service",
    "SSLError": "Check the service's certificate, or AWS_CA_BUNDLE",
    "BadDigest": "The bytes changed on the way: check the network",
    "XAmzContentChecksumMismatch": "The bytes changed on the way: check the network",
    "SlowDown": "The service asks for fewer requests",
    "XMinioStorageFull": "Free space in that service",
    "QuotaExceeded": "Raise the quota of that bucket",
    "EntityTooLarge": "Allow larger objects there",
    "PermanentRedirect": "Name the bucket's region in the address (?region=…)",
    "NotImplemented": "That service lacks If-None-Match or checksums: use one that has them",
    "InvalidRequest": "The bucket needs Object Lock for lock=on",
    "ObjectLockConfigurationNotFoundError": "The bucket needs Object Lock for lock=on",
}


def code_of(error: Any) -> str:
    """S3's code of a refusal, or the name of what happened on the way."""
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if answer else type(error).__name__


def as_ours(error: Any, *, action: str, place: str) -> Retryable:
    """The Retryable that says what failed, where, why and what to do, in words of ours only."""
    code = code_of(error)
    fix = _FIXES.get(code, "Check that service")
    return Retryable(f"Could not {action} {place}: {code}. {fix}.")
