"""Buckets of a real S3 service for tests, and what only its owner does to them."""

import secrets
from typing import Any

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
    for one in client.list_object_versions(Bucket=where.bucket).get("Versions", []):
        got = client.get_object(Bucket=where.bucket, Key=one["Key"], VersionId=one["VersionId"])
        found[one["Key"]] = got["Body"].read()
    return found
