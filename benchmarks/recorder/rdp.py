"""RDP sessions: desktops that freerdp-shadow serves with NLA on loopback, recorded as by a supervisor."""

import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recorder.settings import Settings
from recorder.sources.target import Access

from .cost import family, pss_megabytes
from .recorders import ours
from .scenes import Desktop, desktop

USER, PASSWORD = "operator", "Kerguelen-4711-cabbage"
NT_HASH = "b6bc997ff4513586141a32867cfc5168"  # of that password
ACCESS = Access(PASSWORD, ("127.0.0.0/8",))


def memory(home: Path, *, size: tuple[int, int], count: int, seconds: float) -> dict[str, float]:
    """PSS in MB of a session's programs by name: the mean of so many sessions, recorded at once."""
    wide, high = size
    settings = Settings(width=wide, height=high, input="masked", poster_width=320, cursor=False)
    with ExitStack() as stack:
        children = []
        for _ in range(count):
            shown = stack.enter_context(desktop("office typing", size=size))
            url = stack.enter_context(_served(shown, home))
            running = ours(shown, home, settings=settings, source=url, access=ACCESS)
            children.append(stack.enter_context(running).pid)
        time.sleep(seconds)
        total: Counter[str] = Counter()
        for pid in (one for child in children for one in family(child)):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            total["recorder" if pid in children else name] += round(1e6 * pss_megabytes(pid))
    return {name: size / 1e6 / count for name, size in total.items()}


@contextmanager
def _served(shown: Desktop, home: Path) -> Iterator[str]:
    """The address at which a display's desktop is to be had."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    accounts = home / "sam"
    accounts.write_text(f"{USER}:::{NT_HASH}:::\n")
    argv = ["freerdp-shadow-cli", f"/port:{port}", "/bind-address:127.0.0.1", f"/sam-file:{accounts}"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "DISPLAY": shown.name}
    null = subprocess.DEVNULL
    server = subprocess.Popen(
        [*argv, "+auth", "/sec:nla"], env=environment, stdin=null, stdout=null, stderr=null
    )
    try:
        until = time.monotonic() + 20
        while not _answers(port) and time.monotonic() < until:
            time.sleep(0.1)
        yield f"rdp://{USER}@127.0.0.1:{port}?ignore_cert=1"
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
