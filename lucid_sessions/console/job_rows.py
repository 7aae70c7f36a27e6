"""Jobs as the pages show them: what was asked for, of which session, by whom, and what came of it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.template.defaultfilters import pluralize
from django.utils.text import get_text_list

from lucid_sessions.access import reasons
from lucid_sessions.access.models import Job, JobStatus, uuid7
from lucid_sessions.access.roles import sees_all
from lucid_sessions.recordings import jobs
from lucid_sessions.recordings.api.kinds import ASKED
from lucid_sessions.recordings.api.ownership import may_cancel
from lucid_sessions.recordings.job_results import OPEN
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings.ownership import jobs_of, sessions_of
from lucid_sessions.recordings.tombstones import GONE

# So many are on a session's page.
RECENT = 3


@dataclass(frozen=True)
class JobRow:
    """One job."""

    job: Job
    # Of its session, where the user sees that.
    name: str
    # Who asked for it, where that may have been another.
    asker: str
    # Nothing is left of its session, nor of what was made of it.
    gone: bool
    may_cancel: bool

    @property
    def title(self) -> str:
        """What was asked for."""
        options = self.job.options or {}
        if self.job.kind == jobs.EXPORT:
            return "Video, one file" if options.get("one_file") else "Video, as recorded"
        if self.job.kind == jobs.VERIFY:
            return "Verification, deep" if options.get("deep") else "Verification"
        disclosed = get_text_list(sorted(options.get("disclose", ()), reverse=True), "and")
        return f"Evidence bundle with {disclosed}" if disclosed else "Evidence bundle"

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done."""
        return self.job.status in OPEN

    @property
    def is_ready(self) -> bool:
        """Whether there is something to download."""
        return self.job.status == JobStatus.FINISHED and bool(self.job.result) and not self.gone

    @property
    def verdict(self) -> dict[str, Any]:
        """Of a verification that is done: what was found, in short; of all else nothing."""
        return (self.job.result or {}).get("verdict") or {} if self.is_ready else {}

    @property
    def words(self) -> str:
        """The verdict, for a person."""
        found, missing = self.verdict["found"], self.verdict["missing"]
        lost = f"{missing} segment{pluralize(missing)} missing"
        if found:
            return f"Not what was sealed: {found} finding{pluralize(found)}{f', {lost}' if missing else ''}"
        if missing:
            return f"Unaltered, but not whole: {lost}"
        return "Whole and unaltered" if self.verdict["sealed"] else "Unaltered so far, and not sealed yet"

    @property
    def mark(self) -> str:
        """Whether that is good, bad, or open."""
        if not self.verdict["sound"]:
            return "bad"
        return "good" if self.verdict["sealed"] else "open"

    @property
    def verified_at(self) -> datetime:
        """When the verification began."""
        return datetime.fromisoformat(self.verdict["verified_at"])

    @property
    def unshown(self) -> int:
        """How many findings are in the report only."""
        return int(self.verdict["found"]) - len(self.verdict["findings"])


def job_rows(found: Iterable[Job], *, user: Any) -> list[JobRow]:
    """The jobs as this user sees them, which costs three queries for all of them."""
    listed = list(found)
    about = {job.session for job in listed}
    names = dict(sessions_of(user).filter(pk__in=about).values_list("pk", "name"))
    gone = set(Session.objects.filter(pk__in=about, status__in=GONE).values_list("pk", flat=True))
    askers = _names({job.user for job in listed}) if sees_all(user) else {}
    return [
        JobRow(
            job,
            name=names.get(job.session, ""),
            asker=askers.get(job.user, ""),
            gone=job.session in gone,
            may_cancel=may_cancel(user, job) and job.status in OPEN and not job.cancel_asked,
        )
        for job in listed
    ]


def asked_for(user: Any, session: Session, kinds: Collection[str]) -> dict[str, Any]:
    """What a session's page shows of jobs of these kinds, newest first, and what their forms send."""
    found = list(jobs_of(user).filter(session=session.pk, kind__in=kinds)[: RECENT + 1])
    asked = {"user": user, "session": str(session.pk), "given": ""}
    return {
        "id": uuid7(),
        "there": session.status not in GONE,
        "rows": job_rows(found[:RECENT], user=user),
        "more": len(found) > RECENT,
        "why": {kind: reasons.is_missing(ASKED[kind], **asked) for kind in kinds},
    }


def _names(users: set[Any]) -> dict[Any, str]:
    return dict(get_user_model().objects.filter(pk__in=users).values_list("pk", "username"))
