"""Boards, batches, jobs, versions and exports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from projects import access
from projects.api.base import IDEMPOTENCY_KEY, Things, actor, chosen, once
from projects.models import Role
from projects.problems import HeyGemError
from rendering import access as work
from rendering import selectors
from rendering.api import serializers as shapes
from rendering.cells import CellKey
from rendering.models import Export, JobState, RenderBatch, RenderJob, RenderVersion
from rendering.services import batches, exports, stopping, versions

CREATED = status.HTTP_201_CREATED


def _keys(texts: Iterable[str] | None) -> list[CellKey] | None:
    try:
        return None if texts is None else [CellKey.parse(text) for text in texts]
    except ValueError as error:
        raise HeyGemError("cell_unknown") from error


class Work(filters.FilterSet):
    team = filters.CharFilter(field_name="team__public_id")
    project = filters.CharFilter(field_name="project__public_id")


class JobFilter(Work):
    project = filters.CharFilter(field_name="deliverable__project__public_id")
    batch = filters.CharFilter(field_name="batch__public_id")
    state = filters.ChoiceFilter(choices=JobState.choices)


class VersionFilter(filters.FilterSet):
    team = filters.CharFilter(field_name="deliverable__project__team__public_id")
    project = filters.CharFilter(field_name="deliverable__project__public_id")
    presenter = filters.CharFilter(field_name="deliverable__presenter__public_id")
    script = filters.CharFilter(field_name="deliverable__script__public_id")
    language = filters.CharFilter(field_name="deliverable__language")


class Board(APIView):
    @extend_schema(responses=shapes.BoardSerializer, operation_id="projects_board_retrieve", tags=["projects"])
    def get(self, request: Request, public_id: str) -> Response:
        """Presenters down, scripts across, and what each cell shows."""
        project = access.get_project_for_user(request.user, public_id)
        return Response(shapes.BoardSerializer(selectors.board(project)).data)


class Batches(Things):
    serializer_class = shapes.BatchSerializer
    filterset_class = Work
    queryset = RenderBatch.objects.none()
    find = work.get_batch_for_user

    def get_queryset(self) -> QuerySet[RenderBatch]:
        mine = RenderBatch.objects.filter(team__in=access.teams_of(self.request.user))
        return mine.select_related("team", "project")

    def _progress(self, batch: RenderBatch, code: int = status.HTTP_200_OK) -> Response:
        return Response(shapes.BatchProgressSerializer(selectors.batch_progress(batch)).data, status=code)

    @extend_schema(responses=shapes.BatchProgressSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self._progress(self.get_object())

    @extend_schema(
        request=shapes.BatchNew, responses={201: shapes.BatchProgressSerializer}, parameters=[IDEMPOTENCY_KEY]
    )
    def create(self, request: Request) -> Response:
        """Render the cells that can be rendered; a cell that cannot never stops the others."""
        return once(request, self._make)

    def _make(self) -> Response:
        asked = self.asked(shapes.BatchNew)
        project = access.get_project_for_user(self.request.user, asked["project"], need=Role.CREATOR)
        preset = None
        if "preset" in asked:
            preset = work.get_preset_for_user(self.request.user, asked["preset"])
            if preset.team_id != project.team_id:
                raise Http404
        cells = _keys(asked.get("cells"))
        batch = batches.start_batch(actor=actor(self.request), project=project, cells=cells, preset=preset)
        return self._progress(batch, CREATED)

    @extend_schema(request=None, responses=shapes.BatchProgressSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        batch = self.get_object()
        stopping.cancel_batch(actor=actor(request), batch=batch)
        return self._progress(batch)

    @extend_schema(request=None, responses=shapes.BatchProgressSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, public_id: str) -> Response:
        """A new job for each cell of the batch whose last job failed."""
        batch = self.get_object()
        batches.retry_failed(actor=actor(request), batch=batch)
        return self._progress(batch)


class Jobs(Things):
    serializer_class = shapes.JobSerializer
    filterset_class = JobFilter
    queryset = RenderJob.objects.none()
    find = work.get_job_for_user

    def get_queryset(self) -> QuerySet[RenderJob]:
        mine = RenderJob.objects.filter(team__in=access.teams_of(self.request.user))
        return mine.select_related(
            "batch", "version", "deliverable__project", "deliverable__presenter", "deliverable__script"
        )

    def _now(self, job: RenderJob) -> Response:
        job.refresh_from_db()
        return self.shown(job)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        job = self.get_object()
        stopping.cancel_job(actor=actor(request), job=job)
        return self._now(job)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, public_id: str) -> Response:
        """Keep a waiting job from starting."""
        job = self.get_object()
        stopping.hold(actor=actor(request), job=job)
        return self._now(job)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def release(self, request: Request, public_id: str) -> Response:
        job = self.get_object()
        stopping.release(actor=actor(request), job=job)
        return self._now(job)


class Versions(Things):
    serializer_class = shapes.VersionSerializer
    filterset_class = VersionFilter
    queryset = RenderVersion.objects.none()
    find = work.get_version_for_user

    def get_queryset(self) -> QuerySet[RenderVersion]:
        mine = RenderVersion.objects.filter(deliverable__project__team__in=access.teams_of(self.request.user))
        return mine.select_related("video", "deliverable__project", "deliverable__presenter", "deliverable__script")

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, public_id: str) -> Response:
        """Make it the one that counts; publishing an older one restores it."""
        versions.publish(actor=actor(request), version=self.get_object())
        return self.shown(self.get_object())


class Exports(Things):
    serializer_class = shapes.ExportSerializer
    filterset_class = Work
    queryset = Export.objects.none()
    find = work.get_export_for_user

    def get_queryset(self) -> QuerySet[Export]:
        mine = Export.objects.filter(team__in=access.teams_of(self.request.user))
        return mine.select_related("team", "project", "blob")

    @extend_schema(request=shapes.ExportNew, responses={201: shapes.ExportSerializer}, parameters=[IDEMPOTENCY_KEY])
    def create(self, request: Request) -> Response:
        """Pack a ZIP of versions with a manifest."""
        return once(request, self._make)

    def _make(self) -> Response:
        asked = self.asked(shapes.ExportNew)
        project = access.get_project_for_user(self.request.user, asked["project"], need=Role.REVIEWER)
        picked = None
        if "versions" in asked:
            picked = chosen(RenderVersion.objects.filter(deliverable__project=project), asked["versions"])
        made = exports.create_export(
            actor=actor(self.request), project=project, versions=picked, cells=_keys(asked.get("cells"))
        )
        return self.shown(made, CREATED)

    def destroy(self, request: Request, public_id: str) -> Response:
        exports.delete_export(actor=actor(request), export=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
