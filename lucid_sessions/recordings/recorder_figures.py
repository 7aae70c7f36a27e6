"""What a recorder says of its work, as it is kept with the session and shown."""

from collections.abc import Collection, Mapping
from typing import Any

# By a clock of the recorder's host, for whoever hears of it there.
NO_FIGURES = ("ended_boot_ms",)


def kept(
    known: Mapping[str, Any], facts: Mapping[str, Any], *, take: int, lacking: Collection[str]
) -> dict[str, Any]:
    """The figures of the newest take, with what earlier ones dropped, and the tracks that are left out.

    They begin at 0 with each take, and what is not said of it again stays as it was. Whoever adds sessions up
    needs what never falls; a take that was followed by another has nothing more to say.
    """
    if take < known.get("take", 0):
        return dict(known)
    facts = {name: fact for name, fact in facts.items() if name not in NO_FIGURES}
    if known.get("take") == take:
        said = {**known, **facts}
    else:
        earlier = known.get("dropped_earlier", 0) + known.get("dropped_frames", 0)
        said = {**facts, "take": take, "dropped_earlier": earlier}
    if lacking:
        said["not_recorded"] = sorted(lacking)
        said["not_recorded_because"] = "the session was created by an earlier release, without keys for them"
    return said
