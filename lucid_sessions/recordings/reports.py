"""What is told of a verification: the report, its verdict in short, and the alarm when something is wrong.

The command and the jobs tell it alike.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from lucid_sessions.durable import blaming
from lucid_sessions.errors import LucidError

from . import events, verification
from .models import Session
from .playback import Passed
from .verification import Report

log = structlog.get_logger(__name__)

# What is told without the report itself: so many findings, each so long at most.
SHOWN = 20
LONGEST = 300
MOST_IN_EVENT = 5


def verified(session: Session, *, key: str, deep: bool, passed: Passed = lambda: None) -> Report:
    """The report on the session. What is not as it was sealed is an alarm, and one event for each `key`.

    So is what had been found when it could not be brought to its end, or somebody cancelled it.
    """
    report = Report(session.pk)
    try:
        verification.verify(session, deep=deep, passed=passed, report=report)
    except LucidError:
        if report.findings and not verification.was_shredded_since(session):
            _alarm(session, report, key=key)
        raise
    if not report.integrity:
        _alarm(session, report, key=key)
    return report


def _alarm(session: Session, report: Report, *, key: str) -> None:
    log.error("verification failed", alarm=True, session=str(session.pk), found=len(report.findings))
    found = [f"{one.where}: {one.problem}"[:LONGEST] for one in report.findings[:MOST_IN_EVENT]]
    facts = {**events.facts_of(session), "findings": found, "found": len(report.findings)}
    events.note_if_wanted(events.UNVERIFIED, key, facts=facts)


def told(name: str, report: Report) -> dict[str, Any]:
    """The whole report on what has this name, for JSON."""
    facts = {**asdict(report), "verified_at": _stamp(report)}
    return {"name": name, "verdict": report.verdict, "ok": report.integrity, "sound": report.sound, **facts}


def write(report: Report, out: Path, *, name: str) -> None:
    """The same, as a file."""
    with blaming("write", out), out.open("w", encoding="utf-8") as file:
        json.dump(told(name, report), file, default=str, indent=1)


def in_short(report: Report) -> dict[str, Any]:
    """What there is to decide by, whatever the report's length."""
    return {
        "sound": report.sound,
        "intact": report.integrity,
        "sealed": report.sealed,
        "complete": report.complete,
        "said": report.verdict,
        "deep": report.deep,
        "verified_at": _stamp(report),
        "checkpoint_size": report.checkpoint_size,
        "checked": report.checked,
        "found": len(report.findings),
        "missing": len(report.missing),
        "gaps": len(report.gaps),
        "findings": [
            {"where": one.where[:LONGEST], "problem": one.problem[:LONGEST]}
            for one in report.findings[:SHOWN]
        ],
    }


def _stamp(report: Report) -> str:
    """When it began, as the API writes times."""
    return report.verified_at.isoformat().replace("+00:00", "Z")
