"""Between its storing and its anchor, for seconds, a chunk is there and not proven: no alarm, no media."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from lucid_sessions.recordings import pipeline, sealing
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk

from .archive_of_one import STAGES
from .people import client_of, person
from .test_filmstrip_over_http import frames_of, recorded

pytestmark = pytest.mark.django_db(transaction=True)

WAYS = {"screen": ("segments/{}.mp4", "chunks/{}/media"), "thumb": ("posters/{}.webp",), "input": ()}


def opened(client: Any, chunks: list[Chunk]) -> list[tuple[int, str]]:
    """What each way to the media of these answers: its status, and the code of a problem."""
    addresses = [
        f"/api/v1/sessions/{one.session_id}/{way.format(one.pk)}" for one in chunks for way in WAYS[one.track]
    ]
    answers = [client.get(address) for address in addresses]
    return [(one.status_code, "" if one.status_code == 200 else one.json()["code"]) for one in answers]


def test_what_is_stored_is_opened_once_it_is_anchored(world: Installation) -> None:
    session, auditor = recorded(world), client_of(person("auditor"))
    chunks = list(Chunk.objects.filter(session=session))
    pipeline.run(STAGES, [one.pk for one in chunks], world=world)
    assert set(Chunk.objects.values_list("state", flat=True)) == {"stored"}
    with capture_logs() as logs:
        found = opened(auditor, chunks)
    assert set(found) == {(409, "LUCID_ERR_3009")}
    assert not [one for one in logs if one.get("alarm")]
    assert {one["poster"] for one in frames_of(auditor, session)} == {None}
    blob = auditor.get(f"/api/v1/sessions/{session.pk}/chunks/{chunks[0].pk}/download")
    assert blob.status_code == 200  # sealed as it is, it needs no proof to be handed out
    blob.close()
    sealing.seal(world)
    assert set(opened(auditor, chunks)) == {(200, "")}
    assert None not in {one["poster"] for one in frames_of(auditor, session)}
