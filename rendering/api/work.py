"""Boards, batches and jobs, and what a team uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from projects import access
from projects.api.base import Asking, Things, actor, chosen, once
from projects.models import Project, Role, Team
from projects.problems import HeyGemError
from rendering import access as work
from rendering import selectors
from rendering.api import filters
from rendering.api import serializers as shapes
from rendering.cells import CellKey
from rendering.models import Preset, RenderBatch, RenderJob
from rendering.selectors.bases import learning
from rendering.selectors.usage import usage
from rendering.services import bases, batches, matrix, stopping

RETRY = ("nothing_to_retry", "team_storage_spent", "render_minutes_spent", "render_minutes_short")
"""How trying again may be refused: codes of the catalogue."""
MOST_CELLS = 50_000
"""Of one matrix, with those that cannot be rendered: the answer tells each of them."""


def keys_of(texts: Iterable[str] | None) -> list[CellKey] | None:
    try:
        return None if texts is None else [CellKey.parse(text) for text in texts]
    except ValueError as error:
        raise HeyGemError("cell_unknown") from error


class Board(APIView):
    @extend_schema(operation_id="projects_board_retrieve", summary="A project's board", tags=["projects"])
    @extend_schema(responses=shapes.BoardSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Presenters down, scripts across, and what each cell shows."""
        project = access.get_project_for_user(request.user, public_id)
        return Response(shapes.BoardSerializer(selectors.board(project)).data)


class Boards(Asking, GenericViewSet):
    """What the buttons above a board do."""

    serializer_class = shapes.JobSerializer
    queryset = Project.objects.none()
    lookup_field = "public_id"
    lookup_value_converter = "str"
    noun = "project"
    asks = {"cancel_work": shapes.CellsChosen}
    refusals = {"retry_failed": RETRY, "cancel_work": ("cell_unknown",)}
    made_once = ()

    def _project(self, public_id: str) -> Project:
        return access.get_project_for_user(self.request.user, public_id, need=Role.CREATOR)

    @extend_schema(responses=shapes.JobSerializer(many=True))
    @action(detail=True, methods=["post"], url_path="retry", url_name="retry", pagination_class=None)
    def retry_failed(self, request: Request, public_id: str) -> Response:
        """A new job for each cell of the board whose last job failed. Answers with these."""
        started = batches.retry_failed(actor=actor(request), project=self._project(public_id))
        return Response(self.get_serializer(started, many=True).data)

    @extend_schema(responses=shapes.CancelledSerializer)
    @action(detail=True, methods=["post"], url_path="cancel", url_name="cancel")
    def cancel_work(self, request: Request, public_id: str) -> Response:
        """Stop what is unfinished in these cells, or on the whole board, as far as the asker may stop it."""
        cells = keys_of(self.asked().get("cells"))
        number = stopping.cancel_cells(actor=actor(request), project=self._project(public_id), cells=cells)
        return Response(shapes.CancelledSerializer({"cancelled": number}).data)


class Usage(APIView):
    @extend_schema(operation_id="teams_usage_retrieve", summary="What a team uses", tags=["teams"])
    @extend_schema(responses=shapes.UsageSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Room by kind of file, minutes rendered this month, work under way, and the limits that apply."""
        team = access.get_team_for_user(request.user, public_id)
        return Response(shapes.UsageSerializer(usage(team)).data)


class Base(Asking, GenericViewSet):
    """A team's own base model."""

    serializer_class = shapes.LearningSerializer
    queryset = Team.objects.none()
    refusals = {"start": ("base_switched_off", "base_too_little", "base_being_made")}
    made_once = ()

    @extend_schema(operation_id="teams_base_retrieve", summary="A team's own base model", tags=["teams"])
    def retrieve(self, request: Request, public_id: str) -> Response:
        """What is learnt from the team's footage, how it did on presenters it had not met, and what is missing."""
        team = access.get_team_for_user(request.user, public_id)
        return Response(self.get_serializer(learning(team)).data)

    @extend_schema(operation_id="teams_base_create", summary="Learn from a team's footage now", tags=["teams"])
    @extend_schema(request=None, responses={202: shapes.LearningSerializer})
    def start(self, request: Request, public_id: str) -> Response:
        """Have a base model made, for managers. It happens by itself when there is enough new footage."""
        team = access.get_team_for_user(request.user, public_id, need=Role.MANAGER)
        bases.start(actor=actor(request), team=team)
        return Response(self.get_serializer(learning(team)).data, status=status.HTTP_202_ACCEPTED)


class Batches(Things):
    """Presses of the button: each a snapshot of a preset and one job for every cell that could be rendered."""

    serializer_class = shapes.BatchSerializer
    filterset_class = filters.BatchFilter
    queryset = RenderBatch.objects.select_related("team", "project")
    asks = {"create": shapes.BatchNew}
    refusals = {
        "create": (
            *("bad_language", "cell_unknown", "no_footage", "no_take", "already_rendering", "up_to_date"),
            *("nothing_to_render", "team_storage_spent", "render_minutes_spent", "render_minutes_short"),
            *("render_minutes_over",),
        ),
        "retry": RETRY,
    }
    noun = "batch"
    find = work.get_batch_for_user

    def _progress(self, batch: RenderBatch) -> Response:
        return Response(shapes.BatchProgressSerializer(selectors.batch_progress(batch)).data)

    @extend_schema(responses=shapes.BatchProgressSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """How far it has come: done of total."""
        return self._progress(self.get_object())

    @extend_schema(responses={201: shapes.BatchStartedSerializer})
    def create(self, request: Request) -> Response:
        """Render cells: those named, where presenters x scripts x languages meet, or all that nothing was made for.

        A cell that cannot be rendered never stops the others: it is told in ``skipped``. Presenters and scripts that
        are not on the project's board yet are put there.
        """
        return once(request, self._start)

    def _start(self) -> Response:
        asked = self.asked()
        project = access.get_project_for_user(self.request.user, asked["project"], need=Role.CREATOR)
        common: dict[str, Any] = {
            "actor": actor(self.request),
            "project": project,
            "preset": self._preset(project, asked),
        }
        if asked.keys() & {"presenters", "scripts", "languages"}:
            started = matrix.render_matrix(**common, **_matrix(project, asked))
        else:
            started = matrix.render_cells(**common, cells=keys_of(asked.get("cells")))
        progress = selectors.batch_progress(started.batch)
        shown = shapes.BatchStartedSerializer(progress, context={"skipped": started.skipped})
        return Response(shown.data, status=status.HTTP_201_CREATED)

    def _preset(self, project: Project, asked: dict[str, Any]) -> Preset | None:
        if "preset" not in asked:
            return None
        preset = work.get_preset_for_user(self.request.user, asked["preset"])
        if preset.team_id != project.team_id:
            raise Http404
        return preset

    @extend_schema(responses=shapes.BatchProgressSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Stop what is unfinished of it: what waits at once, what runs within a second or so."""
        batch = self.get_object()
        stopping.cancel_batch(actor=actor(request), batch=batch)
        return self._progress(batch)

    @extend_schema(responses=shapes.BatchProgressSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, public_id: str) -> Response:
        """A new job for each cell of the batch whose last job failed."""
        batch = self.get_object()
        batches.retry_failed(actor=actor(request), batch=batch)
        return self._progress(batch)


def _matrix(project: Project, asked: dict[str, Any]) -> dict[str, Any]:
    """The team's presenters and scripts that the request names; None for what it leaves open."""
    team = project.team
    rows: dict[str, QuerySet[Any]] = {"presenters": team.presenters.all(), "scripts": team.scripts.all()}
    mine = {name: chosen(known, asked[name]) for name, known in rows.items() if name in asked}
    languages = asked.get("languages")
    if languages is not None:
        presenters = len(mine["presenters"]) if "presenters" in mine else project.presenters.count()
        scripts = len(mine["scripts"]) if "scripts" in mine else project.scripts.count()
        if presenters * scripts * len(languages) > MOST_CELLS:
            raise serializers.ValidationError({"languages": [f"More than {MOST_CELLS} cells: ask in several parts."]})
    return {**mine, "languages": languages}


class Jobs(Things):
    """Videos being made: one for each cell of a batch, and one more for each retry."""

    serializer_class = shapes.JobSerializer
    filterset_class = filters.JobFilter
    queryset = RenderJob.objects.select_related(
        "batch", "version", "deliverable__project", "deliverable__presenter", "deliverable__script"
    )
    refusals = {"retry": RETRY, "attempts": ("not_allowed",)}
    noun = "job"
    find = work.get_job_for_user

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Stop it: at once when it waits, within a second or so when it runs. A finished one stays as it is."""
        return self.act(stopping.cancel_job)

    @action(detail=True, methods=["post"])
    def hold(self, request: Request, public_id: str) -> Response:
        """Keep a waiting job from starting."""
        return self.act(stopping.hold)

    @action(detail=True, methods=["post"])
    def release(self, request: Request, public_id: str) -> Response:
        """Let a held job go on waiting its turn."""
        return self.act(stopping.release)

    @action(detail=True, methods=["post"])
    def front(self, request: Request, public_id: str) -> Response:
        """Let a waiting job be the team's next one, for managers."""
        return self.act(stopping.move_to_front)

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, public_id: str) -> Response:
        """A new job for the cell of one that failed, from what would be used today. Answers with the new one."""
        job = self.get_object()
        return self.shown(batches.retry_failed(actor=actor(request), batch=job.batch, job=job)[0])

    @extend_schema(responses=shapes.AttemptSerializer(many=True))
    @action(detail=True, filterset_class=None, pagination_class=None)
    def attempts(self, request: Request, public_id: str) -> Response:
        """Its tries with their logs, for creators; the log of one that runs is there while it runs."""
        job = work.get_job_for_user(request.user, public_id, need=Role.CREATOR)
        return Response(shapes.AttemptSerializer(job.tries.select_related("worker"), many=True).data)
