"""Which sessions have which tag, as rows: what SQL databases find a session by its tag with."""

from django.db import models

from lucid_sessions.access.models import Keyed


class SessionTag(Keyed):
    """One tag of one session. The session's own row says the same, and is the truth."""

    session = models.UUIDField()
    tag = models.CharField(max_length=100)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tag", "session"], name="session_tag_uq")]
        indexes = [
            models.Index(fields=["tag", "session"], name="session_tag_ix"),
            models.Index(fields=["session"], name="session_tag_session_ix"),
        ]

    def __str__(self) -> str:
        return self.tag
