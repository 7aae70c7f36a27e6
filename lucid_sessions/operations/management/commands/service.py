"""manage.py service NAME: what the container of one service runs, until it is told to stop."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from lucid_sessions.durable import make_directory
from lucid_sessions.errors import Refused
from lucid_sessions.operations import health, metrics, premises, programs, side_server
from lucid_sessions.operations.gauges import Gauges
from lucid_sessions.operations.services import EVERYWHERE, SERVICES, SPOOL_STORAGE, Service
from lucid_sessions.operations.stack import TICK_SECONDS, Stack, stop_on_signals
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base

# Exported once in a deployment: the figures are the database's, not the process's.
EXPORTS_GAUGES = "pipeline-manager"


class Command(Base):
    help = "Run one service of a deployment: its processes, its health and its metrics."
    examples = ("session-api --port 8087",)

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=sorted(SERVICES))
        parser.add_argument("--port", type=int, help="where it answers; the default is the service's own")
        parser.add_argument(
            "--spool-only",
            action="store_true",
            help="session-storage of one recording host: it stores what is in that host's spool, and no more",
        )

    def run(self, options: dict[str, Any]) -> int:
        name = options["name"]
        service = _of_one_spool(name) if options["spool_only"] else SERVICES[name]
        port = options["port"] or service.port
        premises.check_port(EVERYWHERE, port)  # whoever is there may be a stack whose figures these are
        _fresh_metrics()
        env = programs.environment(LUCID_SERVICE=name)
        stop_on_signals()
        # A web server answers by itself, and reads there how the programs beside it are.
        home = settings.LUCID_HOME if service.web else None
        with (
            contextlib.suppress(KeyboardInterrupt),
            Stack(service.parts(env, port), logs=None, say=self.stderr.write, home=home) as stack,
            _answering(name, service, port, stack),
        ):
            stack.start()
            while True:
                stack.tend()
                time.sleep(TICK_SECONDS)
        return DONE


def _of_one_spool(name: str) -> Service:
    if name != "session-storage":
        raise Refused(f"--spool-only is for session-storage: {name} has no other part.")
    return SPOOL_STORAGE


def _fresh_metrics() -> None:
    """Processes of an earlier run leave no figures behind."""
    directory = settings.LUCID_HOME / "metrics"
    shutil.rmtree(directory, ignore_errors=True)
    make_directory(directory)
    make_directory(settings.LUCID_HOME / "beat")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)


@contextlib.contextmanager
def _answering(name: str, service: Service, port: int, stack: Stack) -> Iterator[None]:
    if service.web:
        yield
        return
    gauges = (Gauges(),) if name == EXPORTS_GAUGES else ()
    probes = health.Health(
        health.checks(),
        service=name,
        started=lambda: all(child.pid for child in stack.children),
        steady=lambda: not stack.keep_ending,
    )
    figures = (lambda: metrics.exposition(*gauges)) if settings.PROMETHEUS_ENABLED else None
    with side_server.serving(EVERYWHERE, port, health=probes, exposition=figures):
        yield
