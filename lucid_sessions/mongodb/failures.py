"""What a failed operation says: the driver's own words, and OperationalError when trying again may help."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

P = ParamSpec("P")
R = TypeVar("R")

# Unreachable, no primary, cut off while waiting, no majority in time.
PASSING = (ConnectionFailure, ExecutionTimeout, WTimeoutError)
# There is no primary just now, or it ends: what the specifications of MongoDB's drivers (server discovery and
# monitoring, retryable writes) list as such. Of what the driver does not try again there is no label.
PASSING_CODES = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
PASSING_LABELS = ("RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult")


def readable(operation: Callable[P, R]) -> Callable[P, R]:
    """The operation, raising Django's exceptions only, each with a message.

    Upstream raises an empty DatabaseError for an unreachable server, and lets a failed bulk write out as
    the driver's own exception.
    """

    @functools.wraps(operation)
    def translated(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return operation(*args, **kwargs)
        except PyMongoError as error:
            raise _as_django(error) from error
        except DatabaseError as error:
            if str(error) or not isinstance(error.__cause__, PyMongoError):
                raise
            if isinstance(error, IntegrityError):
                raise IntegrityError(str(error.__cause__)) from error.__cause__
            raise _as_django(error.__cause__) from error.__cause__

    return translated


def may_be_tried_again(error: Exception) -> bool:
    """Whether MongoDB gave a transaction up for a reason that passes."""
    said = error if isinstance(error, PyMongoError) else error.__cause__
    return isinstance(said, PyMongoError) and said.has_error_label("TransientTransactionError")


def _as_django(error: PyMongoError) -> DatabaseError:
    passing = isinstance(error, PASSING) or any(map(error.has_error_label, PASSING_LABELS))
    passing |= isinstance(error, OperationFailure) and error.code in PASSING_CODES
    return (OperationalError if passing else DatabaseError)(f"MongoDB: {error}")
