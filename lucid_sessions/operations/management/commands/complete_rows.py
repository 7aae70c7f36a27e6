"""manage.py complete_rows: what rows of the earlier release lack, once nothing of it runs any more."""

from typing import Any

from lucid_sessions.mongodb.completing import complete
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Write the default into rows that a release wrote which did not know a column yet (MongoDB)."
    examples = ("",)

    def run(self, _options: dict[str, Any]) -> int:
        count = complete()
        self.tell(f"{count} values were missing and are there now.", completed=count)
        return DONE
