"""`python -m tests.console.rdp_picture [FILE]`: README's picture of an RDP desktop, recorded and played anew.

Nothing in it is staged but the desktop: an Xvfb with a window manager and three terminals, in one of which
somebody types. freerdp-shadow serves it with NLA, `manage.py run` records it through the REST API, archives,
anchors and verifies it, and headless Chromium plays it in the console. It takes about a minute.
"""

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xcffib
import xcffib.xproto

from tests.operations.processes import ROOT, output, running
from tests.ports import free_port
from tests.programs import needed
from tests.recorder.displays import Display, display, program
from tests.recorder.remote import ALLOWED, PASSWORD, USER, Server, shadowing
from tests.waiting import PATIENCE, until

PICTURE = ROOT / "docs" / "images" / "rdp.png"
SIZE = "1280x720"
WINDOW = {"width": 1280, "height": 940}
BACKGROUND = 0x2F5878
VIDEO = "document.querySelector('video')"
PLAN = """change 4711   archive the orders of 2024
  1  stop the import job
  2  compare counts, month by month
  3  drop what was copied
  4  start the import job
"""
COMPARE = """for month in 01 02 03 04 05 06 07 08 09 10 11 12; do
    rows=$((178100 - 1$month * 9))
    printf 'orders_2024_%s   %7d   %7d   equal\\n' $month $rows $rows
    sleep 0.6
done
"""
# What is typed, and how many seconds it may go on for afterwards.
TYPED = (("cat plan.txt", 2), ("sh stop-import.sh", 2), ("sh compare.sh", 9), ("cat plan.txt", 3))
TERMINALS = {
    "operator@desk-7": (
        "72x25+44+56",
        "#10151d",
        "#d8f0c8",
        "PS1='operator@desk-7:~$ ' exec bash --noprofile --norc -i",
    ),
    "desk-7, import job": (
        "46x13+744+56",
        "#fbfaf5",
        "#2b2b2b",
        "printf '\\e[?25l'; n=0; until [ -e stopped ]; do n=$((n + 1)); date +'%T  batch '$n' imported';"
        " sleep 1; done; date +'%T  stopped by operator'; exec sleep 600",
    ),
    "desk-7, clock": (
        "46x5+744+444",
        "#1d2b3a",
        "#ffd479",
        "printf '\\e[?25l'; while :; do clear; date -u +'%n   %A, %e %B %Y%n   %T UTC'; sleep 1; done",
    ),
}


@dataclass(frozen=True)
class Site:
    """A running stack, asked as an integrator asks it."""

    port: int
    password: str

    def ask(self, path: str, body: dict[str, Any] | None = None, *, token: str = "") -> dict[str, Any]:
        """The answer to a GET, or to a POST of a body."""
        who = {"Authorization": f"Bearer {token}"} if token else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        verb, content = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(verb, f"/api/v1/{path}", content, {"Content-Type": "application/json", **who})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status < 300, text
        return dict(json.loads(text))


def main(arguments: list[str]) -> int:
    """0 when the picture is there."""
    picture = Path(arguments[0]) if arguments else PICTURE
    with tempfile.TemporaryDirectory(prefix="lucid-picture-") as folder, desktop(Path(folder)) as shown:
        port = free_port()
        with (
            shadowing(shown.name, Path(folder) / "server", port=port) as process,
            stack(Path(folder)) as site,
        ):
            session = record(site, Server(port, shown.name, process), shown)
            photograph(site, session, picture)
    print(f"{picture}: {picture.stat().st_size} bytes")
    return 0


@contextmanager
def desktop(folder: Path) -> Iterator[Display]:
    """The desktop: wallpaper, a window manager, terminals."""
    home = folder / "desk"
    home.mkdir()
    (home / "plan.txt").write_text(PLAN)
    (home / "compare.sh").write_text(COMPARE)
    (home / "stop-import.sh").write_text("touch stopped; echo the import job is stopped\n")
    environment = {"HOME": str(home), "HISTFILE": "", "LC_ALL": "C.UTF-8"}
    with display("-screen", "0", f"{SIZE}x24") as shown, program(shown, "openbox", "--sm-disable"):
        _paper(shown.name)
        # A window that is opened while the window manager starts is sometimes never shown.
        until(lambda: "window id" in shown.ask("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"), "it manages")
        terminals = []
        try:
            for title, (place, back, front, command) in TERMINALS.items():
                looks = ["-T", title, "-geometry", place, "-bg", back, "-fg", front, "-b", "8"]
                font = ["-fa", "DejaVu Sans Mono", "-fs", "11", "+sb"]
                argv = ["xterm", *looks, *font, "-e", "bash", "-c", command]
                terminals.append(shown.start(*argv, cwd=home, **environment))
                shown.run("xdotool", "search", "--sync", "--onlyvisible", "--name", f"^{title}$")
            shown.run("xdotool", "mousemove", "690", "640")
            yield shown
        finally:
            for terminal in terminals:
                terminal.kill()
                terminal.wait()


def _paper(name: str) -> None:
    x: Any = xcffib.Connection(display=name)
    root = x.get_setup().roots[0].root
    x.core.ChangeWindowAttributes(root, xcffib.xproto.CW.BackPixel, [BACKGROUND])
    x.core.ClearArea(False, root, 0, 0, 0, 0)
    x.core.GetInputFocus().reply()
    x.disconnect()


@contextmanager
def stack(folder: Path) -> Iterator[Site]:
    """`manage.py run` until the block ends, and then in order."""
    home, port = folder / "home", free_port()
    ports = ("--port", str(port), "--flower-port", str(free_port()))
    more = {"LUCID_TARGET_ALLOW": ALLOWED[0], "LUCID_STORAGE_MIN_FREE_GIB": "0", "LUCID_SEGMENT_SECONDS": "3"}
    with running(home, "run", *ports, **more) as process:
        until(lambda: "Ctrl-C stops everything" in output(home) or process.poll() is not None, "it is up")
        assert process.poll() is None, output(home)
        try:
            secret = (home / "keys" / "secrets" / "admin_password").read_text().strip()
            yield Site(port, secret)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def record(site: Site, server: Server, shown: Display) -> str:
    """A sealed session of the desktop, on which somebody works meanwhile; its id."""
    token = site.ask("auth/token", {"username": "admin", "password": site.password})["access"]
    rdp = {"host": "127.0.0.1", "port": server.port, "username": USER, "password": PASSWORD}
    body = {
        "name": "Change 4711 on desk-7",
        "description": "Archive the orders of 2024. Recorded through RDP, with NLA",
        "rdp_config": {**rdp, "fingerprint": server.fingerprint},
        "recording_config": {"frame_rate": 15, "resolution": SIZE},
        "metadata": {"project": "orders", "environment": "production", "tags": ["database", "change"]},
    }
    session = str(site.ask("sessions", body, token=token)["id"])

    def becomes(status: str) -> None:
        until(lambda: site.ask(f"sessions/{session}", token=token)["status"] == status, f"it is {status}")

    site.ask(f"sessions/{session}/start", {}, token=token)
    becomes("recording")
    work(shown)
    site.ask(f"sessions/{session}/stop", {}, token=token)
    becomes("completed")
    return session


def work(shown: Display) -> None:
    """What the operator does."""
    (title, *_) = TERMINALS
    shown.run("xdotool", "search", "--name", f"^{title}$", "windowactivate", "--sync")
    time.sleep(2)
    for words, seconds in TYPED:
        shown.run("xdotool", "type", "--delay", "90", words)
        shown.run("xdotool", "key", "Return")
        time.sleep(seconds)


def photograph(site: Site, session: str, picture: Path) -> None:
    """The session's page while it is watched: near the end, held."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=needed("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-sync"]
        )
        page = browser.new_page(viewport=WINDOW, locale="en-GB", timezone_id="UTC")
        page.goto(f"http://127.0.0.1:{site.port}/sessions/{session}/")
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill(site.password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Play", exact=True).click()
        strip = "Array.from(document.querySelectorAll('#strip img'), (one) => one.naturalWidth)"
        until(lambda: all(page.evaluate(strip) or [0]), "the filmstrip is there")
        until(lambda: page.evaluate(f"{VIDEO}.buffered.end(0) > {VIDEO}.duration - 1"), "all was fetched")
        page.keyboard.press("8")  # tenths of the session
        until(lambda: page.evaluate(f"{VIDEO}.currentTime > 0.84 * {VIDEO}.duration"), "it has played")
        page.keyboard.press("k")
        page.mouse.move(1, 1)
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
