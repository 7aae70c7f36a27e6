"""A host of its own, for tests that kill it: `python -m tests.recorder.host SPOOL SESSION SOURCE`."""

import sys
import threading
from pathlib import Path
from uuid import UUID

from recorder.spool import Spool
from recorder.supervisor import Supervisor

from .stage import MemoryView


def main() -> None:
    """Record until killed; prints the child's process number once frames are recorded."""
    root, session, source = sys.argv[1:]
    view = MemoryView()
    view.want(source, session=UUID(session))
    supervisor = Supervisor(Spool(Path(root)), view, host="doomed")
    threading.Thread(target=_announce, args=(view, supervisor, UUID(session)), daemon=True).start()
    supervisor.run()


def _announce(view: MemoryView, supervisor: Supervisor, session: UUID) -> None:
    while view.last(session, "statistics") is None:
        threading.Event().wait(0.1)
    print(supervisor.children[session], flush=True)


if __name__ == "__main__":
    main()
