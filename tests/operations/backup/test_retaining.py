"""Which snapshots and key backups stay: a matter of dates and numbers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lucid_sessions.operations.backup.keyset import Keys
from lucid_sessions.operations.backup.retaining import Policy, made_at, new_id

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
HOURLY = [new_id(1 + n, NOW - timedelta(hours=6 * (400 - n))) for n in range(401)]


def test_all_of_the_last_days_stay() -> None:
    kept = Policy(days=7).kept(HOURLY, now=NOW)
    assert kept == set(HOURLY[-29:])


def test_beyond_them_the_last_of_each_day_week_and_month_stays() -> None:
    kept = sorted(Policy(days=1, daily=5, weekly=3, monthly=3).kept(HOURLY, now=NOW))
    assert [f"{made_at(one):%m-%d %H}" for one in kept if one not in HOURLY[-5:]] == [
        *("01-31 18", "02-28 18"),
        "03-22 18",
        *("03-27 18", "03-28 18", "03-29 18"),
    ]
    assert set(HOURLY[-5:]) <= set(kept)


def test_a_clock_that_jumps_ahead_does_not_empty_the_shelf() -> None:
    kept = Policy(days=7).kept(HOURLY, now=NOW + timedelta(days=3650))
    assert kept == set(HOURLY[-3:])


def test_order_comes_from_the_number_and_not_from_the_clock() -> None:
    early, late = new_id(1, NOW), new_id(2, NOW - timedelta(days=30))
    assert sorted([late, early]) == [early, late]
    assert made_at(late) == NOW - timedelta(days=30)


def test_key_backups_go_in_their_order_whatever_the_clock_said_when_they_were_made(tmp_path: Path) -> None:
    keys = Keys(tmp_path, "ab" * 16, "cd" * 32)
    times = (timedelta(days=-30), timedelta(days=3650), timedelta(days=-20), timedelta(0), timedelta(0))
    names = [new_id(number, NOW + time) for number, time in enumerate(times, start=1)]
    for name in names:
        (tmp_path / f"{name}.json").touch()
    assert keys.prune(before_us=_us(NOW - timedelta(days=7))) == names[:3]
    assert keys.prune(before_us=_us(NOW)) == names[3:4], "none is kept for 0 days but the newest"
    assert keys.names() == names[4:]


def _us(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000
