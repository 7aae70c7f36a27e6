"""Connections to S3 services. Making a client takes a tenth of a second: buckets of one service share it."""

import os
from functools import cache
from typing import Any


def client_of(*, endpoint: str, region: str, profile: str, key: str, secret: str) -> Any:
    """boto3's client; one of its own in each process, since a fork must not share connections."""
    return _kept(os.getpid(), endpoint, region, profile, key, secret)


@cache
def _kept(_process: int, endpoint: str, region: str, profile: str, key: str, secret: str) -> Any:
    import boto3  # a third of a second: only where objects are used
    from botocore.config import Config

    session = boto3.session.Session(
        aws_access_key_id=key or None,
        aws_secret_access_key=secret or None,
        profile_name=profile or None,
    )
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=32,
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        # A rotten object is for our own checks to name, and for `put_aside` to keep.
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    return session.client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=region or session.region_name or "us-east-1",
        config=config,
    )
