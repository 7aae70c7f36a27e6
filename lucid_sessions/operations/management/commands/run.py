"""manage.py run: the whole system on this machine, until Ctrl-C."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused
from lucid_sessions.operations import embedded, health, premises, private_redis, programs, side_server
from lucid_sessions.operations.children import Child
from lucid_sessions.operations.embedded import ADDRESS, Layout
from lucid_sessions.operations.private_redis import Redis
from lucid_sessions.operations.stack import TICK_SECONDS, Stack, stop_on_signals
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base

PORT, FLOWER_PORT = 8087, 5555


class Command(Base):
    help = "Run everything here: API, admin, console, workers, recorder, Flower and a private Redis."
    examples = ("", "--port 9000 --flower-port 9001")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=PORT, help=f"of the API ({PORT})")
        parser.add_argument("--flower-port", type=int, default=FLOWER_PORT, help=f"of Flower ({FLOWER_PORT})")

    def run(self, options: dict[str, Any]) -> int:
        if not settings.EMBEDDED:
            raise Refused(
                "`run` is the embedded profile on one machine. In production run each service by itself: "
                "`manage.py service NAME` (docs/operations.md)."
            )
        layout = Layout(api_port=options["port"], flower_port=options["flower_port"])
        if layout.api_port == layout.flower_port:
            raise Refused(f"--port and --flower-port are both {layout.api_port}: give each its own.")
        stop_on_signals()
        try:
            with premises.held(settings.LUCID_HOME):
                for port in (layout.api_port, layout.flower_port):
                    premises.check_port(ADDRESS, port)
                self._serve(layout)
        except KeyboardInterrupt:
            self.tell("Everything has stopped.", stopped=True)
        return DONE

    def _serve(self, layout: Layout) -> None:
        embedded.prepare(programs.environment())
        redis = private_redis.choose(settings.LUCID_HOME)
        self.stdout.write(f"Redis: {redis.program}")
        children: list[Child] = []
        probes = health.Health(
            {"redis": lambda: private_redis.answers(redis.url)},
            service="stack",
            steady=lambda: not any(child.keeps_ending for child in children),
        )
        with side_server.serving(ADDRESS, 0, health=probes, exposition=None) as port:
            self._keep_serving(replace(layout, health_port=port), redis, children)

    def _keep_serving(self, layout: Layout, redis: Redis, children: list[Child]) -> None:
        with embedded.stack(layout, redis=redis, say=self.stderr.write) as stack:
            children += stack.children
            embedded.start(stack, redis)
            stack.wait_until(
                lambda: premises.answers(ADDRESS, layout.api_port, "/health/live"),
                what="The API",
                seconds=embedded.START_SECONDS,
            )
            self._welcome(layout)
            self._keep(stack)

    def _keep(self, stack: Stack) -> None:
        try:
            while True:
                stack.tend()
                time.sleep(TICK_SECONDS)
        except KeyboardInterrupt:
            self.stderr.write("Stopping: the recorder closes its files first. Ctrl-C again kills.")
            raise

    def _welcome(self, layout: Layout) -> None:
        site = f"http://{ADDRESS}:{layout.api_port}"
        self.tell(
            "\n".join(
                (
                    f"  Console     {site}/",
                    f"  Admin       {site}/admin/",
                    f"  REST API    {site}/api/v1/schema/swagger/",
                    f"  Flower      http://{ADDRESS}:{layout.flower_port}/",
                    f"  Sign in as  admin, with the password in {premises.shown(_password_file())}",
                    f"  Logs        {premises.shown(embedded.logs())}",
                    f"Record your screen:  {_python()} manage.py record x11://$DISPLAY",
                    "Ctrl-C stops everything.",
                )
            ),
            console=site,
            admin=f"{site}/admin/",
            flower=f"http://{ADDRESS}:{layout.flower_port}/",
            password_file=_password_file(),
        )


def _password_file() -> Path:
    return Path(settings.LUCID_KEYS_PATH) / "secrets" / "admin_password"


def _python() -> str:
    return premises.shown(Path(sys.executable))
