"""Where a bucket is, as an address says it, and what opens it.

    s3://BUCKET/PREFIX?endpoint=https://host:port&region=R&profile=P&lock=on

`endpoint`: any service that speaks S3 (without it: Amazon's). `profile`: a section of the credentials file;
without it the credentials of the environment, or of the machine's role. `lock=on`: the bucket has Object
Lock. `verify=read`: everything that was written is read back, for a service that checks no SHA-256.
A URL never holds credentials.
"""

from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

from lucid_sessions.errors import Refused

KNOWN = ("endpoint", "region", "profile", "lock", "verify")


@dataclass(frozen=True)
class Credentials:
    """What opens a bucket; empty: the environment of boto3, its files or the machine's role say it."""

    key: str = ""
    secret: str = field(default="", repr=False)


SEARCHED = Credentials()


@dataclass(frozen=True)
class Where:
    """Which bucket, which part of it, at which service."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    lock: bool = False
    verify: str = ""

    @classmethod
    def parse(cls, url: str) -> "Where":
        """The place that a URL names; Refused when it names none, or holds a password."""
        parts = urlsplit(url)
        wishes = dict(parse_qsl(parts.query))
        if parts.scheme != "s3" or not parts.netloc:
            raise Refused(f"{parts.scheme}://… is no S3 address: s3://bucket/prefix?endpoint=https://host")
        if "@" in parts.netloc or "@" in urlsplit(wishes.get("endpoint", "")).netloc:
            raise Refused("An S3 address holds no password: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if unknown := sorted(wishes.keys() - set(KNOWN)):
            raise Refused(f"s3://{parts.netloc} has unknown options {', '.join(unknown)}: {', '.join(KNOWN)}")
        if "endpoint" in wishes and not _is_of_the_web(wishes["endpoint"]):
            raise Refused(f"The endpoint of s3://{parts.netloc} is no address: endpoint=https://host:port")
        prefix = parts.path.strip("/")
        lock = wishes.pop("lock", "") in ("on", "1", "true")
        return cls(parts.netloc, f"{prefix}/" if prefix else "", lock=lock, **wishes)

    def below(self, folder: str) -> "Where":
        """The same place, one folder further down."""
        return replace(self, prefix=f"{self.prefix}{folder}/")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


def _is_of_the_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
