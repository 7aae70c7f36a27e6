"""Buckets of a real S3 service for tests, and what only its owner does to them."""

import http.client
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import boto3

from lucid_sessions.blobs import Where


def owner(where: Where) -> Any:
    """boto3's client with the rights of the bucket's owner."""
    return boto3.client(
        "s3",
        endpoint_url=where.endpoint,
        region_name="us-east-1",
        aws_access_key_id="owner",
        aws_secret_access_key="owner's secret",
    )


def new_bucket(service: str, *, lock: bool = False) -> Where:
    """A bucket that nothing is in; with `lock`, one that keeps versions and can hold objects."""
    where = Where(f"lucid-{secrets.token_hex(6)}", "archive/", service, "us-east-1", lock=lock)
    owner(where).create_bucket(Bucket=where.bucket, ObjectLockEnabledForBucket=lock)
    return where


def address_of(where: Where) -> str:
    """The bucket's address, as it stands in settings."""
    lock = "&lock=on" if where.lock else ""
    return f"s3://{where.bucket}/{where.prefix}?endpoint={where.endpoint}&region={where.region}{lock}"


def everything_in(where: Where) -> dict[str, bytes]:
    """Every object of the bucket, every version of it, by key (the newest version last)."""
    client, found = owner(where), {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=where.bucket):
        for one in page.get("Versions", []):
            got = client.get_object(Bucket=where.bucket, Key=one["Key"], VersionId=one["VersionId"])
            found[one["Key"]] = got["Body"].read()
    return found


# Given a request's method, path and body: the body that is passed on, or None where the service is full.
Change = Callable[[str, str, bytes], bytes | None]
FULL = b"<Error><Code>XMinioStorageFull</Code><Message>for tests</Message></Error>"


class _Between(BaseHTTPRequestHandler):
    """Passes requests on to the service, changed."""

    # Clients wait for leave to send a body, which HTTP/1.0 does not know.
    protocol_version = "HTTP/1.1"
    service = ""
    change: Change
    ahead_seconds = 0.0

    def date_time_string(self, timestamp: float | None = None) -> str:
        """What this service says that the time is."""
        return super().date_time_string(
            (time.time() if timestamp is None else timestamp) + self.ahead_seconds
        )

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        changed = type(self).change(self.command, self.path, body)
        if changed is None:
            self._answer(507, {}, FULL)
            return
        there = http.client.HTTPConnection(urlsplit(self.service).netloc)
        there.request(self.command, self.path, changed, dict(self.headers))
        answer = there.getresponse()
        self._answer(answer.status, dict(answer.getheaders()), answer.read())

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_GET = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815  names of the standard library

    def log_message(self, *_: object) -> None:
        """Nobody wants to know."""


@contextmanager
def between(where: Where, change: Change, *, ahead_seconds: float = 0.0) -> Iterator[Where]:
    """The same bucket behind a service that changes what it is sent, has no room for it, or another time."""
    facts = {"service": where.endpoint, "change": staticmethod(change), "ahead_seconds": ahead_seconds}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Between,), facts)) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield replace(where, endpoint=f"http://127.0.0.1:{proxy.server_port}")
        finally:
            proxy.shutdown()
