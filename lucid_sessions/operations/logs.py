"""Structured logs: one JSON line (or one console line) an event, through the standard library."""

import logging
import logging.config
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]
_PROCESSORS: list[Any] = []


def configure(options: dict[str, str]) -> None:
    """Route all logging through structlog; `options` = level, form (json or console), host, service.

    Each line as JSON says where it comes from; on a console that would only be in the way.
    """
    shared = _SHARED if options["form"] == "console" else [*_SHARED, _from(options)]
    # In place: loggers that were used before, and are cached, go by the same list.
    _PROCESSORS[:] = [
        structlog.stdlib.filter_by_level,
        *shared,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ]
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: Any = structlog.processors.JSONRenderer()
    if options["form"] == "console":
        last = structlog.dev.ConsoleRenderer(colors=False)
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        "foreign_pre_chain": shared,
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"structured": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": options["level"]},
            "loggers": {"django.server": {"level": "WARNING"}, "kombu": {"level": "WARNING"}},
        }
    )


def _from(options: dict[str, str]) -> Any:
    where = {"host": options.get("host", ""), "service": options.get("service", "")}

    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        # What an event says itself, of another host for example, stays.
        return where | event

    return add
