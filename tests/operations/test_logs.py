"""Logging that is configured again counts for loggers that were used before."""

import structlog
from django.conf import settings

from lucid_sessions.operations import logs


def test_a_logger_that_was_used_before_goes_by_what_is_configured_since() -> None:
    log = structlog.get_logger("tests.used_before")
    logs.configure(settings.LOGGING)
    log.warning("before")
    logs.configure(settings.LOGGING)
    with structlog.testing.capture_logs() as said:
        log.warning("since")
    assert [line["event"] for line in said] == ["since"]
