"""Kinds of jobs as they are asked for: the permission that each takes, and its deeds in the audit."""

from typing import Any

from lucid_sessions.access import api_tokens

from ..jobs import EVIDENCE, EXPORT, KINDS, VERIFY

# To ask for it, and to see and have what came of it. A verification tells what `proof` and the list of chunks
# tell, and no content: so that a machine that verifies every night needs no token that could export.
NEEDS = {EXPORT: "export", EVIDENCE: "export", VERIFY: "view"}
ASKED = {kind: f"session.{kind}-asked" for kind in KINDS}
DOWNLOADED = {EXPORT: "session.exported", EVIDENCE: "session.exported", VERIFY: "session.report-downloaded"}


def may_have(user: Any, kind: str, *, auth: Any = None) -> bool:
    """Whether the user, with what he signed in by, may have jobs of this kind."""
    verb = NEEDS.get(kind, "export")
    return bool(user.has_perm(f"recordings.{verb}_session")) and api_tokens.allows(auth, verb)
