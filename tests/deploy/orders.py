"""The deployment's scripts, run with a stand-in for Compose whose orders a test carries out."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.parts import DEPLOY, ROOT


@dataclass(frozen=True)
class Order:
    """What a script asked of Compose."""

    words: tuple[str, ...]
    version: str

    @property
    def service(self) -> str:
        return next(word for word in reversed(self.words) if not word.startswith(("-", "/")))


Carried = Callable[[Order], bool]


@dataclass
class Script:
    """One run of deploy/scripts/NAME; `orders` and its words and exit status are there afterwards."""

    name: str
    home: Path
    orders: list[Order] = field(default_factory=list)
    status: int = -1
    words: str = ""

    def run(self, *arguments: str, carry_out: Carried, **environment: str) -> "Script":
        """The script has ended; `carry_out` did what it ordered, and said whether that went well."""
        box = self.home / "orders"
        box.mkdir()
        stand_in = f"{sys.executable} {ROOT}/tests/deploy/compose_stand_in.py {box}"
        script = subprocess.Popen(
            [DEPLOY / "scripts" / self.name, *arguments],
            env={"PATH": os.environ["PATH"], "LUCID_COMPOSE": stand_in, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        heard: list[str] = []
        reader = threading.Thread(target=lambda: heard.extend(script.stdout or ()))
        reader.start()
        try:
            while script.poll() is None:
                self._carry_out_next(box, carry_out)
                time.sleep(0.02)
        finally:
            # A test that gave up must not leave the script and its stand-in waiting.
            if script.poll() is None:
                os.killpg(script.pid, signal.SIGKILL)
            reader.join()
            script.wait()
        self.status, self.words = script.returncode, "".join(heard)
        return self

    def _carry_out_next(self, box: Path, carry_out: Carried) -> None:
        path = box / f"{len(self.orders):03}.order"
        if path.exists():
            told = json.loads(path.read_text())
            order = Order(tuple(told["words"]), told["version"])
            well = carry_out(order)
            self.orders.append(order)
            half = box / "result"
            half.write_text("0" if well else "1")
            half.rename(path.with_suffix(".result"))
