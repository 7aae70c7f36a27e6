"""Whether every session that the log sealed is accounted for: there is its row, or the log has it shredded.

Who verifies all sessions goes by their rows. A row that is gone, or claims to be that of a session which has
nothing to verify, would have taken its session out of that, and no other check would have missed it.
"""

from collections.abc import Iterator

from .installation import Installation
from .lifecycle import Status
from .models import Session
from .proven import ProvenLog

# What is sealed can be neither, unless it was shredded; `verify --all` passes over both.
OUT_OF_SIGHT = (None, Status.CREATED, Status.DELETED)
AT_ONCE = 1000


def unaccounted(world: Installation, log: ProvenLog) -> Iterator[tuple[str, str]]:
    """Each session that is sealed, was not shredded, and is out of sight: which, and how to say that.

    One that is expiring is on its way, which `manage.py retention` tells.
    """
    sealed = [session for session, seals in log.index.seals.items() if seals[0] < log.tree.size]
    for start in range(0, len(sealed), AT_ONCE):
        page = sealed[start : start + AT_ONCE]
        rows = Session.objects.filter(pk__in=page).values_list("pk", "status")
        found = {str(pk): status for pk, status in rows}
        suspects = {one: found.get(one) for one in page if found.get(one) in OUT_OF_SIGHT}
        # What went while we looked stands in the log that is published by now.
        shredded = ProvenLog(world).index.shredded if suspects else {}
        for session, status in suspects.items():
            if session not in shredded:
                seal = log.index.seals[session][-1]
                said = f"its row says that it is {status}" if status else "its row is gone from the database"
                yield f"session {session}", f"is sealed by record {seal} and was not shredded, but {said}"
