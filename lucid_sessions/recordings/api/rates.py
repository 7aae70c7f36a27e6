"""How often one user may ask: counted atomically in the cache Redis, which all processes share.

Without CACHE_URL nothing is limited. While that Redis is away everything is allowed, and the log says so:
a guard that is missing must not close the house.
"""

import threading
import time
from functools import cache
from typing import Any

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from lucid_sessions.access import clients

from .problems import TOO_MANY, Problem

log = structlog.get_logger(__name__)

SECONDS = 60
# Requests a minute, by what is asked for.
LIMITS = {"create": 10, "status": 100, "chunks": 1000, "bulk": 5}
# The window begins with its first request. One script: two processes cannot both be the last one let in.
_COUNT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {n, redis.call('PTTL', KEYS[1])}
"""
# So long a request waits for the Redis; one that did not answer is left in peace for longer.
ANSWER_SECONDS = 0.25
SILENCE_SECONDS = 5.0


class Counter:
    """The counts of one cache Redis."""

    def __init__(self, url: str) -> None:
        wait = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
        self._redis = redis.Redis.from_url(url, **wait)
        self._count = self._redis.register_script(_COUNT)
        self._silent_until = 0.0
        self._lock = threading.Lock()

    def count(self, key: str) -> tuple[int, float] | None:
        """Requests of this window, and the seconds until the next; None when Redis does not answer."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            number, left = self._count(keys=[key], args=[SECONDS * 1000])
        except redis.RedisError as error:
            with self._lock:
                self._silent_until = time.monotonic() + SILENCE_SECONDS
            log.error("rates are not limited: the cache does not answer", alarm=True, reason=str(error))
            return None
        return int(number), max(0, int(left)) / 1000


@cache
def _counter(url: str) -> Counter:
    return Counter(url)


class Rates(BaseThrottle):
    """What `view.rates` names for the action asked for; an action that it does not name is not limited."""

    left_seconds: float = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """True within the limit; leaves on the request what the answer's headers say."""
        scope = getattr(view, "rates", {}).get(getattr(view, "action", None))
        if scope is None or not _are_limited():
            return True
        counted = _count(scope, request._request, user=request.user)
        if counted is None:
            request._request._lucid_rate_unknown = True  # type: ignore[attr-defined]
            return True
        number, self.left_seconds = counted
        limit = LIMITS[scope]
        rest, reset = max(0, limit - number), int(self.left_seconds + 0.999)
        request._request._lucid_rate = {  # type: ignore[attr-defined]
            "RateLimit-Policy": f'"{scope}";q={limit};w={SECONDS}',
            "RateLimit": f'"{scope}";r={rest};t={reset}',
        }
        return number <= limit

    def wait(self) -> float:
        """Seconds until it is worth asking again."""
        return self.left_seconds


def require_turn(request: HttpRequest, scope: str) -> None:
    """What a page does instead: 429 beyond the limit, for which pages and API count together."""
    counted = _count(scope, request, user=request.user) if _are_limited() else None
    if counted is not None and counted[0] > LIMITS[scope]:
        wait = int(counted[1] + 0.999)
        raise Problem(TOO_MANY, f"That is more than {LIMITS[scope]} a minute. Try again in {wait} seconds.")


def _are_limited() -> bool:
    return bool(settings.RATE_LIMIT_ENABLED and settings.CACHE_URL)


def _count(scope: str, request: HttpRequest, *, user: Any) -> tuple[int, float] | None:
    who = str(user.pk) if user and user.is_authenticated else clients.address_of(request)
    return _counter(settings.CACHE_URL).count(f"lucid:rate:{scope}:{who}")


def headers_of(request: HttpRequest) -> dict[str, str]:
    """RateLimit headers for the answer to this request."""
    found: dict[str, str] = getattr(request, "_lucid_rate", {})
    return found
