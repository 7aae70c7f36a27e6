"""The source that a session has, for a replacement to name: it cannot change, so it is only compared."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rest_framework import serializers

from recorder.errors import BadSource

from . import desktops
from .configuration import GOES_WITH, KINDS, Source, address_of, source_of

RDP = "rdp"


class OwnSource(Source):
    """A source as it was given, or as it is answered."""

    kinds = (*KINDS, RDP, "file")
    goes_with = {
        **GOES_WITH,
        **{name: (RDP, *GOES_WITH[name]) for name in ("host", "port", "username")},
        **dict.fromkeys(("domain", "fingerprint", "ignore_cert"), (RDP,)),
        "name": ("file",),
    }

    kind = serializers.ChoiceField(choices=kinds)
    domain = serializers.RegexField(desktops.DOMAIN, max_length=256, required=False)
    fingerprint = serializers.RegexField(desktops.FINGERPRINT, max_length=110, required=False)
    ignore_cert = serializers.BooleanField(required=False)
    name = serializers.CharField(max_length=255, required=False, allow_blank=True, trim_whitespace=False)


def is_source_of(source: Mapping[str, Any], address: str) -> bool:
    """Whether the source is the one at this address; its password says nothing about that."""
    if source["kind"] not in KINDS:
        return dict(source) == source_of(address)
    with suppress(BadSource):
        return source_of(address_of(source)) == source_of(address)
    return False
