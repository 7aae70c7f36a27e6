"""Creating, listing, changing and steering sessions over HTTP."""

from typing import Any

import pytest

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session, SessionKey

from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1/sessions"
SYNTHETIC: dict[str, Any] = {"name": "deploy db-7", "source": {"kind": "synthetic"}}


@pytest.fixture
def operator(world: Installation) -> Any:
    # The recorder's host has made its spool.
    assert world.spool.identity
    return client_of(person("session_operator"))


def made(client: Any, **more: Any) -> dict[str, Any]:
    answer = client.post(URL, SYNTHETIC | more, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def faults(client: Any, **more: Any) -> dict[str, str]:
    answer = client.post(URL, SYNTHETIC | more, format="json")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (400, "LUCID_ERR_3002"), body
    assert Session.objects.count() == 0
    return {fault["field"]: fault["detail"] for fault in body["errors"]}


def test_a_session_is_created_with_owner_and_defaults_and_has_its_keys_once_it_is_started(
    operator: Any,
) -> None:
    answer = operator.post(URL, SYNTHETIC, format="json")
    body = answer.json()
    assert answer.status_code == 201
    assert answer["Location"] == f"http://testserver{URL}/{body['id']}"
    assert (body["status"], body["source"]) == ("created", {"kind": "synthetic"})
    assert body["metadata"] == {
        "project": "",
        "environment": "",
        "tags": [],
        "priority": "normal",
        "owner": "session_operator",
    }
    assert body["recording_config"]["frame_rate"] == 30
    assert body["storage_config"]["retention_days"] == 90
    assert body["storage_config"]["encryption_enabled"] is True
    keys = SessionKey.objects.filter(session=body["id"])
    assert not keys.exists()
    assert operator.post(f"{URL}/{body['id']}/start").status_code == 200
    assert set(keys.values_list("track", flat=True)) == {"screen", "thumb"}


def test_what_is_given_comes_back_as_it_was_given(operator: Any) -> None:
    recording = {"frame_rate": 5, "resolution": "640x480", "quality": "ultra", "compression": "lz4"}
    metadata = {"project": "payments", "environment": "staging", "tags": ["a", "b"], "priority": "high"}
    body = made(operator, recording_config=recording, metadata=metadata, storage_config={"retention_days": 7})
    shown = operator.get(f"{URL}/{body['id']}").json()
    assert shown == body
    assert shown["recording_config"].items() >= recording.items()
    assert shown["metadata"].items() >= metadata.items()
    assert shown["storage_config"]["retention_days"] == 7


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"name": ""}, "name", "blank"),
        ({"name": "\u200b"}, "name", "can be seen"),
        ({"metadata": {"tags": ["\u2060\u00ad\u202e\u3164"]}}, "metadata.tags", "can be seen"),
        ({"nmae": "x"}, "nmae", "not known here"),
        ({"status": "completed"}, "status", "not known here"),
        ({"source": {}}, "source.kind", "required"),
        ({"source": {"kind": "rdp"}}, "source.kind", "rdp_config"),
        ({"source": {"kind": "ssh"}}, "source.kind", "not a valid choice. Known: synthetic, x11, vnc, rtsp."),
        ({"source": {"kind": "file", "path": "/etc/passwd"}}, "source.kind", "import_video"),
        ({"source": {"kind": "x11"}}, "source.display", "needed"),
        ({"source": {"kind": "x11", "display": "elsewhere:0"}}, "source.display", "such as `:0`"),
        ({"source": {"kind": "synthetic", "display": ":0"}}, "source.display", "x11 only"),
        ({"source": {"kind": "synthetic", "path": "/x"}}, "source.path", "rtsp only"),
        ({"source": {"kind": "synthetic", "file": "/x"}}, "source.file", "not known here"),
        ({"rdp_config": {"host": "h", "password": "p"}}, "rdp_config.username", "required"),
        (
            {"recording_config": {"frame_rate": 0}},
            "recording_config.frame_rate",
            "greater than or equal to 1",
        ),
        (
            {"recording_config": {"frame_rate": 500}},
            "recording_config.frame_rate",
            "less than or equal to 60",
        ),
        ({"recording_config": {"resolution": "wide"}}, "recording_config.resolution", "WIDTHxHEIGHT"),
        ({"recording_config": {"resolution": "1x1"}}, "recording_config.resolution", "pixels"),
        ({"recording_config": {"quality": "best"}}, "recording_config.quality", "Known: low, medium"),
        ({"recording_config": {"compression": "rar"}}, "recording_config.compression", "not a valid choice"),
        (
            {"recording_config": {"audio_enabled": True}},
            "recording_config.audio_enabled",
            "synthetic:// carries no sound",
        ),
        ({"recording_config": {"bitrate": 5}}, "recording_config.bitrate", "Not in this release"),
        ({"recording_config": {"fps": 5}}, "recording_config.fps", "not known here"),
        (
            {"storage_config": {"encryption_enabled": False}},
            "storage_config.encryption_enabled",
            "cannot be turned",
        ),
        ({"storage_config": {"retention_days": 0}}, "storage_config.retention_days", "greater than"),
        ({"storage_config": {"retention_days": 3651}}, "storage_config.retention_days", "less than"),
        ({"metadata": {"tags": ["t"] * 11}}, "metadata.tags", "no more than 10"),
        ({"metadata": {"owner": "somebody"}}, "metadata.owner", "cannot be set"),
        ({"metadata": {"priority": {"$ne": ""}}}, "metadata.priority", "not a valid choice"),
        ({"metadata": "none"}, "metadata", "dictionary"),
    ],
)
def test_a_wrong_field_is_named_with_its_reason(
    operator: Any, given: dict[str, Any], field: str, says: str
) -> None:
    found = faults(operator, **given)
    assert list(found) == [field]
    assert says in found[field]


def test_a_body_that_is_no_json_object_is_refused(operator: Any) -> None:
    assert operator.post(URL, "{", content_type="application/json").json()["code"] == "LUCID_ERR_1003"
    assert operator.post(URL, [1], format="json").json()["errors"][0]["field"] == ""
    answer = operator.post(URL, "a=b", content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()["code"]) == (415, "LUCID_ERR_1007")


def test_changes_merge_and_raise_the_version(operator: Any) -> None:
    body = made(operator, metadata={"project": "payments", "tags": ["a"]})
    address = f"{URL}/{body['id']}"
    changed = operator.patch(
        address,
        {"name": "new", "metadata": {"tags": ["b"]}, "storage_config": {"retention_days": 30}},
        format="json",
    ).json()
    assert (changed["name"], changed["version"]) == ("new", body["version"] + 1)
    assert (changed["metadata"]["project"], changed["metadata"]["tags"]) == ("payments", ["b"])
    assert changed["storage_config"]["retention_days"] == 30
    assert changed["storage_config"]["backup_enabled"] is True
    assert operator.patch(address, {"source": {"kind": "x11"}}, format="json").status_code == 400
    assert operator.patch(address, {"status": "completed"}, format="json").status_code == 400


def test_a_tag_is_kept_once_however_often_it_is_given(operator: Any) -> None:
    body = made(operator, metadata={"tags": ["b", "a", "a", " a "]})
    assert body["metadata"]["tags"] == ["b", "a"]
    address = f"{URL}/{body['id']}"
    same = operator.patch(address, {"metadata": {"tags": ["b ", "b", "a"]}}, format="json").json()
    assert (same["metadata"]["tags"], same["version"]) == (["b", "a"], body["version"])


def test_how_it_is_recorded_is_fixed_once_it_is_started(operator: Any) -> None:
    address = f"{URL}/{made(operator)['id']}"
    slower = {"recording_config": {"frame_rate": 5}}
    assert operator.patch(address, slower, format="json").json()["recording_config"]["frame_rate"] == 5
    assert operator.post(f"{address}/start").json()["status"] == "starting"
    answer = operator.patch(address, slower, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3004")


def test_a_session_is_steered_through_its_life(operator: Any) -> None:
    address = f"{URL}/{made(operator)['id']}"
    assert operator.post(f"{address}/pause").status_code == 409
    assert operator.post(f"{address}/start").status_code == 200
    again = operator.post(f"{address}/start")
    assert (again.status_code, again.json()["code"]) == (409, "LUCID_ERR_3004")
    assert "is starting" in again.json()["detail"]
    assert operator.post(f"{address}/pause").status_code == 200
    Session.objects.update(status=Status.PAUSED)
    assert operator.post(f"{address}/resume").status_code == 200
    assert operator.post(f"{address}/stop").json()["status"] == "stopping"
    assert operator.post(f"{address}/stop").json()["status"] == "stopping"


def test_without_room_nothing_starts_and_the_answer_says_when_to_come_back(
    operator: Any, settings: Any
) -> None:
    address = f"{URL}/{made(operator)['id']}"
    settings.LUCID_STORAGE_MIN_FREE_GIB = 10.0**9
    answer = operator.post(f"{address}/start")
    assert (answer.status_code, answer.json()["code"]) == (503, "LUCID_ERR_3007")
    assert int(answer["Retry-After"]) > 0
    assert "LUCID_STORAGE_MIN_FREE_GIB" in answer.json()["detail"]


def test_the_list_is_paged_newest_first(operator: Any) -> None:
    names = [made(operator, name=f"s{n}")["name"] for n in range(5)]
    page = operator.get(URL, {"limit": 2}).json()
    assert [one["name"] for one in page["items"]] == names[:2:-1]
    assert page["pagination"] | {"next": None} == {
        "limit": 2,
        "offset": 0,
        "next": None,
        "previous": None,
        "next_cursor": page["pagination"]["next_cursor"],
        "total": 5,
        "total_is_exact": True,
    }
    seen = [one["name"] for one in page["items"]]
    while following := page["pagination"]["next"]:
        page = operator.get(following).json()
        seen += [one["name"] for one in page["items"]]
    assert seen == names[::-1]
    assert page["pagination"]["previous"]


def test_the_list_is_filtered(operator: Any) -> None:
    made(operator, name="Alpha", metadata={"project": "p1"})
    made(operator, name="Beta", metadata={"project": "p2", "environment": "e"})

    def names(**query: str) -> list[str]:
        return [one["name"] for one in operator.get(URL, query).json()["items"]]

    assert names(project="p1") == ["Alpha"]
    assert names(environment="e") == ["Beta"]
    assert names(name="alph") == ["Alpha"]
    assert names(name=".*") == []
    assert names(status="created", ordering="created_at") == ["Alpha", "Beta"]
    assert names(status="recording") == []
    assert names(owner="session_operator", created_after="2020-01-01T00:00:00Z") == ["Beta", "Alpha"]
    assert names(owner="nobody") == []


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "9999"}, {"offset": "-1"}, {"offset": "9" * 30}, {"status": "odd"}]
)
def test_a_wrong_query_is_named(operator: Any, query: dict[str, str]) -> None:
    answer = operator.get(URL, query)
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == list(query)


def test_a_list_costs_the_same_number_of_queries_however_long(
    operator: Any, django_assert_max_num_queries: Any
) -> None:
    made(operator)
    with django_assert_max_num_queries(8) as short:
        operator.get(URL)
    for number in range(5):
        made(operator, name=f"s{number}")
    with django_assert_max_num_queries(8) as long:
        assert len(operator.get(URL).json()["items"]) == 6
    assert len(long) == len(short)


def test_a_file_recorded_on_the_host_is_shown_without_its_directory(world: Installation) -> None:
    manager = client_of(person("session_manager"))
    session = sessions.create("file:///secret/place/video.mp4", name="imported")
    shown = manager.get(f"{URL}/{session.pk}").json()
    assert shown["source"] == {"kind": "file", "name": "video.mp4"}
    assert shown["metadata"]["owner"] is None
