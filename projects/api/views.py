"""Presenters, footage, scripts, takes and projects. New footage and takes come in by tus, at ``/uploads/``."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from projects import access
from projects.api import filters
from projects.api import serializers as shapes
from projects.api.base import IDEMPOTENCY_KEY, Things, actor, chosen, once
from projects.models import AudioTake, Footage, Presenter, Project, Role, Script, Team
from projects.services import footage as footage_services
from projects.services import presenters as presenter_services
from projects.services import projects as project_services
from projects.services import scripts as script_services

CREATED = status.HTTP_201_CREATED


class Teams(mixins.ListModelMixin, GenericViewSet):
    """The teams the asker belongs to."""

    serializer_class = shapes.TeamSerializer
    queryset = Team.objects.none()

    def get_queryset(self) -> QuerySet[Team]:
        return access.teams_of(self.request.user)


class Presenters(Things):
    serializer_class = shapes.PresenterSerializer
    filterset_class = filters.PresenterFilter
    queryset = Presenter.objects.none()
    find = access.get_presenter_for_user

    def get_queryset(self) -> QuerySet[Presenter]:
        return Presenter.objects.filter(team__in=access.teams_of(self.request.user)).select_related("team")

    @extend_schema(
        request=shapes.PresenterNew, responses={201: shapes.PresenterSerializer}, parameters=[IDEMPOTENCY_KEY]
    )
    def create(self, request: Request) -> Response:
        return once(request, self._make)

    def _make(self) -> Response:
        asked = self.asked(shapes.PresenterNew)
        team = access.get_team_for_user(self.request.user, asked.pop("team"), need=Role.CREATOR)
        made = presenter_services.create_presenter(actor=actor(self.request), team=team, **asked)
        return self.shown(made, CREATED)

    @extend_schema(request=shapes.PresenterChange)
    def partial_update(self, request: Request, public_id: str) -> Response:
        found = access.get_presenter_for_user(request.user, public_id, need=Role.CREATOR)
        asked = self.asked(shapes.PresenterChange)
        return self.shown(presenter_services.rename_presenter(actor=actor(request), presenter=found, **asked))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, public_id: str) -> Response:
        found = self.get_object()
        return self.shown(presenter_services.archive_presenter(actor=actor(request), presenter=found))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, public_id: str) -> Response:
        found = self.get_object()
        return self.shown(presenter_services.restore_presenter(actor=actor(request), presenter=found))


class FootageOfPresenters(Things):
    serializer_class = shapes.FootageSerializer
    filterset_class = filters.FootageFilter
    queryset = Footage.objects.none()
    find = access.get_footage_for_user

    def get_queryset(self) -> QuerySet[Footage]:
        mine = Footage.objects.filter(presenter__team__in=access.teams_of(self.request.user))
        return mine.select_related("presenter", "blob", "poster")

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, public_id: str) -> Response:
        return self.shown(footage_services.archive_footage(actor=actor(request), footage=self.get_object()))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, public_id: str) -> Response:
        return self.shown(footage_services.restore_footage(actor=actor(request), footage=self.get_object()))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def analyse(self, request: Request, public_id: str) -> Response:
        """Look at it again."""
        return self.shown(footage_services.reanalyse_footage(actor=actor(request), footage=self.get_object()))


class Scripts(Things):
    serializer_class = shapes.ScriptSerializer
    filterset_class = filters.ScriptFilter
    queryset = Script.objects.none()
    find = access.get_script_for_user

    def get_queryset(self) -> QuerySet[Script]:
        return Script.objects.filter(team__in=access.teams_of(self.request.user)).select_related("team")

    @extend_schema(request=shapes.ScriptNew, responses={201: shapes.ScriptSerializer}, parameters=[IDEMPOTENCY_KEY])
    def create(self, request: Request) -> Response:
        return once(request, self._make)

    def _make(self) -> Response:
        asked = self.asked(shapes.ScriptNew)
        team = access.get_team_for_user(self.request.user, asked["team"], need=Role.CREATOR)
        made = script_services.create_script(actor=actor(self.request), team=team, title=asked["title"])
        return self.shown(made, CREATED)

    @extend_schema(request=shapes.ScriptChange)
    def partial_update(self, request: Request, public_id: str) -> Response:
        found = access.get_script_for_user(request.user, public_id, need=Role.CREATOR)
        asked = self.asked(shapes.ScriptChange)
        return self.shown(script_services.rename_script(actor=actor(request), script=found, **asked))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, public_id: str) -> Response:
        return self.shown(script_services.archive_script(actor=actor(request), script=self.get_object()))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, public_id: str) -> Response:
        return self.shown(script_services.restore_script(actor=actor(request), script=self.get_object()))

    @extend_schema(request=shapes.Words, responses=shapes.ScriptVersionSerializer)
    @action(detail=True, methods=["post"])
    def write(self, request: Request, public_id: str) -> Response:
        """The words in one language; the same words again change nothing."""
        found = access.get_script_for_user(request.user, public_id, need=Role.CREATOR)
        written = script_services.write_version(actor=actor(request), script=found, **self.asked(shapes.Words))
        return Response(shapes.ScriptVersionSerializer(written).data)


class Takes(Things):
    serializer_class = shapes.TakeSerializer
    filterset_class = filters.TakeFilter
    queryset = AudioTake.objects.none()
    find = access.get_take_for_user

    def get_queryset(self) -> QuerySet[AudioTake]:
        mine = AudioTake.objects.filter(script_version__script__team__in=access.teams_of(self.request.user))
        return mine.select_related("script_version__script", "blob")

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, public_id: str) -> Response:
        return self.shown(script_services.archive_take(actor=actor(request), take=self.get_object()))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, public_id: str) -> Response:
        return self.shown(script_services.restore_take(actor=actor(request), take=self.get_object()))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def analyse(self, request: Request, public_id: str) -> Response:
        """Listen to it again."""
        return self.shown(script_services.reanalyse_take(actor=actor(request), take=self.get_object()))


class Projects(Things):
    serializer_class = shapes.ProjectSerializer
    filterset_class = filters.ProjectFilter
    queryset = Project.objects.none()
    find = access.get_project_for_user

    def get_queryset(self) -> QuerySet[Project]:
        return Project.objects.filter(team__in=access.teams_of(self.request.user)).select_related("team")

    @extend_schema(request=shapes.ProjectNew, responses={201: shapes.ProjectSerializer}, parameters=[IDEMPOTENCY_KEY])
    def create(self, request: Request) -> Response:
        return once(request, self._make)

    def _make(self) -> Response:
        asked = self.asked(shapes.ProjectNew)
        team = access.get_team_for_user(self.request.user, asked["team"], need=Role.CREATOR)
        made = project_services.create_project(
            actor=actor(self.request),
            team=team,
            name=asked["name"],
            presenters=chosen(Presenter.objects.filter(team=team), asked["presenters"]),
            scripts=chosen(Script.objects.filter(team=team), asked["scripts"]),
        )
        return self.shown(made, CREATED)

    @extend_schema(request=shapes.ProjectChange)
    def partial_update(self, request: Request, public_id: str) -> Response:
        found = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
        asked = self.asked(shapes.ProjectChange)
        with transaction.atomic():
            if "name" in asked:
                project_services.rename_project(actor=actor(request), project=found, name=asked["name"])
            if "file_name_template" in asked:
                template = asked["file_name_template"]
                project_services.set_file_name_template(actor=actor(request), project=found, template=template)
        return self.shown(found)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, public_id: str) -> Response:
        return self.shown(project_services.archive_project(actor=actor(request), project=self.get_object()))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, public_id: str) -> Response:
        return self.shown(project_services.restore_project(actor=actor(request), project=self.get_object()))

    def _members(self, public_id: str) -> tuple[Project, dict[str, Any]]:
        """The project, and the team's presenters and scripts that the request names."""
        found = access.get_project_for_user(self.request.user, public_id, need=Role.CREATOR)
        asked = self.asked(shapes.BoardMembers)
        presenters = chosen(Presenter.objects.filter(team=found.team), asked["presenters"])
        return found, {
            "presenters": presenters,
            "scripts": chosen(Script.objects.filter(team=found.team), asked["scripts"]),
        }

    @extend_schema(request=shapes.BoardMembers)
    @action(detail=True, methods=["post"])
    def add(self, request: Request, public_id: str) -> Response:
        """Put presenters and scripts on the board."""
        found, members = self._members(public_id)
        with transaction.atomic():
            project_services.add_presenters(actor=actor(request), project=found, presenters=members["presenters"])
            project_services.add_scripts(actor=actor(request), project=found, scripts=members["scripts"])
        return self.shown(found)

    @extend_schema(request=shapes.BoardMembers)
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, public_id: str) -> Response:
        """Take presenters and scripts off the board; what was rendered stays."""
        found, members = self._members(public_id)
        with transaction.atomic():
            for presenter in members["presenters"]:
                project_services.remove_presenter(actor=actor(request), project=found, presenter=presenter)
            for script in members["scripts"]:
                project_services.remove_script(actor=actor(request), project=found, script=script)
        return self.shown(found)
