"""After a restore: what waits for things that are lost, and who may sign the log from now on."""

from django.utils import timezone

from lucid_sessions.errors import Refused
from lucid_sessions.recordings import lost_hosts
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import LIVE, Desired, State, Status
from lucid_sessions.recordings.models import Chunk, Session, Take

from . import succession

IN_SPOOL = (State.RECORDED, State.CAPTURED, State.COMPRESSED, State.ENCRYPTED)


def give_up_spools(world: Installation, lost: tuple[str, ...]) -> None:
    """Chunks and takes of lost spools (their ids, or `all` but the one mounted here) wait for nobody."""
    if not lost:
        return
    waiting = Chunk.objects.filter(state__in=IN_SPOOL)
    if "all" in lost:
        known = set(Take.objects.values_list("spool", flat=True)) | set(
            waiting.values_list("spool", flat=True)
        )
        lost = tuple(known - {world.spool.identity})
    waiting = waiting.filter(spool__in=lost)
    takes = Take.objects.filter(spool__in=lost, ended_at__isnull=True)
    now = timezone.now()
    waiting.update(quarantined_at=now, reason="lost with its spool; the rest was restored from a backup")
    takes.update(ended_at=now, reason="its spool was lost")
    lost_hosts.wait_no_more(lost)
    for session in Session.objects.filter(status__in=LIVE):
        if not Take.objects.filter(session=session, ended_at__isnull=True).exists():
            Session.objects.filter(pk=session.pk, version=session.version).update(
                status=Status.PROCESSING,
                desired=Desired.STOP,
                reason="its recorder's spool was lost",
                ended_at=now,
                version=session.version + 1,
            )


def settle_log(world: Installation, policy: str, *, origin: str) -> str:
    """What the operator should know: `keep`, `adopt` or `continue` the log, and whether it can be signed."""
    ring, size = world.keys, world.log().size
    pinned = succession.pinned_size(ring)
    if policy == "continue":
        taken = succession.succeed(world, origin)
        return f"A new log, {taken.origin}, continues the old one after its {taken.size} records."
    if policy == "adopt" and pinned is not None and pinned > size:
        raise Refused(
            f"{pinned} records were signed and {size} are here: adopting would sign a second history. "
            "Use --log continue --origin NAME"
        )
    if policy == "adopt" and pinned is None and size:
        world.log_for_appending().adopt()
        pinned = size
    if (pinned is not None and pinned <= size) or not size:
        return "The log goes on."
    why = "its pin is lost" if pinned is None else f"{pinned} records were signed, {size} are here"
    return (
        f"Sealing waits ({why}): restore again with --over and --log adopt if nothing can have been signed "
        "after this backup, else with --log continue --origin NAME: a new log, which names this one."
    )
