"""A bucket of an S3 service: objects written with their SHA-256, which the service checks and keeps.

No message repeats what a service answered: it might hold credentials.
"""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from lucid_sessions.blobs.address import SEARCHED, Credentials, Where
from lucid_sessions.blobs.blame import as_ours, code_of
from lucid_sessions.blobs.connecting import client_of
from lucid_sessions.blobs.names import Missing
from lucid_sessions.durable import Bytes
from lucid_sessions.errors import Retryable

# Larger objects go up in parts, each with a SHA-256 of its own. Amazon's smallest part is 5 MiB.
WHOLE_BYTES = 16 * 1024 * 1024
PART_BYTES = 8 * 1024 * 1024
READ_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Object:
    """What the service says of an object; `sha256` is empty where it keeps none of the whole."""

    key: str
    size: int
    modified: datetime
    sha256: bytes = b""


@dataclass
class Bucket:
    """Objects below a prefix. Keys are given without it. Connections are made when first needed, a process.

    Errors: Missing when there is no such bucket, Retryable for everything that may pass, naming bucket, key
    and what to do.
    """

    where: Where
    credentials: Credentials = SEARCHED

    @cached_property
    def _shared(self) -> dict[str, str]:
        where, mine = self.where, self.credentials
        facts = {"endpoint": where.endpoint, "region": where.region, "profile": where.profile}
        return facts | {"key": mine.key, "secret": mine.secret}

    @property
    def client(self) -> Any:
        """boto3's client, shared by all buckets of that service in this process."""
        with self._blaming("reach", ""):
            return client_of(**self._shared)

    def put(self, key: str, data: Bytes, *, only_new: bool = False) -> bool:
        """True once the object holds exactly these bytes; False (with only_new) when the key was taken.

        The service has checked the SHA-256 of what reached it; where it does not say so, the object is read.
        """
        view = memoryview(data).cast("B")
        once = {"IfNoneMatch": "*"} if only_new else {}
        try:
            with self._blaming("write", key):
                if len(view) <= WHOLE_BYTES:
                    said = self._put_whole(key, view, once)
                else:
                    said = self._put_parts(key, view, once)
        except _Taken:
            return False
        self._require_kept(key, view, said)
        return True

    def _put_whole(self, key: str, view: memoryview, once: dict[str, str]) -> str:
        digest = _b64(hashlib.sha256(view).digest())
        self.client.put_object(
            **self._named(key), Body=bytes(view), ChecksumAlgorithm="SHA256", ChecksumSHA256=digest, **once
        )
        return digest

    def _put_parts(self, key: str, view: memoryview, once: dict[str, str]) -> str:
        named = self._named(key)
        upload = self.client.create_multipart_upload(**named, ChecksumAlgorithm="SHA256")["UploadId"]
        try:
            parts, digests = [], []
            for number, start in enumerate(range(0, len(view), PART_BYTES), start=1):
                part = view[start : start + PART_BYTES]
                digests.append(hashlib.sha256(part).digest())
                facts = {"PartNumber": number, "ChecksumSHA256": _b64(digests[-1])}
                done = self.client.upload_part(**named, UploadId=upload, Body=bytes(part), **facts)
                parts.append({**facts, "ETag": done["ETag"]})
            self.client.complete_multipart_upload(
                **named, UploadId=upload, MultipartUpload={"Parts": parts}, **once
            )
        except BaseException:
            with suppress(Exception):  # what stays behind, `sweep` removes
                self.client.abort_multipart_upload(**named, UploadId=upload)
            raise
        return f"{_b64(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"

    def _require_kept(self, key: str, view: memoryview, said: str) -> None:
        with self._blaming("read", key):
            found = self.client.head_object(**self._named(key), ChecksumMode="ENABLED")
        same = found["ContentLength"] == len(view) and found.get("ChecksumSHA256") == said
        if same and self.where.verify != "read":
            return
        back = self.get(key)
        if back is None or hashlib.sha256(back).digest() != hashlib.sha256(view).digest():
            self.delete(key)
            raise Retryable(
                f"{self.where}{key} read back as other bytes. Check that service; it will be retried"
            )

    def get(self, key: str, *, first: int | None = None, most: int | None = None) -> bytes | None:
        """The object's bytes (only the `first` so many); None when there is none.

        Of one with more than `most` no more is read than that.
        """
        wish = {"Range": f"bytes=0-{first - 1}"} if first else {}
        try:
            with self._blaming("read", key):
                return _up_to(most, self.client.get_object(**self._named(key), **wish)["Body"])
        except _Absent:
            return None

    def look(self, key: str) -> Object | None:
        """What is known of the object; None when there is none."""
        try:
            with self._blaming("read", key):
                found = self.client.head_object(**self._named(key), ChecksumMode="ENABLED")
        except _Absent:
            return None
        if "LastModified" not in found:
            raise Retryable(f"What answers for {self.where} is no S3 service: correct its endpoint")
        said = found.get("ChecksumSHA256", "")
        digest = base64.b64decode(said) if said and "-" not in said else b""
        return Object(key, found["ContentLength"], found["LastModified"], digest)

    def clock(self) -> datetime:
        """What time it is by the service, which dates the objects; by this machine if it does not say."""
        with self._blaming("reach", ""):
            answer = self.client.head_bucket(Bucket=self.where.bucket)
        said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(said) if said else datetime.now(tz=UTC)

    def objects(self, prefix: str = "", *, after: str = "") -> Iterator[Object]:
        """What lies below a prefix, in the order of keys, from behind `after` on."""
        wish: dict[str, str] = {"StartAfter": self.where.prefix + after} if after else {}
        while True:
            with self._blaming("list", prefix):
                page = self.client.list_objects_v2(
                    Bucket=self.where.bucket, Prefix=self.where.prefix + prefix, **wish
                )
            for one in page.get("Contents", ()):
                yield Object(one["Key"][len(self.where.prefix) :], one["Size"], one["LastModified"])
            if not page.get("IsTruncated"):
                return
            wish = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        """The object is gone with every version of it; one that was not there is gone already."""
        with suppress(_Absent), self._blaming("delete", key):
            for version in self._versions(key, "Versions", "DeleteMarkers"):
                said = self.client.delete_object(**self._named(key), **version)
                if not version and said.get("VersionId"):
                    # It has begun to keep versions since it was asked: there is one behind a marker.
                    del self._keeps_versions
                    self.delete(key)

    @cached_property
    def _keeps_versions(self) -> bool:
        said = self.client.get_bucket_versioning(Bucket=self.where.bucket)
        return said.get("Status") in ("Enabled", "Suspended")

    def _versions(self, key: str, *kinds: str) -> list[dict[str, str]]:
        if not self._keeps_versions:
            return [{}]
        found = self.client.list_object_versions(
            Bucket=self.where.bucket, Prefix=self.where.prefix + key, MaxKeys=1000
        )
        every = [one for kind in kinds for one in found.get(kind, ())]
        return [{"VersionId": one["VersionId"]} for one in every if one["Key"] == self.where.prefix + key]

    def set_hold(self, key: str, status: str) -> None:
        """The service refuses to delete the object (`ON`), or no version of it (`OFF`), if there is one."""
        with suppress(_Absent), self._blaming("lock", key):
            for version in self._versions(key, "Versions") if status == "OFF" else [{}]:
                held = {**self._named(key), **version, "LegalHold": {"Status": status}}
                self.client.put_object_legal_hold(**held)

    def abandon_uploads(self, *, before: datetime) -> int:
        """How many unfinished uploads of dead writers were given up, begun before that time."""
        gone = 0
        with self._blaming("clean up", ""):
            found = self.client.list_multipart_uploads(Bucket=self.where.bucket, Prefix=self.where.prefix)
            for one in found.get("Uploads", ()):
                if one["Initiated"] < before:
                    self.client.abort_multipart_upload(
                        Bucket=self.where.bucket, Key=one["Key"], UploadId=one["UploadId"]
                    )
                    gone += 1
        return gone

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.where.bucket, "Key": self.where.prefix + key}

    @contextmanager
    def _blaming(self, action: str, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            yield
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            code = code_of(error)
            if code in ("NoSuchKey", "404", "NotFound", "NoSuchVersion", "416", "InvalidRange"):
                raise _Absent from None
            if code in ("PreconditionFailed", "412"):
                raise _Taken from None
            if code == "NoSuchBucket":
                raise Missing(
                    f"There is no bucket {self.where.bucket}: make it, or correct its name"
                ) from None
            # `from None`: a service may repeat what it was sent, and a log shows the cause of an error.
            raise as_ours(error, action=action, place=f"{self.where}{key}") from None


class _Absent(Exception):
    pass


class _Taken(Exception):
    pass


def _up_to(most: int | None, body: Any) -> bytes:
    if most is None:
        return bytes(body.read())
    content = bytearray()
    # A service may give less than it is asked for, until there is no more.
    while len(content) < most and (part := body.read(min(READ_BYTES, most - len(content)))):
        content += part
    if len(content) == most:
        body.close()  # with the connection: what is left in it is no answer to another request
    return bytes(content)


def _b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
