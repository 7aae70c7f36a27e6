"""Stands where `docker compose` would: hands each order to the test that runs the services, and waits.

    python compose_stand_in.py DIRECTORY up --detach --no-deps --wait --wait-timeout 180 NAME

The order becomes DIRECTORY/<number>.order, its result DIRECTORY/<number>.result.
"""

import json
import os
import sys
import time
from pathlib import Path


def main(directory: Path, words: list[str]) -> int:
    """The exit status that the test gave."""
    number = len(list(directory.glob("*.order")))
    order = {"words": words, "version": os.environ.get("LUCID_VERSION", "")}
    half = directory / "new"
    half.write_text(json.dumps(order))
    half.rename(directory / f"{number:03}.order")
    result = directory / f"{number:03}.result"
    while not result.exists():
        time.sleep(0.02)
    return int(result.read_text())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
