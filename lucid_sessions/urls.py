"""Where each address leads."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from lucid_sessions import lean

# What these have for tests of APIs and for pages with code.
with lean.without("jinja2", "pygments", "requests"):
    import django.test.signals  # noqa: F401
    import rest_framework.compat  # noqa: F401

from lucid_sessions.operations.overview import Overview

admin.autodiscover()
urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/v1/health", Overview.as_view(), name="health"),
    path("api/v1/", include("lucid_sessions.recordings.api.urls")),
    path("", include("lucid_sessions.operations.urls")),
    path("", include("lucid_sessions.console.urls")),
]
handler400 = "lucid_sessions.recordings.api.problems.bad_request"
handler404 = "lucid_sessions.recordings.api.problems.not_found"
handler500 = "lucid_sessions.recordings.api.problems.server_error"
