"""Health and metrics, at the addresses of the specification."""

from django.urls import path

from . import views

urlpatterns = [
    path("health", views.probe),
    path("health/live", views.probe),
    path("health/ready", views.probe),
    path("health/startup", views.probe),
    path("metrics", views.exposition, name="metrics"),
]
