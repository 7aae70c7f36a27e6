"""Programs with a bearer token pass by what is there for browsers: cookies, forms, messages, nonces.

That is a fifth of what a short answer costs. `BearersPass` stands in MIDDLEWARE before what they pass by, and
`BearersJoin` behind it. Whatever an answer must say to everybody is said before, or here.
"""

from collections.abc import Callable
from typing import ClassVar

from csp.constants import HEADER
from csp.utils import build_policy
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse

Respond = Callable[[HttpRequest], HttpResponse]
API = "/api/"
# Pages for people, although they are below the API's address.
PAGES = "/api/v1/schema"
# In small letters, to be compared in any case.
SCHEME = "bearer "


class BearersJoin:
    """Middleware, the last one: from here on all requests go the same way."""

    latest: ClassVar["BearersJoin | None"] = None

    def __init__(self, get_response: Respond) -> None:
        self.respond = get_response
        # Django builds its chain from the end: the next `BearersPass` is of the same chain.
        BearersJoin.latest = self

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response."""
        return self.respond(request)


class BearersPass:
    """Middleware: a request of the API with a bearer token goes to `BearersJoin` at once."""

    def __init__(self, get_response: Respond) -> None:
        if BearersJoin.latest is None:
            raise ImproperlyConfigured("MIDDLEWARE: BearersJoin must stand at the end, behind BearersPass.")
        self._respond = get_response
        self._join, BearersJoin.latest = BearersJoin.latest.respond, None
        # No page is in these answers, so none needs a nonce.
        self._policy = build_policy()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response, with the policy that every answer has."""
        if not has_bearer(request):
            return self._respond(request)
        response = self._join(request)
        if self._policy:
            response.headers.setdefault(HEADER, self._policy)
        return response


def has_bearer(request: HttpRequest) -> bool:
    """Whether it is a program that asks: no cookie counts then, and no page is answered."""
    path = request.path
    return (
        path.startswith(API)
        and not path.startswith(PAGES)
        and request.META.get("HTTP_AUTHORIZATION", "")[: len(SCHEME)].lower() == SCHEME
    )
