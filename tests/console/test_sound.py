"""A desktop's sound, asked for over HTTP, is archived, played in a browser beside the picture, exported."""

import re
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import av
import pytest

from lucid_sessions.recordings import intake, one_file, playback, reconcile, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from tests.api.people import client_of, person
from tests.recorder.displays import display
from tests.recorder.test_audio import Speaker, flash_and_beep, lamp, private_sound, publish
from tests.recorder.together import apart
from tests.waiting import until

from . import desk
from .conftest import clean
from .test_player import has_played_to, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def recorded(world: Installation, client: Any) -> Session:
    """A sealed session of an X11 display with a flash and a beep in its first half, and a pause."""
    with display() as shown, private_sound() as sound:
        publish(shown, sound)
        config = {"frame_rate": 30, "audio_enabled": True, "cursor_enabled": False}
        source = {"kind": "x11", "display": shown.name}
        body = {"name": "with sound", "source": source, "recording_config": config}
        session = client.post("/api/v1/sessions", body, format="json").json()["id"]
        address = f"/api/v1/sessions/{session}"
        with closing(Speaker(sound)) as speaker, lamp(shown) as light, desk.recorder(world):
            client.post(f"{address}/start")
            await_state(session, Status.RECORDING)
            until(lambda: committed(world, "audio") >= 1)
            flash_and_beep(light, speaker, times=6)
            await_more(world)
            client.post(f"{address}/pause")
            await_state(session, "paused")
            time.sleep(1)
            client.post(f"{address}/resume")
            await_state(session, "recording")
            await_more(world)
            client.post(f"{address}/stop")
            await_state(session, Status.PROCESSING)
    intake.Intake(world.spool).scan()
    reconcile.work_inline(world)
    return Session.objects.get(pk=session)


def committed(world: Installation, track: str) -> int:
    return len([1 for _, name in world.spool.segments() if name.track == track])


def await_more(world: Installation) -> None:
    """Until two further segments of the sound are there."""
    there = committed(world, "audio")
    until(lambda: committed(world, "audio") >= there + 2)


def await_state(session: str, status: str) -> None:
    until(lambda: Session.objects.get(pk=session).status == status)


def test_sound_is_archived_played_and_exported_beside_the_picture(
    watched: Any, live_server: Any, world: Installation, tmp_path: Path, settings: Any
) -> None:
    settings.LUCID_SEGMENT_SECONDS = 1.0
    manager = person("session_manager")
    client = client_of(manager)
    session = recorded(world, client)
    report = verification.verify(session, deep=True)
    assert (report.findings, report.complete) == ([], True)
    assert Chunk.objects.filter(session=session, track="audio").count() >= 3

    first, second = playback.export(session, tmp_path / "out.mp4")
    assert median(apart(first)) < 0.05
    assert second.stat().st_size
    (whole,) = one_file.export(session, tmp_path / "whole.mp4")
    assert median(apart(whole)) < 0.05

    address = f"/api/v1/sessions/{session.pk}/playback.m3u8"
    listing = client.get(address).content.decode()
    assert f'AUDIO="sound"\n{address}?track=screen\n' in listing
    seen, heard = (client.get(f"{address}?track={one}").content.decode() for one in ("screen", "audio"))
    assert seen.count("#EXT-X-DISCONTINUITY") == heard.count("#EXT-X-DISCONTINUITY") == 1
    lengths = [sum(map(float, re.findall(r"#EXTINF:([0-9.]+)", text))) for text in (seen, heard)]
    assert abs(lengths[0] - lengths[1]) < 0.2

    page = watched
    sign_in(page, f"{live_server.url}/sessions/{session.pk}/", manager)
    page.get_by_role("button", name="Play", exact=True).click()
    has_played_to(page, lengths[0] - 0.5)  # behind the pause
    # Who has played behind the pause has decoded all of the sound before it.
    page.get_by_role("button", name="Sound", pressed=False).click()
    page.get_by_role("button", name="Sound", pressed=True).wait_for()
    assert not page.evaluate("document.querySelector('video').muted")
    page.keyboard.press("m")
    page.get_by_role("button", name="Sound", pressed=False).wait_for()
    decoded = "document.querySelector('video').webkitAudioDecodedByteCount"
    until(lambda: page.evaluate(decoded) >= sound_in(first))
    clean(page)


def sound_in(path: Path) -> int:
    """The bytes of a file's packets of sound."""
    with av.open(str(path)) as container:
        return sum(packet.size for packet in container.demux(audio=0))
