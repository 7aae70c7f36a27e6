"""What OPTIONS, Accept and bodies lead to by itself: DRF loads it while its views are still being defined."""

import re
from itertools import chain
from typing import Any

from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.metadata import BaseMetadata
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.utils import json

from .problems import MEDIA_TYPE, NOT_UNDERSTOOD, Problem


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
        named = format_suffix or request.query_params.get("format") in {one.format for one in renderers[1:]}
        if request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", first.media_type) and not named:
            return first, first.media_type
        return super().select_renderer(request, renderers, format_suffix)

    def get_accept_list(self, request: Any) -> list[str]:
        """What the caller takes. Problems are JSON as everything else: who takes those takes that."""
        accepted: list[str] = super().get_accept_list(request)
        return [one.lower().replace(MEDIA_TYPE, JSONRenderer.media_type) for one in accepted]


# How half of a surrogate pair is written.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
# No body that is meant has a tenth of it; where Python gives up depends on who looks at it.
DEEPEST = 50


class Json(JSONParser):
    """JSON bodies, each name in them once, and nested no more deeply than any that is meant."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:  # noqa: ARG002
        """The body; ParseError for what is no JSON, ValidationError for a name that is given twice."""
        _require_plain(parser_context["request"].headers.get("Content-Encoding", ""))
        raw = stream.read()
        try:
            body = json.loads(raw.decode(), object_pairs_hook=_each_once)
            if _HALF.search(raw):
                # What two halves make was put together; one that is alone could be kept and sent nowhere.
                json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ParseError(
                f"JSON parse error - {error.object[error.start]!r} alone is no character"
            ) from error
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error
        except RecursionError as error:
            raise ParseError(TOO_DEEP) from error
        if _is_deep(body):
            raise ParseError(TOO_DEEP)
        return body


TOO_DEEP = f"JSON parse error - nested too deeply: more than {DEEPEST} levels"


def _require_plain(encoding: str) -> None:
    """415 for a body that is compressed: a small one may become as large as it likes."""
    if encoding.strip().lower() not in ("", "identity"):
        raise Problem(
            NOT_UNDERSTOOD,
            f"Bodies are not compressed: send it without Content-Encoding: {encoding[:100]}.",
        )


def _each_once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object. Which of two fields of one name was meant nobody can tell."""
    body: dict[str, Any] = {}
    for name, value in fields:
        if name in body:
            told = name[:100].encode(errors="replace").decode()  # it may be half of a surrogate pair
            raise ValidationError({told: "is given more than once."})
        body[name] = value
    return body


def _is_deep(body: Any) -> bool:
    level = [body]
    for _ in range(DEEPEST):
        inside = (
            one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)
        )
        level = list(chain.from_iterable(inside))
    return any(isinstance(one, dict | list) for one in level)
