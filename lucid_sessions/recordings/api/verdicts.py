"""What goes over the wire of a verification: the verdict in short, and the report."""

from typing import Any

from rest_framework import serializers


class FoundBody(serializers.Serializer[Any]):
    """Something that is not as it was sealed."""

    where = serializers.CharField(help_text="The chunk, or the ledger.")
    problem = serializers.CharField()


class VerdictBody(serializers.Serializer[Any]):
    """What there is to decide by without the report."""

    sound = serializers.BooleanField(
        help_text="Nothing that was looked at differs from what was sealed, and the seal names nothing as "
        "missing. Before it is sealed nobody can say what will be: see `complete`."
    )
    intact = serializers.BooleanField(help_text="Nothing that was looked at differs from what was sealed.")
    sealed = serializers.BooleanField(help_text="It is sealed; until then more may come.")
    complete = serializers.BooleanField(help_text="It is sealed, and no segment of it is missing.")
    said = serializers.CharField(help_text="One line for a person.")
    deep = serializers.BooleanField(
        help_text="Everything was decrypted, too, and compared with what was recorded."
    )
    verified_at = serializers.DateTimeField()
    checkpoint_size = serializers.IntegerField(help_text="So many records of the log were looked at.")
    checked = serializers.IntegerField(help_text="Chunks.")
    found = serializers.IntegerField(help_text="How many findings the report has.")
    missing = serializers.IntegerField(help_text="Segments that the seal names as missing.")
    gaps = serializers.IntegerField(help_text="Stretches that were not recorded.")
    findings: Any = FoundBody(many=True, help_text="The first 20.")


class FindingBody(FoundBody):
    """A finding of the report."""

    chunk = serializers.UUIDField(allow_null=True, help_text="The chunk, when it is one that has a row.")


class MissingBody(serializers.Serializer[Any]):
    """A segment that the seal names as missing."""

    track = serializers.CharField()
    sequence = serializers.IntegerField()
    reason = serializers.CharField()


class GapBody(serializers.Serializer[Any]):
    """A stretch that was not recorded. Its times are microseconds of the timeline."""

    track = serializers.CharField()
    take = serializers.IntegerField()
    from_us = serializers.IntegerField()
    to_us = serializers.IntegerField()
    reason = serializers.CharField()
    uncertain = serializers.BooleanField()


class ReportBody(serializers.Serializer[Any]):
    """The report of a verification, as `manage.py verify --json` tells it."""

    name = serializers.CharField()
    verdict = serializers.CharField(help_text="One line for a person.")
    ok = serializers.BooleanField(help_text="Nothing that was looked at differs from what was sealed.")
    sound = serializers.BooleanField(help_text="And its seal names nothing as missing.")
    session = serializers.UUIDField()
    checked = serializers.IntegerField(help_text="Chunks.")
    deep = serializers.BooleanField()
    sealed = serializers.BooleanField()
    revision = serializers.IntegerField(help_text="Of the seal; 0: not sealed yet.")
    root: Any = serializers.CharField(help_text="Of the log at this size, hexadecimal.")
    checkpoint_size = serializers.IntegerField(help_text="So many records of the log were looked at.")
    checkpoint = serializers.CharField(help_text="C2SP signed note; empty where the log has none to show.")
    verified_at = serializers.DateTimeField(help_text="When it began.")
    shredded = serializers.IntegerField(allow_null=True, help_text="The record that says so.")
    findings: Any = FindingBody(many=True)
    missing: Any = MissingBody(many=True)
    gaps: Any = GapBody(many=True)
