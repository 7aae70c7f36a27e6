"""What is in quarantine is found without reading every chunk that was ever archived."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("recordings", "0006_pages_by_index"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(fields=["quarantined_at"], name="chunk_stuck_ix"),
        ),
    ]
