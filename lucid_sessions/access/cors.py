"""Which other sites' pages may call the API from a browser: those of ALLOWED_ORIGINS, with a bearer token.

Cookies are never part of it: `Access-Control-Allow-Credentials` is not sent, so a page elsewhere cannot act
as whoever is signed in here.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

API = "/api/"
METHODS = "GET, POST, PUT, PATCH, DELETE"
SENT = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Range, X-Reason, "
    "X-Request-ID"
)
SEEN = (
    *("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Idempotent-Replayed", "Link"),
    *("Location", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-ID"),
)
MAX_AGE_SECONDS = "600"


class Cors:
    """Middleware: answers what browsers ask first, and says to whom answers may be shown."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(API):
            return self.get_response(request)
        origin = request.headers.get("Origin", "")
        allowed = origin in settings.ALLOWED_ORIGINS
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        response = HttpResponse(status=204) if asks and allowed else self.get_response(request)
        patch_vary_headers(response, ["Origin"])
        if allowed:
            response["Access-Control-Allow-Origin"] = origin
            response["Access-Control-Expose-Headers"] = ", ".join(SEEN)
        if asks and allowed:
            response["Access-Control-Allow-Methods"] = METHODS
            response["Access-Control-Allow-Headers"] = SENT
            response["Access-Control-Max-Age"] = MAX_AGE_SECONDS
        return response
