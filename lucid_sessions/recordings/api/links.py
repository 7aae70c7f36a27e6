"""One-time links: a download by something that has no token, such as a browser."""

from datetime import timedelta
from typing import Any

from django.urls import Resolver404, resolve
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from lucid_sessions.access import links

from .documents import CONFIGURATION_ERRORS, Described
from .kinds import SOME
from .permissions import Allowed
from .problems import INVALID, Problem
from .strict import Strict
from .witnessed import Witnessed, tell

# What a link may lead to; whether its user may have it is asked when it is used.
LINKED = ("chunk-download", "chunk-media", "job-result")
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
LEADS = rf"^/api/v1/(sessions/{_UUID}/chunks/{_UUID}/(download|media)|jobs/{_UUID}/result)$"


class Wanted(Strict):
    """What the link shall lead to."""

    path = serializers.RegexField(
        LEADS, max_length=300, help_text="The path of a download, as in this document."
    )


class LinkBody(serializers.Serializer[Any]):
    """A link that works once."""

    url = serializers.CharField()
    expires_at = serializers.DateTimeField()


class Links(Witnessed, ViewSet):
    """Links act as the user who asked for them, for one address, once, for a minute."""

    permission_classes = [Allowed]
    schema = Described()
    needs = {"create": SOME}
    deeds = {"create": "link.created"}

    @extend_schema(request=Wanted, responses={201: LinkBody, **CONFIGURATION_ERRORS})
    def create(self, request: Request) -> Response:
        """Get a link to one download, good once within 60 seconds, without a token."""
        body = Wanted(data=request.data)
        body.is_valid(raise_exception=True)
        path = body.validated_data["path"]
        _require_known(path)
        tell(request, facts={"path": path})
        # The signature tells whole seconds only: a link is never said to last longer than it does.
        until = timezone.now().replace(microsecond=0) + timedelta(seconds=links.SECONDS)
        text = links.sign(request.user, path=path, scopes=getattr(request.auth, "scopes", None))
        url = request.build_absolute_uri(f"{path}?link={text}")
        return Response(LinkBody({"url": url, "expires_at": until}).data, 201)


def _require_known(path: str) -> None:
    try:
        known = resolve(path).url_name in LINKED
    except Resolver404:
        known = False
    if not known:
        raise Problem(INVALID, f"path: links lead to {', '.join(LINKED)} only.")
