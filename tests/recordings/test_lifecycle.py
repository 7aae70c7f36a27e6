"""The table of states is whole: every arrow leads somewhere, every stage hands on to the next."""

from lucid_sessions.recordings.lifecycle import (
    ARROWS,
    QUEUES,
    STAGES,
    UNFINISHED,
    State,
    Status,
    is_past,
    sources_of,
    stage_for,
    stages_from,
)
from tasks.celery import app


def test_each_stage_takes_over_where_the_one_before_ends() -> None:
    stages = list(STAGES.values())
    assert [stage.needs for stage in stages[1:]] == [stage.gives for stage in stages[:-1]]
    assert [stage.name for stage in stages] == ["capture", "compress", "encrypt", "store", "anchor"]


def test_every_unfinished_state_has_a_stage_and_no_other() -> None:
    assert [state for state in State if stage_for(state)] == list(UNFINISHED)


def test_the_chain_from_any_stage_ends_with_anchor() -> None:
    assert stages_from("encrypt") == ["encrypt", "store", "anchor"]


def test_order_of_states() -> None:
    assert is_past(State.STORED, State.CAPTURED)
    assert not is_past(State.CAPTURED, State.STORED)


def test_every_status_can_be_reached_and_only_deleted_is_the_end() -> None:
    assert set(ARROWS) == set(Status)
    reachable = {target for targets in ARROWS.values() for target in targets}
    assert set(Status) - reachable == {Status.CREATED}
    assert [status for status, targets in ARROWS.items() if not targets] == [Status.DELETED]
    assert sources_of(Status.EXPIRING) == (Status.CREATED, Status.COMPLETED, Status.FAILED)


def test_routes_and_queues_follow_from_the_stage_table() -> None:
    app.loader.import_default_modules()
    assert {queue.name for queue in app.conf.task_queues} == set(QUEUES)
    for stage in STAGES:
        assert app.conf.task_routes[f"pipeline.{stage}"] == {"queue": stage}
        assert f"pipeline.{stage}" in app.tasks
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled <= set(app.tasks)
