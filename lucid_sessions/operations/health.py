"""Is this service alive, started, ready? Answered in less than 50 ms, whatever hangs."""

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from lucid_sessions.access.models import User
from lucid_sessions.blobs import is_bucket
from lucid_sessions.recordings.installation import installation

from . import private_redis
from .background import Watched

# What all checks together may keep a probe waiting.
BUDGET_SECONDS = 0.03
GIB = 1024**3


class Answer(NamedTuple):
    """A body and the HTTP status it goes with."""

    status: int
    body: dict[str, Any]


class Health:
    """The answers of one service, from checks that run in the background."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], bool]],
        *,
        service: str,
        started: Callable[[], bool] = lambda: True,
        steady: Callable[[], bool] = lambda: True,
    ) -> None:
        """`checks` are the service's dependencies by name; any of them may raise or hang.

        `steady` says whether its programs stay up: one that ends again and again is no healthy service.
        """
        self._checks = {name: Watched(check, otherwise=False) for name, check in checks.items()}
        self._service = service
        self._started = started
        self._steady = steady

    def health(self) -> Answer:
        """The process answers, and what it runs stays up; 503 when something keeps ending."""
        well = self._steady()
        said = {"status": "healthy" if well else "unhealthy", "timestamp": _now(), "service": self._service}
        return Answer(200 if well else 503, said)

    def live(self) -> Answer:
        """Restarting it would not help; an outage of a dependency is not a reason to."""
        return Answer(200, {"status": "alive"})

    def ready(self) -> Answer:
        """Whether it can do its work now, by dependency; 503 when one is away."""
        for check in self._checks.values():
            check.begin()
        deadline = time.monotonic() + BUDGET_SECONDS
        checks = {name: one.latest(within=deadline - time.monotonic()) for name, one in self._checks.items()}
        well = all(checks.values())
        body = {"status": "ready" if well else "not_ready", "checks": checks, "timestamp": _now()}
        return Answer(200 if well else 503, body)

    def startup(self) -> Answer:
        """Whether it has finished starting."""
        if self._started():
            return Answer(200, {"status": "started"})
        return Answer(503, {"status": "starting"})

    def at(self, path: str) -> Answer | None:
        """The answer of one address; None when there is nothing."""
        known = {
            "/health": self.health,
            "/health/live": self.live,
            "/health/ready": self.ready,
            "/health/startup": self.startup,
        }
        found = known.get(path.rstrip("/"))
        return found() if found else None


def checks() -> dict[str, Callable[[], bool]]:
    """What this installation depends on, under the names of the specification."""
    return {
        "mongodb" if settings.MONGO else "database": database_answers,
        "redis": lambda: private_redis.answers(settings.REDIS_URL),
        "storage": storage_has_room,
    }


def database_answers() -> bool:
    """True when a small query comes back; raises what the driver raises."""
    try:
        User.objects.order_by().values_list("pk", flat=True)[:1].exists()
    finally:
        connection.close()
    return True


def storage_has_room() -> bool:
    """True when the blob store has more room than LUCID_STORAGE_MIN_FREE_GIB (10 GiB by default).

    A bucket has room as long as it answers.
    """
    if is_bucket(settings.STORAGE_URL):
        return installation().front.present()
    room = os.statvfs(settings.CHUNK_STORAGE_PATH)
    return room.f_bavail * room.f_frsize / GIB > float(settings.LUCID_STORAGE_MIN_FREE_GIB)


def _now() -> str:
    return datetime.now(UTC).isoformat()
