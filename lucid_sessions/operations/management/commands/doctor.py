"""manage.py doctor: what of all that this process needs is not well, and what to do about it."""

from dataclasses import asdict
from typing import Any

from lucid_sessions.operations import doctor
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Look at all that this process needs: names, stores, keys, disks, ledger. Status 1: one is wrong."
    examples = ("", "--json")

    def run(self, _options: dict[str, Any]) -> int:
        found = doctor.look()
        lines = [f"{'well ' if one.well else 'WRONG'} {one.name:<9} {one.text}" for one in found]
        self.tell("\n".join(lines), findings=[asdict(one) for one in found])
        return DONE if all(one.well for one in found) else CHECK_FAILED
