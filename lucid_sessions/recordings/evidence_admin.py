"""What a verdict may rest on, in Django's own admin: to be looked at and never touched."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.text import Truncator

from lucid_sessions.access.admin import Listed

from .models import Checkpoint, Closure, Gap, LedgerRecord, LedgerRequest, SessionKey, Take

if TYPE_CHECKING:
    Pages = Paginator[Any]
else:
    Pages = Paginator

COUNTED = 10_000


def shortened(text: str) -> str:
    """A text that fits a list's column."""
    return Truncator(text).chars(80)


class BoundedPaginator(Pages):
    """Pages through the first COUNTED rows: counting on costs more than the page itself."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, but never more than COUNTED."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count())


class Evidence(Listed):
    """Rows that a verdict may rest on: shown whole."""

    paginator = BoundedPaginator
    list_per_page = 50
    actions: Any = None


class OfSession(Evidence):
    """Rows of sessions: found by the session's id."""

    # Shows the search box; what is searched for is in `get_search_results`.
    search_fields = ("session__id",)
    search_help_text = "The id of a session."

    def get_search_results(
        self, _request: HttpRequest, rows: "QuerySet[Any]", term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """Those of one session: a look-up in an index."""
        try:
            return (rows.filter(session=UUID(term.strip())) if term.strip() else rows), False
        except ValueError:
            return rows.none(), False


@admin.register(Take)
class TakeAdmin(OfSession):
    """Which recorder held which session, and why it let go."""

    list_display = ("__str__", "session_id", "host", "spool", "claimed_at", "ended_at", "reason")
    ordering = ("-claimed_at",)


@admin.register(Gap)
class GapAdmin(OfSession):
    """What was not recorded, and why."""

    list_display = ("session_id", "track", "take", "begins", "ends", "reason", "uncertain")

    @admin.display(description="from, seconds")
    def begins(self, gap: Gap) -> str:
        """Where on the session's timeline it begins."""
        return f"{gap.from_us / 1e6:.3f}"

    @admin.display(description="to, seconds")
    def ends(self, gap: Gap) -> str:
        """Where on the session's timeline it ends."""
        return f"{gap.to_us / 1e6:.3f}"


@admin.register(Closure)
class ClosureAdmin(OfSession):
    """Tracks that are complete."""

    list_display = ("session_id", "take", "track", "last_counter", "end_us", "ending", "reason")


@admin.register(SessionKey)
class SessionKeyAdmin(OfSession):
    """The public halves of the sessions' keys."""

    list_display = ("session_id", "track", "public")


@admin.register(LedgerRecord)
class LedgerRecordAdmin(Evidence):
    """The log's entries."""

    list_display = ("index", "kind", "key", "body", "created_at", "applied")
    ordering = ("-index",)


@admin.register(LedgerRequest)
class LedgerRequestAdmin(Evidence):
    """What the sealer is asked to append."""

    list_display = ("kind", "key", "created_at", "record")
    ordering = ("-created_at",)


@admin.register(Checkpoint)
class CheckpointAdmin(Evidence):
    """What the log key has signed."""

    list_display = ("size", "root", "created_at")
    ordering = ("-size",)
