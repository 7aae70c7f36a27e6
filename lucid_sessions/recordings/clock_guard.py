"""Whether the wall clock may be believed when it says that something is old enough to be deleted.

Between two looks the wall clock has to have moved as far as the machine's steady one (CLOCK_BOOTTIME, which
nobody can set). After a reboot, or on another machine, only the wall clock is left to compare. More than an
hour unaccounted for stops all deletion by age until a person has confirmed the time.
"""

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from . import upkeep

log = structlog.get_logger(__name__)

MOST_JUMP_SECONDS = 3600.0
NAME = "clock"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
CONFIRM = "Check the date; then `manage.py retention --confirm-clock`."


@dataclass(frozen=True)
class Reading:
    """Both clocks at one moment, in seconds, and the boot to which the steady one belongs."""

    wall: float
    steady: float
    boot: str


def read() -> Reading:
    """The clocks now."""
    return Reading(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), _BOOT.read_text().strip())


def check(now: Reading) -> str:
    """Why nothing may be deleted by age now; empty when the clock can be believed. Notes this look."""
    reason = look(now)
    last = upkeep.recall(NAME)
    if _suspended(last):
        return reason
    if reason and last:
        log.error("deletion by age is suspended", reason=reason)
        upkeep.note(NAME, last | {"suspended": reason})
        return reason
    upkeep.note(NAME, asdict(now))
    return reason


def look(now: Reading) -> str:
    """What `check` would say, noting nothing."""
    last = upkeep.recall(NAME)
    if not last:
        return "The clock is seen for the first time: it is noted now, and believed at the next look."
    return _suspended(last) or _jump(last, now)


def suspended() -> str:
    """Why nothing is deleted by age until a person has confirmed the time; empty when it goes on."""
    return _suspended(upkeep.recall(NAME))


def confirm(now: Reading) -> None:
    """A person vouches for the time: deletion by age goes on from here."""
    log.info("the clock was confirmed", wall=_date(now.wall))
    upkeep.note(NAME, asdict(now))


def _suspended(last: dict[str, Any]) -> str:
    return str(last.get("suspended", ""))


def _jump(last: dict[str, Any], now: Reading) -> str:
    passed = now.wall - last["wall"]
    if last["boot"] == now.boot:
        passed -= now.steady - last["steady"]
    if abs(passed) <= MOST_JUMP_SECONDS:
        return ""
    way = "forward" if passed > 0 else "back"
    since = "" if last["boot"] == now.boot else ", with a reboot or another host in between"
    return (
        f"The clock went {way} by {abs(passed) / 3600:.1f} h that did not pass, "
        f"from {_date(last['wall'])} to {_date(now.wall)}{since}. Nothing is deleted by age. {CONFIRM}"
    )


def _date(wall: float) -> str:
    try:
        return datetime.fromtimestamp(wall, UTC).isoformat(" ", "minutes").removesuffix("+00:00")
    except (ValueError, OverflowError, OSError):
        return f"{wall:.0f} s"
