"""A client of the deployed API, who signs in and asks again where another process may answer."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.stack import Standing
from tests.waiting import PATIENCE

USER, PASSWORD = "olivia", "correct-horse-of-olivia-1"
# nginx too asks the next server at a connection error, 502 and 503, and nothing else.
GONE = (0, 502, 503)


def enrol(standing: Standing, name: str = USER, *, password: str = PASSWORD) -> None:
    """An administrator of that name is there."""
    made = f"User.objects.create_superuser('{name}', password='{password}')"
    standing.manage(
        "shell", "-c", f"from lucid_sessions.access.models import User; {made}", service="session-api"
    )


@dataclass
class Client:
    """Asks one API process after another, as nginx does; every final answer is kept."""

    standing: Standing
    apis: tuple[str, ...] = ("session-api",)
    token: str = ""
    answers: list[tuple[int, str]] = field(default_factory=list)
    asked_again: int = 0

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and body of the first process that answers."""
        status, text = 0, ""
        for name in self.apis * 2:
            status, text = self._one(name, method, path, body)
            if status not in GONE:
                break
            self.asked_again += 1
            time.sleep(0.05)
        self.answers.append((status, f"{method} {path}: {text[:300]}"))
        return status, json.loads(text) if text.startswith(("{", "[")) else text

    def sign_in(self, password: str = PASSWORD) -> int:
        """The status; the client then carries the token."""
        status, body = self.ask("POST", "/api/v1/auth/token", {"username": USER, "password": password})
        self.token = body.get("access", "") if isinstance(body, dict) else ""
        return status

    def _one(self, name: str, method: str, path: str, body: object) -> tuple[int, str]:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.standing.ports[name]}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self.token}"} if self.token else {}),
        )
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE) as reply:  # noqa: S310 - ours, on loopback
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""
