"""Times as the console writes them, and who sees what."""

from datetime import timedelta
from typing import Any

from django import template

from lucid_sessions.access import roles

register = template.Library()


@register.filter
def clock(length: timedelta | None) -> str:
    """`1:02:03` or `2:03`; a dash for what has no length."""
    if length is None:
        return "—"
    seconds = int(length.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


@register.filter
def microseconds(moment: int) -> str:
    """A moment of the timeline, to a tenth of a second."""
    return f"{clock(timedelta(microseconds=moment))}.{moment // 100_000 % 10}"


@register.filter
def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


@register.filter
def sees_all(user: Any) -> bool:
    """May this user see everybody's sessions, and so how the whole installation stands?"""
    return roles.sees_all(user)
