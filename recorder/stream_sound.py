"""The sound of a stream: whether it is there, and whether its clock is that of the pictures.

Sound that stops, or whose clock leaves ours while the pictures go on, is a gap of its own track.
"""

from __future__ import annotations

from dataclasses import dataclass

from recorder.take import Take

TRACK = "audio"
ASTRAY_US = 1_500_000  # our clock and the stream's may be so far apart; so much sound may lack unnoticed
SILENT = "the stream sent no sound"
JUMPED = "the clock of the stream's sound jumped"


@dataclass
class Sound:
    """What is known of a take's sound. `until_us`: recorded or accounted for up to there."""

    take: Take
    is_sent: bool
    until_us: int = 0
    pictures_ahead_us: int = 0  # of our clock, the newest
    _reason: str = SILENT
    _behind_since_ns: int | None = None

    def pictures_begin(self, at_us: int) -> None:
        """What was before has been accounted for."""
        self.until_us, self.pictures_ahead_us = max(self.until_us, at_us), 0

    def is_broken(self, *, ahead_us: int, lacking_us: int, came_ns: int) -> bool:
        """Whether sound that came then, so far ahead of our clock, does not go on where it stopped.

        Late sound may have been on its way, as pictures may. It is astray if it stays late without them.
        """
        is_late = -ahead_us > ASTRAY_US >= -self.pictures_ahead_us
        since_ns = self._behind_since_ns or came_ns
        self._behind_since_ns = since_ns if is_late else None
        if ahead_us > ASTRAY_US or (is_late and (came_ns - since_ns) // 1000 > ASTRAY_US):
            self._reason = JUMPED
            return True
        return lacking_us > ASTRAY_US

    def is_astray(self, ahead_us: int) -> bool:
        """Whether sound that would begin by the clock of the pictures would not begin when it came."""
        return abs(ahead_us) > ASTRAY_US >= abs(self.pictures_ahead_us)

    def ended(self, at_us: int) -> None:
        """An epoch of sound ended there."""
        self.until_us, self._behind_since_ns = max(self.until_us, at_us), None

    def account(self, to_us: int) -> None:
        """There is sound again, or the pictures end: what lacks until then is a gap, if it is noticed."""
        reason, self._reason = self._reason, SILENT
        unnoticed_us = ASTRAY_US if reason == SILENT else 0
        if self.is_sent and to_us - self.until_us > unnoticed_us:
            self.take.gap(TRACK, self.until_us, to_us=to_us, reason=reason, uncertain=True)
            self.until_us = to_us
