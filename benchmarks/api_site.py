"""The application as it is served, and beside it a view that does nothing: the ceiling."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lucid_sessions.settings")

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from lucid_sessions.wsgi import application as application

settings.ROOT_URLCONF = __name__


def bare(_request: HttpRequest) -> JsonResponse:
    """What Django can do at most: our middleware, no query, a small JSON object."""
    return JsonResponse({"status": "bare"})


urlpatterns = [path("bare", bare), path("", include("lucid_sessions.urls"))]
