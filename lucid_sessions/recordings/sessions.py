"""What an owner does with a session: create, start, pause, resume, stop. Each is one conditional update."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db.models import Model, QuerySet
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.access import group_commit
from lucid_sessions.blobs import is_bucket
from lucid_sessions.errors import FullyUsed, Refused, Retryable
from recorder.errors import RecorderError, SourceAway
from recorder.settings import Settings
from recorder.sources import RECONNECTED, check_source
from recorder.sources.reach import resolve
from recorder.sources.target import Access, check_secret, parse

from . import events, quota, tags, targets
from .events import CHANGED
from .installation import installation
from .lifecycle import ENDED, Desired, Status
from .models import RecorderHost, Session, SessionKey
from .tombstones import GONE

log = structlog.get_logger(__name__)

# What a source can deliver; a key is born for each when a session is started.
TRACKS: dict[str, tuple[str, ...]] = {
    "synthetic": ("screen", "thumb"),
    "x11": ("screen", "thumb", "input", "audio"),
    "rdp": ("screen", "thumb", "input", "audio"),
    "vnc": ("screen", "thumb", "input"),
    "rtsp": ("screen", "thumb", "audio"),
    "file": ("screen", "thumb", "audio"),
}
POSTER_WIDTH = 320
# Recorders write every two seconds how much they can take.
HOST_SEEN_WITHIN = timedelta(seconds=15)
COMPRESSIONS = ("none", "zstd", "lz4", "gzip")


def create(
    source: str,
    *,
    name: str,
    recording_config: Mapping[str, Any] | None = None,
    storage_config: Mapping[str, Any] | None = None,
    owner: Any = None,
    password: str = "",
    beside: Sequence[Model] = (),
    **metadata: Any,
) -> Session:
    """A new session; Refused, leaving nothing, when source or configuration cannot work.

    `password` is that of another machine's desktop; it is sealed to the recorders before this returns.
    `beside` are rows that are written with it, in the same transaction.
    """
    source = _checked_source(source, password=password)
    config = _checked(source, recording_config or {})
    session = Session(
        source=source,
        name=name,
        recording_config=config,
        storage_config=dict(storage_config or {}),
        owner=owner,
        **metadata,
    )
    if password:
        targets.keep(installation().keys, session.pk, password)
    group_commit.write([session, *tags.rows_of(session.pk, session.tags), *beside])
    return session


def _checked_source(source: str, *, password: str) -> str:
    """The source as it is kept; Refused when it is another machine that recorders may not connect to."""
    kind, colon, rest = source.partition(":")
    source = kind.lower() + colon + rest  # RFC 3986, 3.1
    if kind.lower() not in RECONNECTED:
        if password:
            raise Refused("password: only rdp://, vnc:// and rtsp:// sources have one.")
        return source
    try:
        target = parse(source)
        with suppress(SourceAway):  # its name may be known where it is recorded
            resolve(target, allowed=settings.LUCID_TARGET_ALLOW)
    except RecorderError as error:
        raise Refused(f"source: {error}") from error
    if target.kind == "rdp" and not password:
        raise Refused(f"password: {target.place} is recorded as {target.username}, whose password is needed.")
    try:
        check_secret(target, password)
    except RecorderError as error:
        raise Refused(f"password: {error}") from error
    return target.url


def _checked(source: str, recording_config: Mapping[str, Any]) -> dict[str, Any]:
    if urlsplit(source).scheme not in TRACKS:
        kinds = ", ".join(f"{kind}://" for kind in TRACKS)
        raise Refused(f"source: {source!r} is of an unknown kind. Use one of {kinds}.")
    recorder_settings(recording_config)
    compression = recording_config.get("compression", "zstd")
    if compression not in COMPRESSIONS:
        raise Refused(f"compression: {compression!r} is unknown. Use one of {', '.join(COMPRESSIONS)}.")
    check_audible(source, recording_config)
    return dict(recording_config)


def check_audible(source: str, recording_config: Mapping[str, Any]) -> None:
    """Refused when sound is asked for and the source has none; a file's own sound is always kept."""
    kind = urlsplit(source).scheme
    if recording_config.get("audio_enabled") and "audio" not in TRACKS[kind]:
        with_sound = ", ".join(f"{one}://" for one, tracks in TRACKS.items() if "audio" in tracks)
        raise Refused(f"audio_enabled: {kind}:// carries no sound, only {with_sound}: leave it out or false.")


def complete_keys(session: Session) -> None:
    """The session has a key for each track that its source can deliver; those that it had stay.

    Whoever does this at the same time gives it the same ones: what another has written is kept, and of each
    key that could be kept the private half is there.
    """
    wanted = TRACKS.get(urlsplit(session.source).scheme, ())
    there = set(SessionKey.objects.filter(session=session).values_list("track", flat=True))
    if lacking := [one for one in wanted if one not in there]:
        SessionKey.objects.bulk_create(_new_keys(session, lacking), ignore_conflicts=True)


def _new_keys(session: Session, tracks: Sequence[str]) -> list[SessionKey]:
    return [
        SessionKey(
            session=session,
            track=track,
            public=statement.public.hex(),
            statement=statement.to_bytes(),
            binding=archive.session_binding(session.pk, track).hex(),
        )
        for track, statement in installation().keys.new_session_keys(session.pk, tracks).items()
    ]


def _forget_keys(session: Session) -> None:
    SessionKey.objects.filter(session=session).delete()
    installation().keys.shred(session.pk)


def check(source: str) -> None:
    """Refused, with one clear line, when the source cannot be recorded from here."""
    try:
        check_source(source, access=Access(allowed=tuple(settings.LUCID_TARGET_ALLOW)))
    except RecorderError as error:
        raise Refused(str(error)) from error


def recorder_settings(config: Mapping[str, Any]) -> Settings:
    """The recorder's settings from a session's `recording_config`; Refused naming the field."""
    width, height = resolution(str(config.get("resolution") or settings.DEFAULT_RESOLUTION))
    try:
        return Settings(
            frame_rate=config.get("frame_rate", settings.DEFAULT_FRAME_RATE),
            width=width,
            height=height,
            quality=config.get("quality", settings.DEFAULT_QUALITY),
            segment_seconds=config.get("segment_seconds", settings.LUCID_SEGMENT_SECONDS),
            quiet_segment_seconds=settings.LUCID_QUIET_SEGMENT_SECONDS or None,
            cursor=config.get("cursor_enabled", True),
            maximum_seconds=config.get("maximum_seconds"),
            idle_seconds=config.get("idle_seconds"),
            reconnect=config.get("reconnect", True),
            input=config.get("input", "masked"),
            sound=bool(config.get("audio_enabled")),
            poster_width=POSTER_WIDTH,
        )
    except RecorderError as error:
        raise Refused(str(error)) from error


def resolution(text: str) -> tuple[int, int]:
    """Width and height of a `1280x720`."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise Refused(f"resolution: {text!r} is not WIDTHxHEIGHT, such as 1280x720.")
    return int(width), int(height)


def start(session: Session, *, seen: int | None = None) -> Session:
    """The session has its keys and waits for a recorder.

    Refused when it was started before, Retryable while there is no room, or while keys cannot be written.
    `seen`, here and below: only from this version, or else Refused.
    """
    try:
        admit(session.project)
    except Retryable as error:
        # Once an hour: who starts again and again is told each time, the others only this often.
        key = f"{session.pk} {timezone.now():%Y-%m-%dT%H}"
        facts = {**events.facts_of(session), "reason": str(error)[:500]}
        events.note_if_wanted(events.REFUSED, key, facts=facts)
        raise
    session.refresh_from_db(fields=["status"])
    if new := session.status == Status.CREATED:
        complete_keys(session)  # before any recorder may take it: what it records must be openable
    try:
        return _move(session, (Status.CREATED,), seen, status=Status.STARTING, desired=Desired.RECORD)
    except Refused:
        if new and session.status in GONE:  # deleted meanwhile, when there was nothing to shred yet
            _forget_keys(session)
        raise


def pause(session: Session, *, seen: int | None = None) -> Session:
    """The recorder closes the running segment and waits; the pause becomes a gap with its reason."""
    return _move(session, (Status.STARTING, Status.RECORDING), seen, desired=Desired.PAUSE)


def resume(session: Session, *, seen: int | None = None) -> Session:
    """Recording goes on in a new epoch."""
    return _move(session, (Status.STARTING, Status.PAUSED, Status.RECORDING), seen, desired=Desired.RECORD)


def stop(session: Session, *, seen: int | None = None) -> Session:
    """The recorder closes the tail; a session that no recorder has taken yet just ends. Twice is once."""
    session.refresh_from_db()
    if session.desired == Desired.STOP or session.status in ENDED:
        return session
    live = (Status.STARTING, Status.RECORDING, Status.PAUSED)
    return _move(session, live, seen, status=Status.STOPPING, desired=Desired.STOP)


def _move(session: Session, sources: tuple[Status, ...], seen: int | None, **changes: Any) -> Session:
    """The session after one conditional update; Refused when it is in none of `sources`, or not as `seen`."""
    rows = Session.objects.filter(pk=session.pk, status__in=sources)
    if seen is not None:
        rows = rows.filter(version=seen)
    won = rows.update(**CHANGED, **changes)
    session.refresh_from_db()
    if not won:
        raise Refused(
            f'Session "{session.name}" is {session.status}: this needs it to be {" or ".join(sources)}.'
        )
    return session


def admit(project: str = "") -> None:
    """Retryable when there is too little room to accept a new recording, on the disks or by quota."""
    places = [("SESSION_STORAGE_PATH", settings.SESSION_STORAGE_PATH)]
    if not is_bucket(settings.STORAGE_URL):
        places.append(("CHUNK_STORAGE_PATH", settings.CHUNK_STORAGE_PATH))
    for variable, path in places:
        try:
            free = shutil.disk_usage(path).free / 1024**3
        except FileNotFoundError:
            continue  # not mounted in this service: the recorder's host looks at its own spool
        except OSError as error:
            raise Retryable(f"{variable}={path} cannot be used: {error.strerror}.") from error
        if free < settings.LUCID_STORAGE_MIN_FREE_GIB:
            raise Retryable(
                f"No new recording: the disk of {variable}={path} has {free:.1f} GiB free, "
                f"{settings.LUCID_STORAGE_MIN_FREE_GIB:g} are needed. "
                "Free space or lower LUCID_STORAGE_MIN_FREE_GIB."
            )
    quota.refuse_when_full(project)
    _require_a_host()


def living_hosts() -> QuerySet[RecorderHost]:
    """The recorders that were heard from just now."""
    now = timezone.now()
    return RecorderHost.objects.filter(seen_at__gt=now - HOST_SEEN_WITHIN, seen_at__lt=now + HOST_SEEN_WITHIN)


def _require_a_host() -> None:
    """FullyUsed when every living recorder says that it cannot take one more."""
    refusals = list(living_hosts().values_list("refusal", flat=True))
    if refusals and all(refusals):
        raise FullyUsed(f"No new recording: {' '.join(refusals)}")


def fail(session_id: Any, reason: str) -> None:
    """The session ends with a reason, unless it has ended already."""
    live = (Status.CREATED, Status.STARTING, Status.RECORDING, Status.PAUSED, Status.STOPPING)
    rows = Session.objects.filter(pk=session_id, status__in=live)
    rows.update(
        status=Status.PROCESSING,
        desired=Desired.STOP,
        reason=reason,
        ended_at=timezone.now(),
        **CHANGED,
    )
