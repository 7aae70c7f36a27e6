"""Two who vouch for a log from outside, real and not written by us: a chain (anvil) and a C2SP witness.

`deploy/scripts/test-programs` brings both; without them a test is skipped and says so, but in CI it fails.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.programs import fetched
from tests.waiting import PATIENCE

# The first account of anvil's published seed: it has money there, and nowhere else.
PAYING = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
CHAIN_ID = 4242


# Two commands of its own, in one process.
SET_UP = """
import sys
from aics_witness.cli import main
name, origin, vkey = sys.argv[1:]
main(["init", "--name", name, "--listen", "127.0.0.1:0"])
main(["add-log", "--origin", origin, "--vkey", vkey])
"""


@dataclass
class Anvil:
    """A chain of its own, with what only its owner can do."""

    url: str

    def do(self, method: str, *params: object) -> Any:
        """What the node answers; AssertionError when it declines."""
        asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, asked, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            said = json.load(answer)
        assert "error" not in said, said
        return said["result"]

    def mine(self, blocks: int = 1) -> None:
        """So many blocks, the first with what waits."""
        self.do("anvil_mine", hex(blocks))

    def sent(self) -> int:
        """How many transactions of the paying account are in blocks."""
        return int(self.do("eth_getTransactionCount", self.do("eth_accounts")[0], "latest"), 16)


@contextmanager
def anvil(*, chain_id: int = CHAIN_ID) -> Iterator[Anvil]:
    """A chain that makes a block only when it is told to."""
    argv = [
        str(fetched("anvil-1.7.1")),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--accounts",
        "1",
        "--no-mining",
    ]
    with _listening([*argv, "--chain-id", str(chain_id)], env=dict(os.environ)) as address:
        yield Anvil(f"http://{address}/")


@dataclass(frozen=True)
class Observer:
    """A witness that runs: where it answers, and its verifier key."""

    url: str
    vkey: str


@contextmanager
def witness(folder: Path, *, origin: str, vkey: str, name: str = "witness.example/w1") -> Iterator[Observer]:
    """A witness that knows this one log; begun again in the same folder, it goes on."""
    env = {
        **os.environ,
        "PYTHONPATH": str(fetched("witness")),
        "AICS_WITNESS_CONFIG": str(folder / "w.json"),
    }

    folder.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-c", SET_UP, name, origin, vkey]
    told = subprocess.run(argv, env=env, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    own = told.splitlines()[0]
    with _listening([sys.executable, "-m", "aics_witness", "serve"], env=env) as address:
        yield Observer(f"http://{address}", own)


@contextmanager
def _listening(argv: list[str], *, env: dict[str, str]) -> Iterator[str]:
    """host:port of the program, once it says that it listens; it is ended afterwards."""
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"(?i)listening on (?:http://)?(127\.0\.0\.1:\d+)", line):
                yield found[1]
                return
        raise AssertionError(f"{argv[0]} ended without listening: {said}")
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
