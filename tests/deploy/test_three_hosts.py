"""Hosts, each in a network namespace with its own spool and workers, share MongoDB, Redis and S3.

Each records; a stage runs where its files are. Then one is cut off and two are destroyed: another goes on
with what they recorded, and the one that was cut off hands in all that it had when it is back. Of the
destroyed ones, that with LUCID_SPOOL=s3 loses nothing that it had acknowledged; of the other everything is
whole that the archive had, and the rest is named. The bounds are a CI machine's; nothing is timed.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from lucid_sessions.recordings.management.command import LATER
from tests.deploy.hosts import Site
from tests.deploy.parts import ONE_AT_A_TIME, said
from tests.waiting import until

pytestmark = ONE_AT_A_TIME


# By LUCID_SPOOL. The one that is to take over comes last.
HOSTS = {"cut": "s3", "doomed": "s3", "burnt": "local", "calm": "s3"}
DESTROYED = ("doomed", "burnt")


@dataclass
class Story:
    """What happened, told by the tests below."""

    site: Site
    spools: dict[str, str]
    sessions: dict[str, str]
    plain_queues: int = 0
    had_been_filed: int = 0
    recorded_while_away: int = 0
    had_acknowledged: int = 0
    adopted: dict[str, Any] | None = None
    given_up: dict[str, Any] | None = None

    def hosts_of(self, session: str) -> set[str]:
        """The hosts that have a take of the session."""
        with self.site.rows() as rows:
            takes = list(rows.recordings_take.find())
        return {str(one["host"]) for one in takes if _plain(one["session_id"]) == _plain(session)}

    def take_of(self, session: str, host: str) -> bool:
        """Whether that host has a take of the session."""
        return host in self.hosts_of(session)

    def count(self, host: str, *states: str) -> int:
        """How many chunks of that host's spool are in these states, or in any."""
        wanted = {"spool": self.spools[host]} | ({"state": {"$in": states}} if states else {})
        with self.site.rows() as rows:
            return int(rows.recordings_chunk.count_documents(wanted))

    def is_closed(self, host: str) -> bool:
        """Whether the take that began there, in its own session, is closed on every track it has."""
        with self.site.rows() as rows:
            mine = {"session_id": {"$in": _spellings(self.sessions[host])}}
            [take] = rows.recordings_take.find(mine | {"host": host})
            tracks = set(rows.recordings_chunk.distinct("track", mine | {"spool": self.spools[host]}))
            closed = rows.recordings_closure.distinct("track", mine | {"take": take["number"]})
        return bool(tracks) and tracks <= set(closed)

    def status(self, name: str) -> str:
        """The status of the session that began on that host."""
        with self.site.rows() as rows:
            found = {_plain(one["_id"]): one["status"] for one in rows.recordings_session.find()}
        return str(found[_plain(self.sessions[name])])


def _recording(site: Site, name: str) -> str:
    """What `record` said once it was let: until the new host is heard of, all that are known are full."""
    words = ("record", "synthetic://320x240", "--fps", "5", "--name", name, "--json")
    answers = [site.ask(*words)]

    def is_let() -> bool:
        answers.append(site.ask(*words))
        return answers[-1].returncode != LATER

    if answers[-1].returncode == LATER:
        until(is_let, "room for it")
    assert answers[-1].returncode == 0, said(answers[-1])
    return answers[-1].stdout


def _spellings(session: str) -> list[Any]:
    return [session, _plain(session), UUID(session)]


def _plain(identity: object) -> str:
    return str(identity).replace("-", "")


def _begun(site: Site) -> Story:
    spools = {name: site.add_host(name, number) for number, name in enumerate(HOSTS, 1)}
    site.start_core()
    story = Story(site, spools, {})
    # One session each: only the host that is to take over has room for more, so it comes last.
    *others, last = HOSTS
    for names, most in ((others, 1), ([last], 8)):
        for name in names:
            site.start_host(name, spool=spools[name], most_sessions=most, LUCID_SPOOL=HOSTS[name])
        # At once, here and below: whatever a command takes longer, more is recorded meanwhile.
        with ThreadPoolExecutor() as at_once:
            told = list(at_once.map(_recording, [site] * len(names), [f"on one of {names}"] * len(names)))
        begun = [json.loads(one)["session"] for one in told]
        # Whichever host takes which.
        until(lambda begun=begun: all(story.hosts_of(one) for one in begun), f"takes on {names}")  # type: ignore[misc]
        story.sessions |= {host: one for one in begun for host in story.hosts_of(one)}
    assert set(story.sessions) == set(HOSTS)
    return story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The whole story, once."""
    with Site(tmp_path_factory.mktemp("hosts")) as site:
        story = _begun(site)
        for name in story.spools:
            until(lambda name=name: story.count(name, "anchored") >= 2, f"{name}'s chunks anchored")  # type: ignore[misc]
        # What these acknowledge from now on is not archived, however fast workers are.
        before = {name: story.count(name) for name in DESTROYED}
        for name in DESTROYED:
            site.freeze(f"{name} worker")
        for name in DESTROYED:
            until(lambda name=name: story.count(name) > before[name] + 4, f"{name} goes on recording")  # type: ignore[misc]
        site.cut_off("cut")
        story.had_been_filed = story.count("cut")
        story.had_acknowledged = story.count("doomed")
        for name in DESTROYED:
            site.destroy(name)
        for name in ("cut", *DESTROYED):
            until(lambda name=name: story.take_of(story.sessions[name], "calm"), f"{name}'s session goes on")  # type: ignore[misc]
        # With LUCID_SPOOL=s3 a segment is held until its second copy is made.
        segments = [one for one in (site.home / "cut/spool/takes").rglob("*.mp4*") if one.suffix != ".part"]
        story.recorded_while_away = len(segments)
        site.join_again("cut")
        # To its end: a session that was sealed before would be sealed again by what came later.
        until(lambda: story.is_closed("cut"), "what was recorded meanwhile is filed")
        told = site.ask("spool", "adopt", story.spools["doomed"], "--json", on="calm", LUCID_SPOOL="s3")
        assert told.returncode == 0, told.stdout + told.stderr
        story.adopted = json.loads(told.stdout.splitlines()[-1])
        story.given_up = json.loads(site.manage("lost_host", story.spools["burnt"], "--json"))
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(lambda session: site.manage("stop", session), story.sessions.values()))
        for name in story.spools:
            until(lambda name=name: story.status(name) in ("completed", "failed"), f"{name}'s session sealed")  # type: ignore[misc]
        yield story


def test_each_host_recorded_into_its_own_spool_and_served_it(story: Story) -> None:
    with story.site.rows() as rows:
        hosts = {take["spool"]: take["host"] for take in rows.recordings_take.find()}
    # The take of the spool that was adopted has become its new host's.
    for name in ("cut", "burnt"):
        assert hosts[story.spools[name]] == name
    for name in ("calm", "cut"):
        log = (story.site.home / f"{name} worker.log").read_text()
        assert f"capture.{story.spools[name]}" in log
        assert log.count("succeeded in") >= 2


def test_a_host_that_was_cut_off_recorded_on_and_handed_in_everything(story: Story) -> None:
    assert story.recorded_while_away > 2
    assert story.count("cut") > story.had_been_filed
    assert story.count("cut", "anchored") == story.count("cut")
    assert _missing(story, "cut") == []


def test_the_sessions_of_both_went_on_elsewhere(story: Story) -> None:
    for name in ("cut", *DESTROYED):
        assert story.take_of(story.sessions[name], "calm")
        assert story.status(name) == "completed"


def test_of_a_host_with_second_copies_nothing_is_lost_that_it_had_acknowledged(story: Story) -> None:
    assert story.adopted is not None
    assert story.adopted["segments"] > 2
    with story.site.rows() as rows:
        mine = {"session_id": {"$in": _spellings(story.sessions["doomed"])}, "sequence": {"$lt": 2 << 32}}
        states = [one["state"] for one in rows.recordings_chunk.find(mine)]
    assert len(states) >= story.had_acknowledged
    assert set(states) == {"anchored"}


def test_of_a_host_without_the_archive_has_what_it_had_and_names_the_rest(story: Story) -> None:
    assert story.given_up is not None
    assert story.given_up["chunks"] > 2
    missing = _missing(story, "burnt")
    assert len(missing) >= story.given_up["chunks"]
    assert all("host" in one["reason"] for one in missing), missing
    assert story.count("burnt", "anchored") >= 2


def test_everything_that_is_in_the_archive_is_intact(story: Story) -> None:
    ended = story.site.ask("verify", "--all", "--deep", "--json")
    reports = json.loads(ended.stdout)["reports"]
    assert len(reports) == len(HOSTS) + 1
    assert [one for one in reports if not one["ok"]] == [], ended.stdout


def _missing(story: Story, name: str) -> list[dict[str, Any]]:
    told = json.loads(story.site.ask("verify", story.sessions[name], "--json").stdout)
    return list(told["reports"][0]["missing"])
