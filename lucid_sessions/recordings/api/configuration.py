"""The parts of a session's description: source, recording, storage, metadata; checked field by field."""

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from lucid_sessions.access.visible import VISIBLE_TEXT
from lucid_sessions.errors import Refused
from recorder.settings import LARGEST_SIDE, QUALITIES, SMALLEST_SIDE
from recorder.sources import RECONNECTED

from .. import sessions
from . import desktops
from .strict import OnlyNull, OnlyTrue, Strict

# What a client may make a recorder open: never a path of its host.
KINDS = ("synthetic", "x11", "vnc", "rtsp")
GOES_WITH = {
    "display": ("x11",),
    **dict.fromkeys(("host", "port", "password"), ("vnc", "rtsp")),
    **dict.fromkeys(("username", "path"), ("rtsp",)),
}
NEEDED = {"x11": "display", "vnc": "host", "rtsp": "host", "rdp": "host"}
RDP_REFUSED = "An RDP desktop is given as `rdp_config`, instead of a source."
FILE_REFUSED = "Files of the host are not opened for clients. Run `manage.py import_video FILE` there."
PRIORITIES = ("low", "normal", "high")
# SMALLEST_SIDE to LARGEST_SIDE, as digits.
SIDE = "(1[6-9]|[2-9][0-9]|[1-9][0-9]{2}|[1-7][0-9]{3}|80[0-9]{2}|81[0-8][0-9]|819[0-2])"
RESOLUTION = f"^{SIDE}x{SIDE}$"


class Source(Strict):
    """What is recorded."""

    kinds: ClassVar[tuple[str, ...]] = KINDS
    goes_with: ClassVar[Mapping[str, tuple[str, ...]]] = GOES_WITH

    @classmethod
    def describe(cls, schema: dict[str, Any]) -> None:
        """One of several, each with the fields that go with its kind."""
        fields = schema.pop("properties")
        about = fields.pop("kind").get("description", "")
        schema["oneOf"] = [
            {
                "type": "object",
                "title": f"{cls.__name__.removesuffix('Source')}{kind.capitalize()}Source",
                "properties": {
                    "kind": {"type": "string", "enum": [kind], "description": about},
                    **{
                        name: field
                        for name, field in fields.items()
                        if kind in cls.goes_with.get(name, (kind,))
                    },
                },
                "required": ["kind", *([NEEDED[kind]] if kind in NEEDED else [])],
                "additionalProperties": False,
            }
            for kind in cls.kinds
        ]
        for name in ("type", "required", "additionalProperties"):
            schema.pop(name, None)

    kind = serializers.ChoiceField(
        choices=KINDS,
        help_text="synthetic: a drawn desktop with a clock. x11: a display of the recorder's host. "
        "vnc: a VNC server. rtsp: a camera or an encoder. For RDP give `rdp_config` instead of a source.",
    )
    display = serializers.RegexField(
        r"^:[0-9]{1,5}(\.[0-9]{1,2})?$", required=False, help_text="For x11: the display, such as `:0`."
    )
    host = serializers.RegexField(desktops.HOST, max_length=253, required=False, help_text=desktops.HOST_HELP)
    port = serializers.IntegerField(
        min_value=1, max_value=65535, required=False, help_text="For vnc: 5900. For rtsp: 554."
    )
    password = desktops.password_field(required=False, help_text="For vnc: its first 8 bytes count.")
    username = serializers.RegexField(
        desktops.USER, max_length=256, required=False, help_text="For rtsp, where it asks."
    )
    path = serializers.RegexField(
        r"^/[!-~]*$", max_length=1000, required=False, help_text="For rtsp: which of its streams."
    )

    def to_internal_value(self, data: Any) -> Any:
        """The checked source; what is recorded another way has its own answer."""
        kind = data.get("kind") if isinstance(data, Mapping) else None
        for elsewhere, why in (("file", FILE_REFUSED), ("rdp", RDP_REFUSED)):
            if kind == elsewhere and elsewhere not in self.kinds:
                raise serializers.ValidationError({"kind": why})
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Each field goes with some kinds, and only there."""
        kind = attrs["kind"]
        astray = [name for name in attrs if kind not in self.goes_with.get(name, (kind,))]
        faults = {name: f"goes with {' and '.join(self.goes_with[name])} only." for name in astray}
        if kind in NEEDED and NEEDED[kind] not in attrs:
            faults[NEEDED[kind]] = f"is needed for {kind}."
        if faults:
            raise serializers.ValidationError(faults)
        return attrs


def address_of(source: Mapping[str, str]) -> str:
    """The recorder's address of a checked source."""
    if source["kind"] == "vnc":
        return desktops.vnc_address(source)
    if source["kind"] == "rtsp":
        return desktops.rtsp_address(source)
    return f"{source['kind']}://{source.get('display', '')}"


@extend_schema_field(
    {
        "type": "object",
        "required": ["kind"],
        "properties": {
            "kind": {"type": "string", "enum": ["synthetic", "x11", "rdp", "vnc", "rtsp", "file"]},
            **desktops.SHOWN,
            "display": {"type": "string"},
            "name": {"type": "string", "description": "For file: its name without the directory."},
        },
    }
)
class ShownSource(serializers.CharField):
    """A source as it is answered: nothing of the host's directories."""

    def to_representation(self, value: str) -> Any:
        """The kind, and what tells sources of that kind apart."""
        return source_of(value)


def source_of(address: str) -> dict[str, Any]:
    """A source as it is answered: nothing of the host's directories."""
    parts = urlsplit(address)
    if parts.scheme in RECONNECTED:
        return desktops.shown(address)
    shown = {"kind": parts.scheme}
    if parts.scheme == "x11":
        shown["display"] = address.removeprefix("x11://")
    elif parts.scheme == "file":
        shown["name"] = parts.path.rpartition("/")[2]
    return shown


class RecordingConfig(Strict):
    """How the source is recorded. What is not given has the installation's default."""

    frame_rate = serializers.IntegerField(min_value=1, max_value=60, required=False)
    resolution = serializers.RegexField(
        RESOLUTION,
        max_length=9,
        required=False,
        help_text="WIDTHxHEIGHT, where the source can choose, each 16 to 8192: `1280x720`.",
        error_messages={"invalid": "WIDTHxHEIGHT is needed, such as 1280x720, each 16 to 8192 pixels."},
    )
    quality = serializers.ChoiceField(choices=QUALITIES, required=False)
    compression = serializers.ChoiceField(choices=sessions.COMPRESSIONS, required=False)
    cursor_enabled = serializers.BooleanField(required=False)
    input = serializers.ChoiceField(
        choices=("none", "masked", "full"),
        required=False,
        help_text="Keys and pointer, as far as they are known, in a track of their own; masked hides text.",
    )
    audio_enabled = serializers.BooleanField(
        required=False, help_text="RDP, X11 and RTSP: what is to be heard, in a track of its own."
    )
    bitrate = OnlyNull(
        allow_null=True, required=False, help_text="Only null: `quality` steers the encoder in this release."
    )
    maximum_seconds = serializers.FloatField(
        min_value=0.1, max_value=31 * 86400, allow_null=True, required=False, help_text="Ends by itself then."
    )
    idle_seconds = serializers.FloatField(
        min_value=1,
        max_value=31 * 86400,
        allow_null=True,
        required=False,
        help_text="Desktops: ends by itself when nothing happened for so long; a ticking clock is nothing.",
    )
    reconnect = serializers.BooleanField(
        required=False, help_text="RDP, VNC, RTSP: connect again, some times, when the server is lost."
    )

    def validate_resolution(self, value: str) -> str:
        """Two sides that the recorder can encode."""
        try:
            sides = sessions.resolution(value)
        except Refused as error:
            raise serializers.ValidationError(str(error)) from error
        if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in sides):
            raise serializers.ValidationError(f"Each side is {SMALLEST_SIDE} to {LARGEST_SIDE} pixels.")
        return value

    def validate_bitrate(self, value: int | None) -> None:
        """Promised only when it can be kept."""
        if value is not None:
            raise serializers.ValidationError("Not in this release: choose a quality instead.")


def recording_defaults() -> dict[str, Any]:
    """What a session is recorded with when its owner says nothing: written down, so that it stays true."""
    return {
        "frame_rate": settings.DEFAULT_FRAME_RATE,
        "resolution": settings.DEFAULT_RESOLUTION,
        "quality": settings.DEFAULT_QUALITY,
        "compression": settings.DEFAULT_COMPRESSION,
        "cursor_enabled": True,
        "input": "masked",
        "audio_enabled": False,
        "bitrate": None,
        "maximum_seconds": None,
        "idle_seconds": None,
        "reconnect": True,
    }


class StorageConfig(Strict):
    """How long and how much is kept. Retention reads it; a legal hold goes before it."""

    retention_days = serializers.IntegerField(
        min_value=1,
        max_value=3650,
        required=False,
        help_text="Answered as it counts now: where nothing was said, policies say it, or else it is 90. "
        "What was started goes sooner only by who may delete it.",
    )
    max_size_gb = serializers.FloatField(
        min_value=0.001, max_value=1_000_000, allow_null=True, required=False
    )
    backup_enabled = serializers.BooleanField(required=False)
    when_full = serializers.ChoiceField(
        choices=("spool", "fail_closed"),
        required=False,
        help_text="Where the recorder's disk runs full: go on into the spool, or end the recording.",
    )
    encryption_enabled = OnlyTrue(required=False, help_text="Only true: it cannot be off.")

    def validate_encryption_enabled(self, value: bool) -> bool:
        """There is no unencrypted archive."""
        if not value:
            raise serializers.ValidationError("Encryption cannot be turned off: leave it out or true.")
        return value


def storage_defaults() -> dict[str, Any]:
    """What is kept when the owner says nothing; how long, `retention` says."""
    return {
        "max_size_gb": None,
        "backup_enabled": True,
        "encryption_enabled": True,
    }


class Metadata(Strict):
    """What a session is about, for people and for filters."""

    project = serializers.CharField(max_length=100, allow_blank=True, required=False)
    environment = serializers.CharField(max_length=50, allow_blank=True, required=False)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=50),
        max_length=10,
        required=False,
        help_text="Each is kept once, without spaces around it.",
    )
    priority = serializers.ChoiceField(choices=PRIORITIES, required=False)
    owner = serializers.CharField(
        source="owner.username",
        read_only=True,
        allow_null=True,
        default=None,
        help_text="Whose it is: at first the one's who created it.",
    )

    def validate_tags(self, value: list[str]) -> list[str]:
        """Each once, in the order in which they were given."""
        return list(dict.fromkeys(value))


class MetadataChanges(Metadata):
    """What may change of that."""

    owner = serializers.RegexField(
        VISIBLE_TEXT,
        max_length=150,
        allow_null=True,
        required=False,
        help_text="The user name of whose it is to be, for administrators and session managers to say.",
    )
