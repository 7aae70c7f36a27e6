"""Blobs in a bucket of a real S3 service: the same promises as on a disk, and the service's own checks."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lucid_sessions.blobs import Bucket, Credentials, Missing, S3Blobs, Where, blob_name, open_store
from lucid_sessions.blobs import bucket as buckets
from lucid_sessions.blobs.names import MOST_BYTES
from lucid_sessions.errors import Refused, Retryable, Tampered
from tests.buckets import address_of, between, everything_in, new_bucket, owner

DATA = b"sealed" * 10_000
NAME = blob_name(DATA)
CREDENTIALS = Credentials("for-tests", "a secret that no message may hold")


@pytest.fixture
def blobs(bucket: Where) -> S3Blobs:
    return S3Blobs.create(bucket, CREDENTIALS)


def _key(name: str) -> str:
    return f"archive/blobs/{name}"


def test_a_blob_comes_back_under_its_hash(blobs: S3Blobs) -> None:
    blobs.put(DATA, name=NAME)
    assert blobs.get(NAME) == DATA
    assert blobs.start(NAME, 6) == b"sealed"
    assert (blobs.size(NAME), blobs.exists(NAME)) == (len(DATA), True)
    with blobs.open(NAME) as file:
        file.seek(6)
        assert file.read(6) == b"sealed"
    assert everything_in(blobs.bucket.where)[_key(NAME)] == DATA


def test_the_service_keeps_the_sha_256_that_is_the_name(blobs: S3Blobs) -> None:
    blobs.put(DATA, name=NAME)
    found = blobs.bucket.look(f"blobs/{NAME}")
    assert found is not None
    assert found.sha256.hex() == NAME


@pytest.mark.parametrize("size", [0, 1, buckets.WHOLE_BYTES, buckets.WHOLE_BYTES + 1])
def test_blobs_of_any_size_and_kind_of_buffer_are_stored(blobs: S3Blobs, size: int) -> None:
    data = bytearray(os.urandom(size))
    blobs.put(memoryview(data), name=blob_name(data))
    assert blobs.get(blob_name(data)) == data
    blobs.put(data, name=blob_name(data))
    assert list(blobs.names()) == [blob_name(data)]


def test_a_large_blob_goes_up_in_parts_and_leaves_none_behind(blobs: S3Blobs) -> None:
    data = os.urandom(buckets.WHOLE_BYTES + buckets.PART_BYTES)
    blobs.put(data, name=blob_name(data))
    where = blobs.bucket.where
    parts = owner(where).head_object(Bucket=where.bucket, Key=_key(blob_name(data)), PartNumber=1)
    assert parts["PartsCount"] == 3
    assert not owner(where).list_multipart_uploads(Bucket=where.bucket).get("Uploads")


def test_uploads_of_dead_writers_are_given_up(blobs: S3Blobs) -> None:
    where = blobs.bucket.where
    owner(where).create_multipart_upload(Bucket=where.bucket, Key=_key(NAME))
    assert blobs.sweep(older_than_seconds=3600) == 1  # the test service dates every upload years back
    assert not owner(where).list_multipart_uploads(Bucket=where.bucket).get("Uploads")


@pytest.mark.parametrize("wrong", [b"", DATA[:-1], b"S" + DATA[1:]])
def test_wrong_content_under_a_blobs_name_is_an_alarm_and_is_kept(blobs: S3Blobs, wrong: bytes) -> None:
    where = blobs.bucket.where
    owner(where).put_object(Bucket=where.bucket, Key=_key(NAME), Body=wrong)
    with pytest.raises(Tampered, match=NAME):
        blobs.put(DATA, name=NAME)
    assert blobs.get(NAME) == wrong


def test_an_object_longer_than_any_blob_is_an_alarm(blobs: S3Blobs) -> None:
    where = blobs.bucket.where
    owner(where).put_object(Bucket=where.bucket, Key=_key(NAME), Body=bytes(MOST_BYTES + 1))
    for look in (blobs.get, blobs.check, blobs.open):
        with pytest.raises(Tampered, match="longer than any blob"):
            look(NAME)
    owner(where).put_object(Bucket=where.bucket, Key=_key(NAME), Body=bytes(MOST_BYTES))
    assert len(blobs.get(NAME)) == MOST_BYTES


@pytest.mark.parametrize("lock", [False, True])
def test_what_lies_under_a_blobs_name_is_replaced_in_one_step(s3_service: str, lock: bool) -> None:
    blobs = S3Blobs.create(new_bucket(s3_service, lock=lock), CREDENTIALS)
    blobs.bucket.put(f"blobs/{NAME}", b"rotten")
    with pytest.raises(Tampered, match=NAME):
        blobs.put(DATA, name=NAME)
    blobs.replace(DATA, name=NAME)
    assert (blobs.check(NAME), blobs.get(NAME)) == (len(DATA), DATA)


def test_of_two_writers_of_one_blob_both_succeed_and_one_writes(bucket: Where) -> None:
    S3Blobs.create(bucket, CREDENTIALS)
    writers = [
        threading.Thread(target=lambda: S3Blobs(bucket, CREDENTIALS).put(DATA, name=NAME)) for _ in range(4)
    ]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert S3Blobs(bucket, CREDENTIALS).get(NAME) == DATA
    assert Bucket(bucket, CREDENTIALS).put("once", b"1", only_new=True) is True
    assert Bucket(bucket, CREDENTIALS).put("once", b"2", only_new=True) is False
    assert Bucket(bucket, CREDENTIALS).get("once") == b"1"


def test_bytes_that_are_not_those_of_the_name_are_refused(blobs: S3Blobs) -> None:
    with pytest.raises(Refused, match=NAME):
        blobs.put(DATA + b"x", name=NAME)
    for name in ("", "..", "../../etc/passwd", NAME.upper(), NAME[:-1]):
        for call in (blobs.get, blobs.open, blobs.size, blobs.exists, blobs.delete):
            with pytest.raises(Refused, match="no blob name"):
                call(name)
    assert list(blobs.names()) == []


def test_a_missing_blob_is_an_alarm_but_a_missing_store_is_waited_for(blobs: S3Blobs) -> None:
    assert blobs.exists(NAME) is False
    for call in (blobs.get, blobs.open, blobs.size):
        with pytest.raises(Tampered, match=f"{NAME} is missing from s3://"):
            call(NAME)
    empty = S3Blobs(blobs.bucket.where.below("elsewhere"), CREDENTIALS)
    nowhere = S3Blobs(Where("no-such-bucket-here", "", blobs.bucket.where.endpoint), CREDENTIALS)
    for store, said in ((empty, "holds no object lucid-blobs"), (nowhere, "no-such-bucket-here")):
        for call in (store.get, store.exists, store.delete):
            with pytest.raises(Missing, match=said):
                call(NAME)
        with pytest.raises(Missing, match=said):
            store.put(DATA, name=NAME)
        with pytest.raises(Missing, match=said):
            list(store.names())


def test_a_deleted_blob_is_gone_and_may_be_deleted_again(blobs: S3Blobs) -> None:
    blobs.put(DATA, name=NAME)
    blobs.delete(NAME)
    blobs.delete(NAME)
    assert blobs.exists(NAME) is False


def test_a_deleted_blob_is_gone_with_every_version(s3_service: str) -> None:
    where = new_bucket(s3_service, lock=True)
    blobs = S3Blobs.create(where, CREDENTIALS)
    blobs.put(DATA, name=NAME)
    owner(where).put_object(Bucket=where.bucket, Key=_key(NAME), Body=b"another version")
    owner(where).delete_object(Bucket=where.bucket, Key=_key(NAME))
    assert blobs.exists(NAME) is False
    blobs.delete(NAME)
    blobs.delete(NAME)
    assert _key(NAME) not in everything_in(where)


def test_a_bucket_that_begins_to_keep_versions_is_noticed_and_none_is_left(blobs: S3Blobs) -> None:
    where, other = blobs.bucket.where, blob_name(b"another")
    for data, name in ((DATA, NAME), (b"another", other)):
        blobs.put(data, name=name)
    blobs.delete(other)  # who asks now is told that it keeps none
    keeping = {"Status": "Enabled"}
    owner(where).put_bucket_versioning(Bucket=where.bucket, VersioningConfiguration=keeping)
    blobs.delete(NAME)
    assert _key(NAME) not in everything_in(where)
    blobs.delete(NAME)
    left = owner(where).list_object_versions(Bucket=where.bucket)
    assert not left.get("DeleteMarkers")


def test_a_locked_blob_cannot_be_deleted_before_it_is_unlocked(s3_service: str) -> None:
    blobs = S3Blobs.create(new_bucket(s3_service, lock=True), CREDENTIALS)
    blobs.put(DATA, name=NAME)
    blobs.lock(NAME)
    with pytest.raises(Retryable, match=f"Could not delete .*{NAME}: AccessDenied"):
        blobs.delete(NAME)
    assert blobs.get(NAME) == DATA
    blobs.unlock(NAME)
    blobs.delete(NAME)
    assert blobs.exists(NAME) is False


def test_a_locked_blob_that_was_written_over_can_be_deleted_once_it_is_unlocked(s3_service: str) -> None:
    where = new_bucket(s3_service, lock=True)
    blobs = S3Blobs.create(where, CREDENTIALS)
    blobs.put(DATA, name=NAME)
    blobs.lock(NAME)
    blobs.replace(DATA, name=NAME)
    owner(where).delete_object(Bucket=where.bucket, Key=_key(NAME))
    blobs.unlock(NAME)
    blobs.delete(NAME)
    assert _key(NAME) not in everything_in(where)


def test_names_lists_every_blob_in_order_page_by_page_and_nothing_else(blobs: S3Blobs) -> None:
    where, client = blobs.bucket.where, owner(blobs.bucket.where)
    names = sorted(blob_name(str(number).encode()) for number in range(220))
    for name in names:
        client.put_object(Bucket=where.bucket, Key=_key(name), Body=b"")
    client.put_object(Bucket=where.bucket, Key="archive/blobs/README", Body=b"")
    client.put_object(Bucket=where.bucket, Key="another/" + "0" * 64, Body=b"")
    assert list(blobs.names()) == names
    assert list(blobs.names(after=names[50])) == names[51:]
    assert list(blobs.names(after=names[210])) == names[211:]


@contextmanager
def _answering(answer: bytes) -> Iterator[str]:
    """A service that says the same to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _refusal(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>{CREDENTIALS.secret}</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("status", "code", "fix"),
    [
        ("403 Forbidden", "InvalidAccessKeyId", "Check AWS_ACCESS_KEY_ID"),
        ("403 Forbidden", "AccessDenied", "permission"),
        ("503 Slow Down", "SlowDown", "fewer requests"),
        ("500 Oops", "InternalError", "Check that service"),
    ],
)
def test_a_refusal_names_bucket_key_and_fix_and_repeats_nothing(status: str, code: str, fix: str) -> None:
    with _answering(_refusal(status, code)) as service:
        blobs = S3Blobs(Where("vault", "a/", service), CREDENTIALS)
        with pytest.raises(Retryable) as caught:
            blobs.get(NAME)
    assert f"Could not read s3://vault/a/blobs/{NAME}: {code}." in str(caught.value)
    assert fix in str(caught.value)
    assert caught.value.__cause__ is None
    assert CREDENTIALS.secret not in str(caught.value) + repr(blobs.bucket)


def test_a_look_that_is_refused_without_a_word_says_all_that_it_may_be() -> None:
    with _answering(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n") as service:
        blobs = S3Blobs(Where("vault", "", service), CREDENTIALS)
        with pytest.raises(Retryable, match=r"403\. Check AWS_ACCESS_KEY_ID.* clock.* may do there"):
            blobs.present()


@pytest.mark.parametrize("body", [b"<html>", b"\xff no page of XML", b"<ListBucketResult><Contents>"])
def test_what_answers_and_is_no_s3_service_is_named_as_such(body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with _answering(head.encode() + body) as service:
        blobs = S3Blobs(Where("vault", "", service), CREDENTIALS)
        with pytest.raises(Retryable, match="is no S3 service: correct its endpoint"):
            blobs.present()
        with pytest.raises(Retryable, match="Check that service"):
            list(blobs.bucket.objects())


def test_an_object_that_is_missing_is_neither_locked_nor_in_the_way_of_its_deletion() -> None:
    with _answering(_refusal("404 Not Found", "NoSuchKey")) as url:
        bucket = Bucket(Where("b", endpoint=url, region="us-east-1", lock=True), CREDENTIALS)
        vars(bucket)["_keeps_versions"] = False
        bucket.set_hold("k", "ON")
        bucket.set_hold("k", "OFF")
        bucket.delete("k")


def _flipped(_command: str, _path: str, body: bytes) -> bytes:
    """One byte of what is written is another."""
    changed = bytearray(body)
    if changed:
        changed[len(changed) // 2] ^= 1
    return bytes(changed)


def test_a_service_that_checks_nothing_is_read_back(blobs: S3Blobs) -> None:
    refused = pytest.raises(Retryable, match="read back as other bytes")
    with between(blobs.bucket.where, _flipped) as flipping, refused:
        S3Blobs(replace(flipping, verify="read"), CREDENTIALS).put(DATA, name=NAME)
    assert not blobs.exists(NAME)
    blobs.put(DATA, name=NAME)
    assert blobs.get(NAME) == DATA


def test_a_service_that_is_away_is_waited_for() -> None:
    blobs = S3Blobs(Where("vault", "", "http://127.0.0.1:9"), CREDENTIALS)
    with pytest.raises(Retryable, match="EndpointConnectionError"):
        blobs.get(NAME)


@pytest.mark.parametrize(
    "address",
    [
        "s3://",
        "s3://key:secret@bucket/x",
        "s3://b?endpoint=https://u:p@h",
        "s3://b?colour=red",
        "s3://b?endpoint=localhost:9000",
        "s3://b?endpoint=http://",
        "s3://b?endpoint=http://h:port",
        "ftp://x/y",
        "here",
    ],
)
def test_an_address_that_is_none_or_holds_a_password_is_refused(address: str) -> None:
    with pytest.raises(Refused) as caught:
        open_store(address)
    assert "secret" not in str(caught.value)


def test_an_address_says_where(bucket: Where) -> None:
    assert Where.parse(address_of(bucket)) == bucket
    assert str(bucket) == f"s3://{bucket.bucket}/archive/"
