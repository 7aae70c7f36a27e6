"""What OPTIONS, Accept and bodies lead to by itself: DRF loads it while its views are still being defined."""

import json
import re
from io import BytesIO
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.metadata import BaseMetadata
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer

from .problems import MEDIA_TYPE


class Methods(BaseMetadata):
    """The `Allow` header is all; what each method takes is said by the OpenAPI document."""

    def determine_metadata(self, request: Any, view: Any) -> dict[str, str]:  # noqa: ARG002 - its signature
        """Where the rest is said."""
        return {"schema": "/api/v1/schema/"}


class Usual(DefaultContentNegotiation):
    """Most callers take anything, or ask for what they would get anyway: then there is nothing to weigh."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        """The renderer and its media type; NotAcceptable when there is none."""
        first = renderers[0]
        if request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", first.media_type) and not format_suffix:
            return first, first.media_type
        return super().select_renderer(request, renderers, format_suffix)

    def get_accept_list(self, request: Any) -> list[str]:
        """What the caller takes. Problems are JSON as everything else: who takes those takes that."""
        accepted: list[str] = super().get_accept_list(request)
        return [one.lower().replace(MEDIA_TYPE, JSONRenderer.media_type) for one in accepted]


# How half of a surrogate pair is written.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class Json(JSONParser):
    """JSON bodies; one that is nested more deeply than Python goes cannot be read."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """The body; ParseError for what is no JSON."""
        raw = stream.read()
        try:
            body = super().parse(BytesIO(raw), media_type, parser_context)
            if _HALF.search(raw):
                # What two halves make was put together; one that is alone could be kept and sent nowhere.
                json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ParseError(
                f"JSON parse error - {error.object[error.start]!r} alone is no character"
            ) from error
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        return body
