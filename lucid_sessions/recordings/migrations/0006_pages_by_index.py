"""Indexes that answer whole pages: the newest sessions with their versions, a session's chunks of one state."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("recordings", "0005_watched_sessions"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="session",
            index=models.Index(fields=["-created_at", "-id", "version"], name="session_newest_ix"),
        ),
        migrations.RemoveIndex(model_name="session", name="session_created_ix"),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(fields=["session", "state", "track", "sequence"], name="chunk_page_ix"),
        ),
    ]
