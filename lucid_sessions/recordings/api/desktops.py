"""Another machine's desktop as a client describes it; the password goes in and never comes out."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from rest_framework import serializers

from lucid_sessions.archive import LONGEST_PASSWORD
from recorder.errors import BadSource
from recorder.sources.target import PORTS, Target, fingerprint_of, parse

from .strict import OnlyTrue, Strict

LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HEX = "[0-9A-Fa-f]{1,4}"
# RFC 4291, 2.2: all eight groups, or fewer with `::` for those that are zero.
_IPV6 = "|".join(
    (
        f"({_HEX}:){{7}}({_HEX}|:)",
        *(f"({_HEX}:){{{n}}}(:|(:{_HEX}){{1,{7 - n}}})" for n in range(1, 7)),
        f":(:{_HEX}){{1,7}}",
        "::",
    )
)
HOST = rf"^({LABEL}(\.{LABEL})*\.?|{_IPV6})$"
# As the recorder takes them (recorder/sources/target.py), without spaces around.
USER = r"^[^\x00-\x20\x7f/+\s\x80-\xa0\ufeff-][^\x00-\x1f\x7f/]*$"
DOMAIN = r"^([^\x00-\x20\x7f/+\s\x80-\xa0\ufeff-][^\x00-\x1f\x7f/]*)?$"
ONE_LINE = r"^[^\r\n]*(?![\r\n])$"  # as FreeRDP reads a password
FINGERPRINT = r"^((sha256:)?[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31})?$"
HOST_HELP = "Name or address; never of the recorder's own host or network, unless LUCID_TARGET_ALLOW says so."
SHOWN = {
    "host": {"type": "string"},
    "port": {"type": "integer"},
    "username": {"type": "string"},
    "domain": {"type": "string"},
    "fingerprint": {"type": "string", "description": "SHA-256 of the certificate that was pinned."},
    "ignore_cert": {"type": "boolean"},
    "path": {"type": "string", "description": "Which of a media server's streams."},
}


def password_field(**more: Any) -> serializers.CharField:
    """A password: sealed to the recorders on arrival."""
    more |= {"write_only": True, "max_length": LONGEST_PASSWORD, "style": {"input_type": "password"}}
    kind = serializers.RegexField if "regex" in more else serializers.CharField
    return kind(trim_whitespace=False, **more)


class RdpConfig(Strict):
    """A desktop to be recorded by RDP."""

    @classmethod
    def describe(cls, schema: dict[str, Any]) -> None:
        """A certificate is pinned or ignored, not both."""
        ignored = {"properties": {"ignore_cert": {"const": True}}, "required": ["ignore_cert"]}
        pinned = {"properties": {"fingerprint": {"minLength": 1}}, "required": ["fingerprint"]}
        schema["not"] = {"allOf": [ignored, pinned]}

    host = serializers.RegexField(HOST, max_length=253, help_text=HOST_HELP)
    port = serializers.IntegerField(min_value=1, max_value=65535, default=PORTS["rdp"])
    username = serializers.RegexField(USER, max_length=256)
    password = password_field(
        regex=ONE_LINE,
        error_messages={"invalid": "A line break cannot be sent: the RDP client reads one line."},
        help_text="One line. Never answered, listed or logged; gone when the session ends.",
    )
    domain = serializers.RegexField(DOMAIN, max_length=256, allow_blank=True, default="")
    use_tls = OnlyTrue(default=True, help_text="Only true: TLS or NLA, always.")
    ignore_cert = serializers.BooleanField(
        default=False, help_text="Accept any certificate. It is written into the session's evidence."
    )
    fingerprint = serializers.RegexField(
        FINGERPRINT,
        error_messages={"invalid": "Write the SHA-256 as its 64 hexadecimal digits, colons or not."},
        max_length=110,
        allow_blank=True,
        default="",
        help_text="SHA-256 of the server's certificate; without it, an authority must vouch for the server.",
    )

    def validate_use_tls(self, value: bool) -> bool:
        """A password is not sent in the clear."""
        if not value:
            raise serializers.ValidationError("Nothing is recorded without TLS or NLA: leave it out or true.")
        return value

    def validate_fingerprint(self, value: str) -> str:
        """Its 64 digits."""
        try:
            return fingerprint_of(value)
        except BadSource as error:
            raise serializers.ValidationError(str(error)) from error


def rdp_address(given: Mapping[str, Any]) -> str:
    """The recorder's address of a checked `rdp_config`."""
    names = ("host", "port", "username", "domain", "fingerprint", "ignore_cert")
    return Target("rdp", **{name: given[name] for name in names}).url


def vnc_address(given: Mapping[str, Any]) -> str:
    """The recorder's address of a checked source of kind vnc."""
    return Target("vnc", given["host"], given.get("port", PORTS["vnc"])).url


def rtsp_address(given: Mapping[str, Any]) -> str:
    """The recorder's address of a checked source of kind rtsp."""
    facts = {name: given.get(name, "") for name in ("username", "path")}
    return Target("rtsp", given["host"], given.get("port", PORTS["rtsp"]), **facts).url


def shown(address: str) -> dict[str, Any]:
    """What is answered of a desktop's address: all of it, since it holds no password."""
    target = parse(address)
    facts = {name: getattr(target, name) for name in SHOWN}
    return {"kind": urlsplit(address).scheme, **{name: value for name, value in facts.items() if value}}
