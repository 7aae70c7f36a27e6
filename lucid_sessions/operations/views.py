"""Health and metrics over HTTP: no login, nothing secret."""

from functools import cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from . import health, metrics
from .gauges import Gauges
from .stack import KEEP_ENDING


@cache
def _health() -> health.Health:
    return health.Health(health.checks(), service=settings.SERVICE, steady=_programs_stay_up)


def _programs_stay_up() -> bool:
    # The exporter beside a session-api; all the others, too, under `make run`.
    return not (settings.LUCID_HOME / KEEP_ENDING).exists()


@cache
def _gauges() -> tuple[Gauges, ...]:
    return (Gauges(),) if settings.EMBEDDED else ()


@csrf_exempt  # what writes nothing needs no token of a form, and says so with 405
@never_cache
@require_safe
def probe(request: HttpRequest) -> HttpResponse:
    """The answer to one of the health addresses."""
    answer = _health().at(request.path)
    if answer is None:
        raise Http404
    return JsonResponse(answer.body, status=answer.status)


@csrf_exempt
@never_cache
@require_safe
def exposition(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """What Prometheus scrapes."""
    if not settings.PROMETHEUS_ENABLED:
        raise Http404
    return HttpResponse(metrics.exposition(*_gauges()), content_type=metrics.CONTENT_TYPE)
