"""Idempotency-Key: the same request again gets the same answer, and makes nothing twice."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from lucid_sessions.access.models import Replay, uuid7
from lucid_sessions.errors import Refused

from .problems import CONFLICT, IN_PROGRESS, INVALID, KEY_REUSED, Problem
from .witnessed import tell

KEPT = timedelta(hours=24)
LONGEST_KEY = 255
# A first request that has not answered by then died on the way: the next one may go on.
ABANDONED = timedelta(seconds=60)
LONG_AGO = datetime.fromtimestamp(0, UTC)


def once(request: Request, make: Callable[[UUID], Response], *, secret: bool = False) -> Response:
    """The answer of `make`, or the one that was given before under the same Idempotency-Key.

    `make` is given the id of what it shall create: after a failure or a death half-way it is the same id
    again, so that what was already created is found rather than created twice. What it refuses it must not
    have made. 422: the key came with another body. 409: it was answered with a `secret`, which is kept
    nowhere: what is found again gets another one.
    """
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return make(uuid7())
    row, mine = _claimed(_key(request, given), body=_digest(request.data))
    if not mine:
        tell(request, made=row.made, facts={"replayed": True, "made": str(row.made)})
        return _again(row)
    # Whoever takes over a request that seems dead begins anew: from then on the row is not ours.
    ours = Replay.objects.filter(pk=row.pk, status=0, begun_at=row.begun_at)
    try:
        answer = make(row.made)
        text = "" if secret else json.dumps(answer.data, default=str)
        kept = ours.update(
            status=answer.status_code, answer=text, location=answer.headers.get("Location", "")
        )
        if secret and not kept:
            _busy()  # whoever goes on with the key gives out another secret, and only that counts
    except (APIException, Refused):
        # Nothing was made: the key is free for another try.
        ours.delete()
        raise
    except Exception:
        # It may have been made, whatever failed then: the next one goes on at once, under the same id.
        ours.update(begun_at=LONG_AGO)
        raise
    return answer


def _claimed(key: str, *, body: str) -> tuple[Replay, bool]:
    now = timezone.now()
    Replay.objects.filter(expires_at__lt=now).delete()
    try:
        with transaction.atomic():
            row = Replay.objects.create(key=key, body=body, made=uuid7(), expires_at=now + KEPT)
    except IntegrityError:
        row = Replay.objects.filter(pk=key).first() or _busy()
    else:
        return row, True
    if row.body != body:
        raise Problem(KEY_REUSED, "This Idempotency-Key was used with another body. Take a new key.")
    if row.status:
        return row, False
    dead = Replay.objects.filter(pk=key, status=0, begun_at__lt=now - ABANDONED)
    row.begun_at = now
    return (row, True) if dead.update(begun_at=now) else _busy()


def _busy() -> Any:
    raise Problem(IN_PROGRESS, "The first request with this Idempotency-Key is still being answered.")


def _again(row: Replay) -> Response:
    if not row.answer:
        raise Problem(
            CONFLICT,
            "This Idempotency-Key made one before, whose secret was in that answer only. If the answer was "
            "lost, find it in the list, delete it, and make another under a new key.",
        )
    answer, headers = json.loads(row.answer), {"Idempotent-Replayed": "true"}
    if row.location:
        headers["Location"] = row.location
    if "version" in answer:
        headers["ETag"] = f'"{answer["version"]}"'
    return Response(answer, row.status, headers=headers)


def _key(request: Request, given: str) -> str:
    if not (1 <= len(given) <= LONGEST_KEY and given.isascii() and given.isprintable()):
        raise Problem(INVALID, f"Idempotency-Key: 1 to {LONGEST_KEY} printable ASCII characters.")
    text = f"{request.user.pk} {request.method} {request.path} {given}"
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(body: Any) -> str:
    """Keyed: a body may hold a password, which a plain hash would let others guess at leisure."""
    text = json.dumps(body, sort_keys=True, default=str)
    return salted_hmac("lucid/1 replay", text, algorithm="sha256").hexdigest()
