"""What schemathesis has to be told of the live API: who asks, and what there is to ask about."""

import json
import os
import re
import zlib
from typing import Any

import requests
import schemathesis

from tests.waiting import PATIENCE

LIVE = json.loads(os.environ["LUCID_LIVE"])
# Within the ten minutes that an access token is good for.
REFRESH_SECONDS = 300
# How often an address names what the archive really holds, instead of something that it does not.
REAL = 0.7
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@schemathesis.auth(refresh_interval=REFRESH_SECONDS)
class Bearer:
    """The administrator's access token."""

    def get(self, _case: Any, _context: Any) -> str:
        """A new token."""
        body = {"username": "admin", "password": LIVE["password"]}
        answer = requests.post(f"{LIVE['url']}/api/v1/auth/token", json=body, timeout=PATIENCE)
        return str(answer.json()["access"])

    def set(self, case: Any, data: str, _context: Any) -> None:
        """The token goes into the header."""
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Often the ids of what is there; but it must still be there for the next request.

    What is no id is left: it is meant to be refused.
    """
    deletes = context.operation is not None and context.operation.method.upper() == "DELETE"
    chance = zlib.crc32(repr(sorted((path_parameters or {}).items())).encode()) / 2**32
    if deletes or chance >= REAL:
        return path_parameters
    for name, one in LIVE["ids"].items():
        if UUID.fullmatch(str((path_parameters or {}).get(name))):
            path_parameters[name] = one
    return path_parameters
