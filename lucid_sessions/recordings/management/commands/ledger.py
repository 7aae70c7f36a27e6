"""manage.py ledger checkpoint|verify|anchor|anchors: the log's head, its check, and who vouches for it."""

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger import Anchor, Log
from lucid_sessions.recordings import anchoring, verification
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE, LATER
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = (
        "Print the newest signed checkpoint, verify every tile and record of the log, have those outside "
        "who are named in the settings vouch for it now, or list what they have vouched for."
    )
    examples = ("checkpoint", "verify", "anchors")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("checkpoint", "verify", "anchor", "anchors"))

    def run(self, options: dict[str, Any]) -> int:
        act: Callable[[], int] = getattr(self, f"_{options['action']}")
        return act()

    def _verify(self) -> int:
        report = verification.verify_log()
        for finding in report.findings:
            self.stderr.write(f"{finding.where}: {finding.problem}")
        self.tell(
            f"{report.checked} records, root {report.root}: {'sound' if report.integrity else 'NOT SOUND'}",
            records=report.checked,
            root=report.root,
            sound=report.integrity,
        )
        return DONE if report.integrity else CHECK_FAILED

    def _anchor(self) -> int:
        if not anchoring.authorities():
            raise Refused(
                "Nobody is named who could vouch for the log: "
                "set LUCID_TIMESTAMP_URLS, LUCID_WITNESS_URLS or LUCID_EVM_URL."
            )
        found, sent = anchoring.anchor_now(installation()), anchoring.pending(installation())
        told = [f"{one.name} vouches for the checkpoint of {one.size} records." for one in found]
        told += [f"{one.name} has the checkpoint of {one.size} records; it is not final yet." for one in sent]
        self.tell(
            "\n".join(told) or "Nobody vouches for the newest checkpoint yet.",
            vouched=[_facts(one) for one in found],
            pending=[_facts(one) for one in sent],
        )
        return DONE if found else LATER

    def _anchors(self) -> int:
        ledger = installation().log()
        found = [_examined(ledger, one) for one in ledger.anchors.all()]
        lines = [f"{one['size']:>10} records  {one['name']}  {one['told']}" for one in found]
        self.tell("\n".join(lines) or "Nobody has vouched for the log yet.", anchors=found)
        return DONE if all(one["holds"] for one in found) else CHECK_FAILED

    def _checkpoint(self) -> int:
        note = installation().log().checkpoint_text()
        if note is None:
            self.tell("The log is empty: no checkpoint has been signed yet.", checkpoint=None)
            return LATER
        self.tell(note.rstrip("\n"), checkpoint=note)
        return DONE


def _facts(anchor: Anchor) -> dict[str, Any]:
    return {"name": anchor.name, "size": anchor.size}


def _examined(ledger: Log, anchor: Anchor) -> dict[str, Any]:
    """The anchor, whether it holds, when its checkpoint existed if somebody says so, and that in words."""
    try:
        existed = anchoring.check(ledger, anchor)
        at = existed and existed.isoformat()
        told = (at or "of somebody whom the settings no longer name") + _in_its_chain(anchor)
        return _facts(anchor) | {"holds": True, "at": at, "told": told}
    except Tampered as error:
        return _facts(anchor) | {"holds": False, "at": None, "told": f"DOES NOT HOLD: {error}"}


def _in_its_chain(anchor: Anchor) -> str:
    """What the chain says of the anchor now; nothing for those that need no asking."""
    try:
        blocks = anchoring.confirm(anchor)
    except (Retryable, Refused) as error:
        return f"  signed by our account; whether the chain holds it is not known: {error}"
    return "" if blocks is None else f"  in the chain, {blocks} blocks deep"
