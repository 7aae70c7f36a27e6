"""How much the archive may hold: in total, by project, by session. Counted in the background, asked at start.

A session's usage is counted anew while it may change; the totals are sums of those figures, taken again as
often as costs at most a hundredth of the time. Nothing here deletes: a full archive takes no new recording,
and what was recorded stays until its time is over.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db.models import Count, Q, Sum
from django.utils import timezone

from lucid_sessions.blobs import is_bucket
from lucid_sessions.errors import Refused, Retryable

from . import events, upkeep
from .events import CHANGED
from .lifecycle import ARCHIVED, ENDED, UNFINISHED, Desired, State, Status
from .models import Chunk, Session, StoragePolicy

log = structlog.get_logger(__name__)

GIB = 1024**3
TICK_SECONDS = 30.0
PAGE = 200
WARN_AT = (80, 90, 95, 100)
NAME = "quota"
# The totals are summed again once this many times their own cost has passed.
COST_FACTOR = 100
CHEAP_SECONDS = 0.2
RUNNING = (Status.STARTING, Status.RECORDING, Status.PAUSED)


@dataclass(frozen=True)
class Usage:
    """What is used of one limit; `limit` 0: there is none."""

    what: str
    used: int
    limit: int
    files: int = 0

    @property
    def project(self) -> str | None:
        """Whose limit it is; None: everybody's."""
        return self.what.removeprefix("project ") if self.what.startswith("project ") else None

    @property
    def percent(self) -> float:
        return 100 * self.used / self.limit if self.limit else 0.0

    @property
    def level(self) -> int:
        """The highest threshold that is reached; 0 below the first."""
        return max((mark for mark in WARN_AT if self.percent >= mark), default=0)

    def __str__(self) -> str:
        if not self.limit:
            return f"{self.what}: {self.used / GIB:.2f} GiB in {self.files} files, no limit"
        share = f"{self.used / GIB:.2f} of {self.limit / GIB:g} GiB ({self.percent:.0f} %)"
        return f"{self.what}: {share}, {self.files} files"


def tick(*, page: int = PAGE) -> None:
    """Count what may have changed, stop what runs away, sum up when that is due, and warn."""
    facts = upkeep.recall(NAME)
    due = Session.objects.filter(usage_due__in=[True], pk__gt=facts.get("after", "0" * 32)).order_by("pk")
    found = list(due[:page])
    for session in found:
        _count(session)
    facts["after"] = str(found[-1].pk) if len(found) == page else "0" * 32
    if _sum_is_due(facts):
        facts |= _summed()
        facts["level"] = _warned(facts)
    upkeep.note(NAME, facts)


def _count(session: Session) -> None:
    """The session's figures on its row; one that grew beyond its limit is stopped, and says so."""
    used, files, moving = _taken_up(session)
    final = session.status in (*ENDED, Status.DELETED) and not moving
    same = Session.objects.filter(pk=session.pk, version=session.version)
    same.update(used_bytes=used, used_files=files, usage_due=not final)
    limit = session_limit(session)
    if limit and used > limit and session.status in RUNNING:
        stop(
            session, f"It takes up {used / GIB:.2f} GiB, over its limit of {limit / GIB:g} GiB (max_size_gb)."
        )


def _taken_up(session: Session) -> tuple[int, int, bool]:
    """Its bytes and files, and whether some of them are on their way."""
    if session.status == Status.DELETED:
        return 0, 0, False  # a restored database has rows that were not told how each chunk went
    chunks = Chunk.objects.filter(session=session.pk)
    stored = Q(state__in=ARCHIVED) | Q(state=State.EXPIRED, shredded_at__isnull=True, blob__gt="")
    blobs = chunks.filter(stored).aggregate(size=Sum("blob_length"), files=Count("pk"))
    spooled = chunks.filter(path__gt="").aggregate(size=Sum("raw_length"), files=Count("pk"))
    moving = spooled["files"] or chunks.filter(state__in=UNFINISHED, quarantined_at__isnull=True).exists()
    used = (blobs["size"] or 0) + (spooled["size"] or 0)
    return used, blobs["files"] + spooled["files"], bool(moving)


def session_limit(session: Session) -> int:
    """Bytes that this one session may take up; 0: no limit of its own."""
    own = session.storage_config.get("max_size_gb")
    known = isinstance(own, int | float) and not isinstance(own, bool) and own > 0
    return int(own * GIB) if known else 0


def stop(session: Session, reason: str) -> bool:
    """True when the recording is now being stopped with this reason; what was recorded is kept and sealed."""
    rows = Session.objects.filter(pk=session.pk, status__in=RUNNING).exclude(desired=Desired.STOP)
    changes = {"status": Status.STOPPING, "desired": Desired.STOP, "reason": reason}
    won = rows.update(**CHANGED, **changes) == 1
    if won:
        log.warning("session stopped by quota", session=str(session.pk), reason=reason)
    return won


def _sum_is_due(facts: dict[str, Any]) -> bool:
    took = facts.get("took", 0.0)
    passed = time.time() - facts.get("summed_at", 0.0)
    return took < CHEAP_SECONDS or not 0 <= passed < COST_FACTOR * took


def _summed() -> dict[str, Any]:
    """The totals by project: one pass over an index that holds nothing else."""
    began = time.monotonic()
    sums = Session.objects.filter(used_bytes__gt=0).order_by().values_list("project")
    rows = sums.annotate(size=Sum("used_bytes"), files=Sum("used_files"))
    projects = [[project, size, files] for project, size, files in rows]
    return {"projects": projects, "summed_at": time.time(), "took": time.monotonic() - began}


def _warned(facts: dict[str, Any]) -> dict[str, int]:
    """The thresholds reached; each is logged when it is first crossed upwards."""
    known: dict[str, int] = facts.get("level", {}) if isinstance(facts.get("level"), dict) else {}
    levels = {}
    for usage in usages(facts):
        levels[usage.what] = usage.level
        if usage.level > known.get(usage.what, 0):
            _announce(usage)
    return levels


def _announce(usage: Usage) -> None:
    """A limit's threshold was crossed upwards: the one place that tells anybody."""
    say = log.error if usage.level == 100 else log.warning
    say("storage fills up", usage=str(usage), percent=round(usage.percent, 1))
    key = f"{usage.what} {usage.level} {timezone.now():%Y-%m-%dT%H}"
    facts = {"what": usage.what, "used": usage.used, "limit": usage.limit, "percent": usage.level}
    events.note_if_wanted(events.QUOTA, key, facts=facts)


def warnings() -> list[Usage]:
    """The limits of which 80 % or more are used, the fullest first: what the console shows."""
    return sorted((one for one in usages() if one.level), key=lambda one: -one.percent)


def stored() -> Usage:
    """The whole archive."""
    return usages()[0]


def usages(facts: dict[str, Any] | None = None) -> list[Usage]:
    """The whole archive, its file system's inodes, and every project that has a limit."""
    facts = upkeep.recall(NAME) if facts is None else facts
    projects = {project: (size, files) for project, size, files in facts.get("projects", [])}
    total, files = (sum(pair[place] for pair in projects.values()) for place in (0, 1))
    found = [Usage("the archive", total, settings.MAX_STORAGE_SIZE_GB * GIB, files)]
    if not is_bucket(settings.STORAGE_URL):
        found += [inodes] if (inodes := _inodes(settings.CHUNK_STORAGE_PATH)) else []
    for project, limit in _project_limits().items():
        size, count = projects.get(project, (0, 0))
        found.append(Usage(f"project {project}", size, limit, count))
    return found


@dataclass(frozen=True)
class Inodes(Usage):
    """Files that the archive's file system can still hold."""

    def __str__(self) -> str:
        return f"{self.what}: {self.used} of {self.limit} used ({self.percent:.0f} %)"


def _inodes(path: Path) -> Inodes | None:
    try:
        room = os.statvfs(path)
    except OSError:
        return None  # not mounted in this service
    return Inodes("inodes", room.f_files - room.f_favail, room.f_files) if room.f_files else None


def _project_limits() -> dict[str, int]:
    rows = StoragePolicy.objects.filter(scope=StoragePolicy.Scope.PROJECT, max_size_gb__isnull=False)
    return {row.value: int((row.max_size_gb or 0) * GIB) for row in rows}


def has_limit(project: str) -> bool:
    """Whether the project may take up only so much."""
    return project in _project_limits()


def refuse_when_full(project: str) -> None:
    """Retryable when the archive, its inodes or the project have reached their limit."""
    for usage in usages():
        if usage.project in (None, project) and usage.level == 100:
            raise Retryable(
                f"No new recording: storage is full ({usage}). Raise the limit, shorten retention "
                "(`manage.py retention`) or delete sessions (`manage.py shred`)."
            )


def limit_project(project: str, *, gigabytes: float | None) -> None:
    """The project may take up so much (None: no limit any more)."""
    if not project:
        raise Refused("Name a project.")
    if gigabytes is not None and not 0.001 <= gigabytes <= 1_000_000:
        raise Refused(f"{gigabytes:g} GB: a limit is 0.001 to 1000000. To take it away, say `none`.")
    StoragePolicy.objects.update_or_create(
        scope=StoragePolicy.Scope.PROJECT, value=project, defaults={"max_size_gb": gigabytes}
    )
    log.info("project quota", project=project, gigabytes=gigabytes, at=timezone.now().isoformat())
