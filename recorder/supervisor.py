"""One supervisor per host."""

from __future__ import annotations

from recorder.view import NO_TAKE, Desired, Event, EventKind, Tenure, View, Wanted

__all__ = ["NO_TAKE", "Desired", "Event", "EventKind", "Tenure", "View", "Wanted"]
