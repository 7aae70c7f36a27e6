"""Kinds of jobs as they are asked for: the permission that each takes, and its deeds in the audit."""

from typing import Any

from ..jobs import EVIDENCE, EXPORT, KINDS, VERIFY
from .permissions import may

# To ask for it, and to see and have what came of it. A verification tells what `proof` and the list of chunks
# tell, and no content: so that a machine that verifies every night needs no token that could export.
NEEDS = {EXPORT: "export", EVIDENCE: "export", VERIFY: "view"}
# Jobs of some kind.
SOME = tuple(dict.fromkeys(NEEDS.values()))
ASKED = {kind: f"session.{kind}-asked" for kind in KINDS}
DOWNLOADED = {EXPORT: "session.exported", EVIDENCE: "session.exported", VERIFY: "session.report-downloaded"}


def may_have(user: Any, kind: str, *, auth: Any = None) -> bool:
    """Whether the user, with what he signed in by, may have jobs of this kind."""
    return may(user, NEEDS.get(kind, "export"), auth=auth)
