"""Exports, evidence and verifications over HTTP: asked for, looked at, cancelled, downloaded."""

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
from ..ownership import jobs_of
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
from .kinds import ASKED, DOWNLOADED, NEEDS, SOME, may_have
from .ownership import listed_jobs, may_cancel, require_there, session_of
from .pagination import Pages
from .permissions import Allowed
from .problems import MEDIA_TYPE, NO_SUCH_THING, NOT_PERMITTED, NOT_READY, Problem
from .ranges import Whatever
from .replays import once
from .strict import Strict
from .verdicts import ReportBody, VerdictBody
from .witnessed import Witnessed, tell

VIDEO, BUNDLE, REPORT = "video/mp4", "application/zip", "application/json"
TYPES = {".mp4": VIDEO, ".zip": BUNDLE, ".json": REPORT}
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


class WantedVerify(Strict):
    """How much is looked at."""

    deep = serializers.BooleanField(
        required=False,
        help_text="Decrypt everything, too, and compare it with what was recorded. It is told to nobody.",
    )


class ResultBody(serializers.Serializer[Any]):
    """The file that came of it."""

    name = serializers.CharField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()
    url = serializers.CharField(help_text="Its path; it needs a token, or a link from `/links`.")
    verdict: Any = VerdictBody(allow_null=True, help_text="Of a verification; null for other kinds.")


class JobBody(serializers.Serializer[Any]):
    """A job."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=list(jobs.KINDS))
    session = serializers.UUIDField()
    status = serializers.ChoiceField(choices=JobStatus.choices, help_text="How far it is.")
    percent = serializers.IntegerField()
    reason = serializers.CharField(help_text="Why it failed, or waits.")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When the result goes.")
    result: Any = ResultBody(allow_null=True)


class Jobs(Witnessed, GenericViewSet[Job]):
    """Long work. The caller sees his own jobs; roles that see all sessions see all.

    Of each kind who may ask for it.
    """

    serializer_class = JobBody
    filterset_class = JobFilter
    pagination_class = Pages
    queryset = Job.objects.all()
    permission_classes = [Allowed]
    authentication_classes = LINK_OR_TOKEN
    schema = Described()
    content_negotiation_class = Whatever
    renderer_classes = [JSONRenderer]
    needs = {**NEEDS, **dict.fromkeys(("list", "retrieve", "cancel", "result"), SOME)}
    rates = {**dict.fromkeys(jobs.KINDS, "bulk"), "list": "status", "retrieve": "status"}
    deeds = {
        **ASKED,
        "list": "jobs.listed",
        "retrieve": "job.viewed",
        "cancel": "job.cancelled",
        "result": DOWNLOADED[jobs.EXPORT],
    }
    # Of the job whose result is asked for.
    kind = jobs.EXPORT

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """As ever, once it is known what would be downloaded: to have a report is another deed."""
        if self.action == "result":
            found = Job.objects.filter(pk=kwargs["job_id"]).values_list("kind", flat=True).first()
            self.kind = found or self.kind
        super().initial(request, *args, **kwargs)

    def deed(self) -> str | None:
        """As ever; a download is named by what is downloaded."""
        return DOWNLOADED[self.kind] if self.action == "result" else super().deed()

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

    @extend_schema(
        request=WantedVerify,
        parameters=[ONCE],
        responses={202: JobBody, **ONE_SESSION_ERRORS, **ONCE_ERRORS, **NOT_NOW},
    )
    def verify(self, request: Request, session_id: UUID) -> Response:
        """Have a session verified against the signed log. The finished job tells the verdict."""
        return self._asked(request, session_id, jobs.VERIFY, WantedVerify)

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
        """List your jobs, newest first, of the kinds that you may ask for."""
        rows = listed_jobs(request.user, auth=request.auth)
        page: Any = self.paginate_queryset(self.filter_queryset(rows))
        return self.get_paginated_response([_body(job) for job in page])

    @extend_schema(responses={200: JobBody, **NO_JOB, **COMMON})
    def retrieve(self, request: Request, job_id: UUID) -> Response:
        """Look at one job."""
        job = _one(request, job_id)
        tell(request, made=job.session)
        waits = {"Retry-After": "1"} if job.status in job_results.OPEN else {}
        return Response(_body(job), headers=waits)

    @extend_schema(request=None, responses={200: JobBody, **NO_JOB, **COMMON})
    def cancel(self, request: Request, job_id: UUID) -> Response:
        """Cancel a job of yours, or of others if you manage; one that is over stays as it is."""
        job = _one(request, job_id)
        tell(request, made=job.session)
        if not may_cancel(request.user, job):
            raise Problem(
                NOT_PERMITTED, f"Job {job.pk} is another's: he cancels it, or who manages sessions."
            )
        return Response(_body(jobs.cancel(job)))

    @extend_schema(
        parameters=[RANGE, *CONDITIONS, LINK],
        responses={
            **{(status, kind): OpenApiTypes.BINARY for status in (200, 206) for kind in TYPES.values()},
            (200, REPORT): ReportBody,
            (409, MEDIA_TYPE): problem("LUCID_ERR_3012: not finished, or its result is gone."),
            (416, MEDIA_TYPE): problem("No byte of the range exists."),
            **CONDITIONS_ERRORS,
            **NO_JOB,
            **COMMON,
        },
    )
    def result(self, request: Request, job_id: UUID) -> HttpResponseBase:
        """Download what came of a job of a kind that you may ask for; resumable by Range."""
        job = _one(request, job_id)
        tell(request, made=job.session, facts={"job": str(job.pk), "kind": job.kind})
        path = job_results.result_path(job)
        # While a system is updated, a runner of an earlier release may make evidence of a verification.
        other = job.kind == jobs.VERIFY and "verdict" not in (job.result or {})
        if path is None or job.result is None or other:
            raise Problem(NOT_READY, f"Job {job.pk} is {job.status}, or its result is gone: ask for another.")
        kind = TYPES[path.suffix]
        file, facts = path.open("rb"), job.result
        return sent(
            request, file, length=facts["bytes"], tag=facts["sha256"], name=facts["name"], content_type=kind
        )


def _one(request: Request, pk: UUID) -> Job:
    job = jobs_of(request.user).filter(pk=pk).first()
    if job is None:
        raise Problem(NO_SUCH_THING, f"There is no job {pk}, or it is not yours.")
    if not may_have(request.user, job.kind, auth=request.auth):
        raise Problem(
            NOT_PERMITTED, f"Job {pk} is of the kind {job.kind}, which your role or token does not allow."
        )
    return job


def _body(job: Job) -> dict[str, Any]:
    result = job.result and {"verdict": None, **job.result, "url": reverse("api:job-result", args=[job.pk])}
    names = ("id", "kind", "session", "status", "percent", "reason", "created_at", "ended_at", "expires_at")
    return JobBody({**{name: getattr(job, name) for name in names}, "result": result}).data
