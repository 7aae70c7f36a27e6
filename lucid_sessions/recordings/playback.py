"""The way back: from stored blobs to pictures, believing nothing that was not verified on the way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, takewhile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max

from lucid_sessions import archive
from lucid_sessions.blobs import blob_name, read
from lucid_sessions.errors import Refused, Tampered

from . import leaves
from .installation import Installation, identity, installation
from .lifecycle import ENDED, State, Status
from .listing import Listed, is_bad, is_published, listed, published_size
from .models import Chunk, Session, SessionKey
from .opened import Opened
from .proven import ProvenLog

if TYPE_CHECKING:
    from recorder.export import Sound

HLS_VERSION = 7
GAP_VERSION = 8  # the first that knows EXT-X-GAP
# From a segment's head to its rest, and from the first of many viewers to the last, takes no longer.
OPENED_SECONDS = 20.0
# Called for each chunk on the way; raises to end it there.
Passed = Callable[[], None]


def archived(session: Session, *, track: str = "screen") -> list[Chunk]:
    """The session's playable chunks of one track, in order: those that a signed checkpoint covers."""
    newest = published_size()
    chunks = Chunk.objects.filter(session=session, track=track).order_by("sequence")
    if session.status not in ENDED:
        # As in its playlist: while it is recorded one waits for another.
        return list(takewhile(lambda chunk: is_published(chunk, newest), chunks))
    return [chunk for chunk in chunks if is_published(chunk, newest)]


def version_of(session: Session) -> str:
    """Another text whenever one of the session's playlists is another; made without reading its chunks."""
    newest = published_size()
    chunks = Chunk.objects.filter(session=session).order_by()
    rows = chunks.filter(state=State.ANCHORED, record__lt=newest)
    counts = {row["track"]: row["number"] for row in rows.values("track").annotate(number=Count("pk"))}
    # By the newest too: one may have come while another went.
    bad = chunks.filter(quarantined_at__isnull=False).exclude(state=State.EXPIRED)
    found = bad.aggregate(number=Count("pk"), newest=Max("quarantined_at"))
    text = f"{session.status}-{counts.get('screen', 0)}-{counts.get('audio', 0)}"
    return f"{text}-{found['number']}-{found['newest'].timestamp()}" if found["number"] else text


def must_be_kept(session: Session) -> None:
    """Refused from the moment when the session was to go, whatever is still in memory of it."""
    if session.status in (Status.EXPIRING, Status.DELETED):
        raise Refused(f'Session "{session.name}" is {session.status}: it is shredded.')


def must_be_anchored(chunk: Chunk) -> None:
    """Refused until the row names the chunk's record in the log: what nothing proves yet is not opened."""
    if chunk.state != State.ANCHORED:
        raise Refused(f"Chunk {chunk} is {chunk.state}: it is opened once it is anchored.")


@cache
def _just_opened(most: int) -> Opened:
    return Opened(most=most, seconds=OPENED_SECONDS)


def segment(chunk: Chunk) -> bytes:
    """The recorded bytes of one chunk, verified and decrypted. Needs ENCRYPTION_PASSWORD.

    What was verified and decrypted within the last seconds is not decrypted again; it is in memory only.

    Refused: no password, a wrong one, or the session was shredded. Tampered: the blob is not what was
    sealed for this place. Retryable: the store is away.
    """
    world = installation()

    def opened() -> bytes:
        key = session_identity(chunk.session_id, chunk.track, world=world)
        return open_chunk(chunk, world=world, key=key)

    recent = _just_opened(int(settings.LUCID_PLAYBACK_CACHE_MIB * 1024**2))
    return recent.get((world.keys_root, chunk.pk, chunk.blob, chunk.record), chunk.raw_length, open_=opened)


def session_identity(session: UUID, track: str, *, world: Installation) -> archive.Identity:
    """The key that opens one track of one session."""
    row = SessionKey.objects.filter(session=session, track=track).first()
    if row is None:
        raise Refused(f"Session {session} has no key for track {track}.")
    return world.keys.session_identity(archive.Statement.from_bytes(bytes(row.statement)), by=identity())


def open_chunk(chunk: Chunk, *, world: Installation, key: archive.Identity) -> bytes:
    """The recorded bytes of one chunk, opened with its track's key.

    Only what the signed log anchors is believed: a row that names another blob than the log is Tampered.
    """
    log = ProvenLog(world)
    log.must_hold(leaves.facts_of(chunk), chunk.record)
    place = archive.Place(world.keys.repository, chunk.session_id, chunk.track, chunk.sequence)
    blob = read(chunk.blob, source=world.blobs)
    if blob_name(blob) != chunk.blob:
        raise Tampered(f"{chunk}: its blob was changed: it has not the hash that the log names.")
    return archive.open_blob(blob, place=place, identity=key, writers=log.writers(chunk.record))


def playlist(session: Session, *, address: Callable[[Listed], str]) -> str:
    """An HLS media playlist (RFC 8216) over the session's archived screen segments.

    Each segment is a file of its own: its head serves as the map, the rest as the media, both by range.
    A jump in time, and a change of picture size, is a discontinuity; a running session has no end yet. What
    is in quarantine is a gap: it keeps its place, so that the list stays the same when it comes back.
    """
    chunks = listed(session)
    if not chunks:
        raise Refused(f'Session "{session.name}" has nothing to play yet: no segment is archived.')
    longest = max(chunk.end_us - chunk.start_us for chunk in chunks)
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{GAP_VERSION if any(map(is_bad, chunks)) else HLS_VERSION}",
        f"#EXT-X-TARGETDURATION:{-(-longest // 1_000_000)}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if session.status in ENDED else 'EVENT'}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    previous: Listed | None = None
    for chunk in chunks:
        if previous is not None and is_cut(previous, chunk):
            lines.append("#EXT-X-DISCONTINUITY")
        lines.append(entry(chunk, address(chunk)))
        previous = chunk
    if session.status in ENDED:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def is_cut(earlier: Listed, later: Listed) -> bool:
    """Whether time, or the picture's size, jumps between two segments of the screen."""
    return (earlier.end_us, earlier.epoch) != (later.start_us, later.epoch)


def entry(chunk: Listed, address: str) -> str:
    """A segment's lines in an HLS playlist; of one in quarantine, the gap that stands for it."""
    seconds, head = (chunk.end_us - chunk.start_us) / 1_000_000, chunk.init_length
    if is_bad(chunk):
        return "\n".join(gap(seconds, address))
    # The map has to be repeated: each segment carries its own, and ranges are relative to it.
    return (
        f'#EXT-X-MAP:URI="{address}",BYTERANGE="{head}@0"\n#EXTINF:{seconds:.6f},\n'
        f"#EXT-X-BYTERANGE:{chunk.raw_length - head}@{head}\n{address}"
    )


def gap(seconds: float, address: str) -> list[str]:
    """The lines of a stretch in which an HLS playlist has nothing to play."""
    return ["#EXT-X-GAP", f"#EXTINF:{seconds:.6f},", address]


@dataclass(frozen=True)
class Epoch:
    """An epoch's segments of the screen, those of the sound beside them, and when the next epoch begins."""

    shown: list[Chunk]
    heard: list[Chunk]
    until_us: int | None


def epochs_of(session: Session) -> list[Epoch]:
    """The session's archived epochs, in order; Refused when there are none."""
    chunks = archived(session)
    if not chunks:
        raise Refused(f'Session "{session.name}" has nothing to export: no segment is archived.')
    audio = archived(session, track="audio")
    epochs = [list(members) for _, members in groupby(chunks, key=_epoch_of)]
    begins: list[int | None] = [members[0].start_us for members in epochs[1:]]
    return [
        Epoch(members, _beside(audio, members[0], until_us=until_us), until_us)
        for members, until_us in zip(epochs, [*begins, None], strict=True)
    ]


def _beside(audio: Sequence[Chunk], first: Chunk, *, until_us: int | None) -> list[Chunk]:
    same = (chunk for chunk in audio if chunk.sequence >> 32 == first.sequence >> 32)
    return [chunk for chunk in same if _overlaps(chunk, from_us=first.start_us, until_us=until_us)]


def export(session: Session, out: Path, *, passed: Passed = lambda: None) -> list[Path]:
    """One MP4 an epoch, by stream copy and with its sound: `out`, then out-2.mp4 and so on.

    Every chunk is verified and decrypted on the way. Each file appears whole or not at all. `passed` is
    called for each chunk, and may raise to end it there.
    """
    from recorder.export import write_mp4  # FFmpeg's libraries, for those that export

    written = []
    for number, epoch in enumerate(epochs_of(session), start=1):
        target = out if number == 1 else out.with_name(f"{out.stem}-{number}{out.suffix}")
        sound = sound_of(session, epoch, passed=passed)
        write_mp4(target, opened(session, epoch.shown, passed=passed), sound=sound)
        written.append(target)
    return written


def sound_of(session: Session, epoch: Epoch, *, passed: Passed) -> "Sound | None":
    """An epoch's sound, ready to be written; None where there is none."""
    from recorder.export import Sound

    heard = epoch.heard
    return Sound(opened(session, heard, passed=passed), until_us=epoch.until_us) if heard else None


def length(session: Session) -> int:
    """How many chunks an export of the session goes through."""
    return len(archived(session)) + len(archived(session, track="audio"))


def _epoch_of(chunk: Chunk) -> tuple[int, int]:
    return chunk.sequence >> 32, chunk.epoch


def _overlaps(chunk: Chunk, *, from_us: int, until_us: int | None) -> bool:
    return chunk.end_us > from_us and (until_us is None or chunk.start_us < until_us)


def opened(session: Session, chunks: Sequence[Chunk], *, passed: Passed) -> Iterator[bytes]:
    """The recorded bytes of chunks of one track, each verified and decrypted when it is asked for."""
    world = installation()
    key = session_identity(session.pk, chunks[0].track, world=world)
    for chunk in chunks:
        passed()
        yield open_chunk(chunk, world=world, key=key)
