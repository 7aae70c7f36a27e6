"""What goes over the wire for sessions and chunks."""

from typing import Any

from rest_framework import serializers

from lucid_sessions.errors import Refused

from .. import sessions
from ..lifecycle import Status
from ..models import Chunk, Session
from .configuration import (
    KINDS,
    Metadata,
    MetadataChanges,
    RecordingConfig,
    ShownSource,
    Source,
    StorageConfig,
    address_of,
    recording_defaults,
)
from .desktops import RdpConfig, rdp_address
from .own_source import OwnSource
from .strict import Strict

# Named for the OpenAPI document.
STATUSES = [(status.value, status.value) for status in Status]
NO_RDP = "cannot change. Create another session."
SILENT = [kind for kind in KINDS if "audio" not in sessions.TRACKS[kind]]
ONE_OF = "Give either a `source` or an `rdp_config`."


class NewSession(Strict):
    """A session to be recorded: of a `source`, or of the desktop that `rdp_config` describes."""

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=10_000, allow_blank=True, required=False)
    source: Any = Source(required=False)
    rdp_config = RdpConfig(required=False)
    recording_config = RecordingConfig(required=False)
    storage_config = StorageConfig(required=False)
    metadata = Metadata(required=False)

    @classmethod
    def describe(cls, schema: dict[str, Any]) -> None:
        """One thing to record: JSON Schema's way of saying either, or."""
        schema["if"] = {"required": ["rdp_config"]}
        schema["then"] = {"not": {"required": ["source"]}}
        schema["else"] = {"required": ["source"]}
        sound = {"properties": {"audio_enabled": {"const": True}}, "required": ["audio_enabled"]}
        silent = {
            "properties": {"source": {"properties": {"kind": {"enum": SILENT}}}},
            "required": ["source"],
        }
        heard = {"properties": {"recording_config": sound}, "required": ["recording_config"]}
        schema["allOf"] = [{"not": {"allOf": [silent, heard]}}]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One thing to record."""
        if ("source" in attrs) == ("rdp_config" in attrs):
            raise serializers.ValidationError({"source": ONE_OF})
        try:
            sessions.check_audible(self._address(attrs), attrs.get("recording_config", {}))
        except Refused as error:
            raise serializers.ValidationError({"recording_config": {"audio_enabled": str(error)}}) from error
        return attrs

    @staticmethod
    def _address(attrs: dict[str, Any]) -> str:
        return rdp_address(attrs["rdp_config"]) if "rdp_config" in attrs else address_of(attrs["source"])

    def arguments(self) -> dict[str, Any]:
        """What `sessions.create` wants to know, defaults filled in."""
        given = self.validated_data
        rdp, source = given.get("rdp_config"), given.get("source", {})
        return {
            "source": self._address(given),
            "password": (rdp or source).get("password", ""),
            "name": given["name"],
            "description": given.get("description", ""),
            "recording_config": recording_defaults() | given.get("recording_config", {}),
            # Only what was asked for: policies fill in the rest, and may change.
            "storage_config": given.get("storage_config", {}),
            **given.get("metadata", {}),
        }


class SessionChanges(Strict):
    """What may change. What is recorded cannot: create another session for that."""

    refused = {"rdp_config": NO_RDP, "source": "cannot change. Create another session."}

    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(max_length=10_000, allow_blank=True, required=False)
    recording_config = RecordingConfig(required=False, help_text="Only until the session is started.")
    storage_config = StorageConfig(required=False)
    metadata = MetadataChanges(required=False)


class SessionReplacement(Strict):
    """All that may change; what is left out goes back to its default."""

    refused = {"rdp_config": NO_RDP}

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=10_000, allow_blank=True, required=False)
    source: Any = OwnSource(
        required=False, help_text="Only the one that it has. A password is not compared, and does not change."
    )
    recording_config = RecordingConfig(required=False, help_text="Only until the session is started.")
    storage_config = StorageConfig(required=False)
    metadata = MetadataChanges(required=False)


class Reason(Strict):
    """Why."""

    reason = serializers.CharField(max_length=500)


class Seal(serializers.Serializer[Any]):
    """The ledger's record of the finished session."""

    revision = serializers.IntegerField(source="sealed_revision", help_text="0: not sealed yet.")
    record = serializers.IntegerField(source="sealed_record", allow_null=True, help_text="Index in the log.")


class SessionBody(serializers.ModelSerializer[Session]):
    """A session."""

    source: Any = ShownSource()
    recording_config = RecordingConfig()
    storage_config = StorageConfig()
    metadata = Metadata(source="*")
    seal = Seal(source="*")
    held = serializers.BooleanField(help_text="Under a legal hold: nothing of it may go.")

    class Meta:
        model = Session
        fields = (
            "id",
            "name",
            "description",
            "status",
            "reason",
            "source",
            "recording_config",
            "storage_config",
            "metadata",
            "processing_paused",
            "seal",
            "held",
            "version",
            "created_at",
            "started_at",
            "ended_at",
        )
        read_only_fields = fields


class ChunkBody(serializers.ModelSerializer[Chunk]):
    """A segment on its way into, or in, the archive. Its times are microseconds of the timeline."""

    take = serializers.IntegerField(help_text="The recorder's tenure that made it.")
    number = serializers.IntegerField(help_text="Its place within take and track, from 1.")

    class Meta:
        model = Chunk
        fields = (
            "id",
            "track",
            "sequence",
            "take",
            "number",
            "epoch",
            "start_us",
            "end_us",
            "timestamp_ms",
            "state",
            "quarantined_at",
            "reason",
            "attempts",
            "next_attempt_at",
            "frames",
            "codec",
            "raw_length",
            "raw_sha256",
            "packed_length",
            "blob",
            "blob_length",
            "leaf",
            "record",
            "created_at",
            "stored_at",
            "anchored_at",
            "verified_at",
            "timings",
        )
        read_only_fields = fields
