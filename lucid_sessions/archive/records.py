"""Ledger records in the one JSON spelling that can be hashed: RFC 8785."""

from typing import Final

import rfc8785

from lucid_sessions.errors import Refused

RECORD_LIMIT: Final = 16 << 10


class RecordTooLarge(Refused):
    """A ledger record is over 16 KiB: what is long belongs into the body that the record names."""


def canonical_json(value: object, *, limit: int | None = RECORD_LIMIT) -> bytes:
    """The value in RFC 8785 JSON. `limit` is a record's; None for a body, which may be long.

    Refused: what canonical JSON cannot say (NaN, integers beyond 2^53, other types). RecordTooLarge.
    """
    try:
        text = rfc8785.dumps(value)  # type: ignore[arg-type]  # it checks the types itself
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise Refused(f"this cannot be written as canonical JSON: {error}") from error
    if limit is not None and len(text) > limit:
        raise RecordTooLarge(f"a record of {len(text)} bytes is over the limit of {limit}")
    return text
