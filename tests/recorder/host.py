"""A host of its own, for tests that kill it: `python -m tests.recorder.host SPOOL SESSION SOURCE`.

With one more word it stops itself (SIGSTOP) once frames are recorded, while it renews its lease.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from uuid import UUID

from recorder.spool import Spool
from recorder.supervisor import Supervisor

from .stage import MemoryView


class StandsStill(MemoryView):
    """Stops this process once, in the midst of a step of the supervisor."""

    told = stood = False

    def beat(self) -> None:
        super().beat()
        if self.told and not self.stood:
            self.stood = True
            os.kill(os.getpid(), signal.SIGSTOP)


def main() -> None:
    """Record until killed; prints the child's process number once frames are recorded."""
    root, session, source, *more = sys.argv[1:]
    view = StandsStill() if more else MemoryView()
    view.want(source, session=UUID(session))
    supervisor = Supervisor(Spool(Path(root)), view, host="doomed")
    threading.Thread(target=_announce, args=(view, supervisor, UUID(session)), daemon=True).start()
    supervisor.run()


def _announce(view: MemoryView, supervisor: Supervisor, session: UUID) -> None:
    while view.last(session, "statistics") is None:
        threading.Event().wait(0.1)
    print(supervisor.children[session], flush=True)
    if isinstance(view, StandsStill):
        view.told = True


if __name__ == "__main__":
    main()
