"""Hints that no busy machine loses: a broker that is there is waited for until it has taken them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks import haste
from tests.waiting import PATIENCE


@contextmanager
def patient_with_brokers() -> Iterator[None]:
    """Inside, whoever sends a hint waits longer than the third of a second after which it may be lost."""
    with pytest.MonkeyPatch.context() as patch:
        waits = {name: PATIENCE for name in haste.HASTE if name.startswith("socket")}
        patch.setattr(haste, "HASTE", {**haste.HASTE, **waits})
        yield
