"""The whole way with the archive in a bucket of a real S3 service: record, archive, verify, play, export."""

from pathlib import Path

import pytest

from lucid_sessions.blobs import S3Blobs, blob_name
from lucid_sessions.recordings import playback, verification
from lucid_sessions.recordings.installation import Installation
from tests.buckets import everything_in, owner
from tests.journey import test_record_to_export as journey

pytestmark = pytest.mark.django_db(transaction=True)
stack = journey.stack


@pytest.fixture
def world(s3_world: Installation) -> Installation:
    return s3_world


def test_a_session_recorded_into_a_bucket_verifies_plays_and_exports(
    world: Installation, stack: dict[str, str], tmp_path: Path
) -> None:
    session = journey.record_verify_play_export(world, tmp_path)
    assert not world.blobs_root.exists()
    assert isinstance(world.blobs, S3Blobs)
    where = world.blobs.bucket.where
    stored = {key: content for key, content in everything_in(where).items() if "/blobs/" in key}
    assert stored == {f"archive/blobs/{blob_name(content)}": content for content in stored.values()}
    victim = playback.archived(session)[0]
    forged = bytearray(stored[f"archive/blobs/{victim.blob}"])
    forged[len(forged) // 2] ^= 1
    owner(where).put_object(Bucket=where.bucket, Key=f"archive/blobs/{victim.blob}", Body=bytes(forged))
    (finding,) = verification.verify(session, deep=True).findings
    assert finding.chunk == victim.pk
