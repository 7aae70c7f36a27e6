"""Counts and times every API request, by route rather than by address."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from . import metrics

Respond = Callable[[HttpRequest], HttpResponse]
API = "/api/"


class ApiMetrics:
    """`api_requests_total` and `api_request_duration_seconds`; put it first, so that it times the others."""

    def __init__(self, get_response: Respond) -> None:
        self._respond = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response, counted when it is one of the API's."""
        if not request.path.startswith(API):
            return self._respond(request)
        began = time.perf_counter()
        response = self._respond(request)
        endpoint = f"/{request.resolver_match.route}" if request.resolver_match else "unknown"
        method = request.method if request.method in METHODS else "other"
        metrics.api_requests_total.labels(method, endpoint, str(response.status_code)).inc()
        metrics.api_request_duration_seconds.labels(method, endpoint).observe(time.perf_counter() - began)
        if getattr(request, "_lucid_rate_unknown", False):
            metrics.api_rate_limit_unavailable_total.inc()
        return response


# Whatever else a client sends would be a new series each time.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
