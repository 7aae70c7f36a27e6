"""The console's addresses."""

from django.urls import path

from . import holding, taking, views
from .schema_pages import Redoc, Swagger

app_name = "console"
ONE = "sessions/<uuid:session_id>"

urlpatterns = [
    path("", views.home, name="home"),
    path("pipeline/", views.pipeline, name="pipeline"),
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-out/", views.SignOut.as_view(), name="sign-out"),
    path("sessions/<uuid:session_id>/", views.session_page, name="session"),
    path("sessions/<uuid:session_id>/timeline.json", views.timeline, name="timeline"),
    path("sessions/<uuid:session_id>/reason", views.explain, name="reason"),
    *(
        path(f"sessions/<uuid:session_id>/{verb}", views.steer, {"verb": verb}, name=verb)
        for verb in views.VERBS
    ),
    *(path(f"{ONE}/{kind}", taking.asks(kind), name=kind) for kind in taking.KINDS),
    path(f"{ONE}/hold", holding.place, name="hold"),
    path(f"{ONE}/hold/<slug:hold_id>/release", holding.release, name="release"),
    path("jobs/", taking.listed, name="jobs"),
    path("jobs/<uuid:job_id>/cancel", taking.cancel, name="cancel"),
    path("jobs/<uuid:job_id>/result", taking.result, name="result"),
    path("api/v1/schema/swagger/", Swagger.as_view(), name="swagger"),
    path("api/v1/schema/redoc/", Redoc.as_view(), name="redoc"),
]
