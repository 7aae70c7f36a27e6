"""Which snapshots stay: by age, then one a day, a week, a month; the newest few whatever the clock says."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Policy:
    """All of the last `days`; beyond that the last one of each of so many days, weeks and months."""

    days: int = 7
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    # A clock that jumps ahead makes everything look old: so many stay in any case.
    least: int = 3

    def kept(self, snapshots: Iterable[str], *, now: datetime) -> set[str]:
        """Of these ids, those that stay."""
        newest_first = sorted(snapshots, reverse=True)
        staying = set(newest_first[: self.least])
        staying |= {one for one in newest_first if made_at(one) >= now - timedelta(days=self.days)}
        for count, period in ((self.daily, "%Y-%j"), (self.weekly, "%G-%V"), (self.monthly, "%Y-%m")):
            staying |= _last_of_each(newest_first, period, count=count)
        return staying


def _last_of_each(newest_first: list[str], period: str, *, count: int) -> set[str]:
    last: dict[str, str] = {}
    for one in newest_first:
        last.setdefault(made_at(one).strftime(period), one)
    return set(list(last.values())[:count])


def new_id(serial: int, now: datetime) -> str:
    """A snapshot's id: ids sort by serial number, and the time is there to be read."""
    return f"{serial:06d}-{now.astimezone(UTC).strftime(_TIME)}"


def next_serial(ids: Iterable[str]) -> int:
    """One more than any of theirs: order comes from this, never from the clock."""
    return 1 + max((int(one.partition("-")[0]) for one in ids), default=0)


def made_at(snapshot: str) -> datetime:
    """When the snapshot of that id was made, by the clock of then."""
    return datetime.strptime(snapshot.partition("-")[2], _TIME).replace(tzinfo=UTC)


def made_us(snapshot: str) -> int:
    """The same in microseconds."""
    return int(made_at(snapshot).timestamp()) * 1_000_000
