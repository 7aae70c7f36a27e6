"""Exports and evidence over HTTP: asked for, looked at, cancelled, downloaded."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from lucid_sessions.access.models import Job, JobStatus

from .. import job_results, jobs
from .documents import (
    COMMON,
    CONDITIONS,
    CONDITIONS_ERRORS,
    CONFIGURATION_ERRORS,
    ONCE,
    ONCE_ERRORS,
    ONE_SESSION_ERRORS,
    Described,
    problem,
)
from .downloads import LINK, LINK_OR_TOKEN, RANGE, sent
from .filters import JobFilter
from .ownership import jobs_of, may_cancel, require_there, session_of
from .pagination import Pages
from .permissions import Allowed
from .problems import MEDIA_TYPE, NO_SUCH_THING, NOT_PERMITTED, NOT_READY, Problem
from .ranges import Whatever
from .replays import once
from .strict import Strict
from .witnessed import Witnessed, tell

VIDEO, BUNDLE = "video/mp4", "application/zip"
NO_JOB = {(404, MEDIA_TYPE): problem("LUCID_ERR_1012: there is none, or it is another's.")}

NOT_NOW = {
    (409, MEDIA_TYPE): problem(
        "LUCID_ERR_3004: the session is being deleted; LUCID_ERR_1011: still being answered."
    )
}


class WantedExport(Strict):
    """How the recording becomes files."""

    one_file = serializers.BooleanField(
        required=False,
        help_text="One MP4 of the whole session, encoded anew. Else one an epoch, as it was recorded.",
    )


class WantedEvidence(Strict):
    """What goes into the bundle beside the proofs and the sealed blobs."""

    disclose = serializers.ListField(
        child=serializers.ChoiceField(choices=["media", "keys"]),
        max_length=2,
        required=False,
        help_text="media: the decrypted recording. keys: the session's private keys.",
    )
    reason = serializers.CharField(max_length=500, required=False, help_text="Kept in the audit.")


class ResultBody(serializers.Serializer[Any]):
    """The file that came of it."""

    name = serializers.CharField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()
    url = serializers.CharField(help_text="Its path; it needs a token, or a link from `/links`.")


class JobBody(serializers.Serializer[Any]):
    """A job."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=[jobs.EXPORT, jobs.EVIDENCE])
    session = serializers.UUIDField()
    status = serializers.ChoiceField(choices=JobStatus.choices, help_text="How far it is.")
    percent = serializers.IntegerField()
    reason = serializers.CharField(help_text="Why it failed, or waits.")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When the result goes.")
    result: Any = ResultBody(allow_null=True)


class Jobs(Witnessed, GenericViewSet[Job]):
    """Long work. The caller sees his own jobs; roles that see all sessions see all."""

    serializer_class = JobBody
    filterset_class = JobFilter
    pagination_class = Pages
    queryset = Job.objects.all()
    permission_classes = [Allowed]
    authentication_classes = LINK_OR_TOKEN
    schema = Described()
    content_negotiation_class = Whatever
    renderer_classes = [JSONRenderer]
    needs = dict.fromkeys(("export", "evidence", "list", "retrieve", "cancel", "result"), "export")
    rates = {"export": "bulk", "evidence": "bulk", "list": "status", "retrieve": "status"}
    deeds = {
        "list": "jobs.listed",
        "retrieve": "job.viewed",
        "export": "session.export-asked",
        "evidence": "session.evidence-asked",
        "cancel": "job.cancelled",
        "result": "session.exported",
    }

    @extend_schema(
        request=WantedExport,
        parameters=[ONCE],
        responses={202: JobBody, **ONE_SESSION_ERRORS, **ONCE_ERRORS, **NOT_NOW},
    )
    def export(self, request: Request, session_id: UUID) -> Response:
        """Have a session exported as MP4. Look at the job until it is finished, then get its result."""
        return self._asked(request, session_id, jobs.EXPORT, WantedExport)

    @extend_schema(
        request=WantedEvidence,
        parameters=[ONCE],
        responses={202: JobBody, **ONE_SESSION_ERRORS, **ONCE_ERRORS, **NOT_NOW},
    )
    def evidence(self, request: Request, session_id: UUID) -> Response:
        """Have an evidence bundle made: a zip that proves the session offline, by its own verifier."""
        return self._asked(request, session_id, jobs.EVIDENCE, WantedEvidence)

    def _asked(self, request: Request, session_id: UUID, kind: str, form: type[Strict]) -> Response:
        body = form(data=request.data)
        body.is_valid(raise_exception=True)
        options = dict(body.validated_data)
        why = options.pop("reason", "")

        def make(made: UUID) -> Response:
            session = session_of(request.user, session_id)
            require_there(session)
            user: Any = request.user
            job = jobs.submit(kind, session, user=user.pk, options=options, id=made)
            tell(request, why=why, facts={"job": str(job.pk), **options})
            location = reverse("api:job", args=[job.pk])
            return Response(_body(job), 202, headers={"Location": location, "Retry-After": "1"})

        return once(request, make)

    @extend_schema(operation_id="jobs_list", responses={200: JobBody(many=True), **CONFIGURATION_ERRORS})
    def list(self, request: Request) -> HttpResponse:
        """List your jobs, newest first."""
        page: Any = self.paginate_queryset(self.filter_queryset(jobs_of(request.user)))
        return self.get_paginated_response([_body(job) for job in page])

    @extend_schema(responses={200: JobBody, **NO_JOB, **COMMON})
    def retrieve(self, request: Request, job_id: UUID) -> Response:
        """Look at one job."""
        job = _one(request.user, job_id)
        tell(request, made=job.session)
        waits = {"Retry-After": "1"} if job.status in job_results.OPEN else {}
        return Response(_body(job), headers=waits)

    @extend_schema(request=None, responses={200: JobBody, **NO_JOB, **COMMON})
    def cancel(self, request: Request, job_id: UUID) -> Response:
        """Cancel a job of yours, or of others if you manage; one that is over stays as it is."""
        job = _one(request.user, job_id)
        tell(request, made=job.session)
        if not may_cancel(request.user, job):
            raise Problem(
                NOT_PERMITTED, f"Job {job.pk} is another's: he cancels it, or who manages sessions."
            )
        return Response(_body(jobs.cancel(job)))

    @extend_schema(
        parameters=[RANGE, *CONDITIONS, LINK],
        responses={
            **{(status, kind): OpenApiTypes.BINARY for status in (200, 206) for kind in (VIDEO, BUNDLE)},
            (409, MEDIA_TYPE): problem("LUCID_ERR_3012: not finished, or its result is gone."),
            (416, MEDIA_TYPE): problem("No byte of the range exists."),
            **CONDITIONS_ERRORS,
            **NO_JOB,
            **COMMON,
        },
    )
    def result(self, request: Request, job_id: UUID) -> HttpResponseBase:
        """Download what came of a job; resumable by Range."""
        job = _one(request.user, job_id)
        tell(request, made=job.session, facts={"job": str(job.pk), "kind": job.kind})
        path = job_results.result_path(job)
        if path is None or job.result is None:
            raise Problem(NOT_READY, f"Job {job.pk} is {job.status}, or its result is gone: ask for another.")
        kind = VIDEO if path.suffix == ".mp4" else BUNDLE
        file, facts = path.open("rb"), job.result
        return sent(
            request, file, length=facts["bytes"], tag=facts["sha256"], name=facts["name"], content_type=kind
        )


def _one(user: Any, pk: UUID) -> Job:
    job = jobs_of(user).filter(pk=pk).first()
    if job is None:
        raise Problem(NO_SUCH_THING, f"There is no job {pk}, or it is not yours.")
    return job


def _body(job: Job) -> dict[str, Any]:
    result = job.result and {**job.result, "url": reverse("api:job-result", args=[job.pk])}
    names = ("id", "kind", "session", "status", "percent", "reason", "created_at", "ended_at", "expires_at")
    return JobBody({**{name: getattr(job, name) for name in names}, "result": result}).data
