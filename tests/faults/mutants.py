"""The engine with one of its safeguards taken out, for the tests that the harness turns red without it.

Only the harness's own tests call these, and only in processes of their own: nothing puts a safeguard back.
"""

import os
import stat
from collections.abc import Callable
from typing import Any

from django.db.models import F

from lucid_sessions.recordings import leases, ledger_rows, reconcile, sealing
from lucid_sessions.recordings.models import Chunk


def _without_fsync_of(directories: bool) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) != directories:
            real(descriptor)

    os.fsync = fsync


def _without_compare_and_set() -> None:
    def settle(chunk: Chunk, **changes: Any) -> bool:
        rows = Chunk.objects.filter(pk=chunk.pk)
        return rows.update(token="", lease_until=None, fence=F("fence") + 1, **changes) == 1

    leases.settle = settle


def _without_fence() -> None:
    def settle(chunk: Chunk, **changes: Any) -> bool:
        rows = Chunk.objects.filter(pk=chunk.pk, state=chunk.state)
        return rows.update(token="", lease_until=None, fence=F("fence") + 1, **changes) == 1

    leases.settle = settle


def _without_reconciler() -> None:
    reconcile.due = lambda *_, **__: []


def _select_before_apply() -> None:
    def append(world: Any, draft_of: Callable[[], Any]) -> bool:
        ledger, draft = world.log_for_appending(), draft_of()
        if draft is None:
            return False
        ledger_rows.append(ledger, draft, index=ledger_rows.tail())
        ledger_rows.apply_all(ledger)
        return True

    sealing._append = append


MUTANTS: dict[str, Callable[[], None]] = {
    "no-file-fsync": lambda: _without_fsync_of(directories=False),
    "no-directory-fsync": lambda: _without_fsync_of(directories=True),
    "no-compare-and-set": _without_compare_and_set,
    "no-fence": _without_fence,
    "no-reconciler": _without_reconciler,
    "select-before-apply": _select_before_apply,
}
