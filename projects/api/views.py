"""Teams, presenters, footage, scripts, takes and projects. New footage and takes come in by tus, at ``/uploads/``."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from projects import access
from projects.api import filters
from projects.api import serializers as shapes
from projects.api.base import Archived, Made, actor, chosen
from projects.models import AudioTake, Footage, Presenter, Project, Role, Script, Team
from projects.services import footage as footage_services
from projects.services import presenters as presenter_services
from projects.services import projects as project_services
from projects.services import scripts as script_services
from projects.services import teams as team_services


class Me(APIView):
    @extend_schema(operation_id="me_retrieve", summary="Who this token acts for", tags=["teams"])
    @extend_schema(responses=shapes.MeSerializer)
    def get(self, request: Request) -> Response:
        """The person, and what the token that was sent may do."""
        return Response(shapes.MeSerializer(actor(request)).data)


class Teams(Made):
    """The teams the asker belongs to, as far as their token reaches, with their role in each."""

    serializer_class = shapes.TeamSerializer
    queryset = Team.objects.all()
    asks = {"create": shapes.TeamNew, "partial_update": shapes.TeamChange}
    refusals = {"create": ("name_missing", "token_new_team"), "partial_update": ("name_missing",)}
    find = access.get_team_for_user

    def get_queryset(self) -> QuerySet[Any]:
        return access.teams_of(self.request.user).annotate(role=F("memberships__role"))

    def get_object(self) -> Team:
        team: Team = super().get_object()
        team.role = access.role_of(self.request.user, team)  # type: ignore[attr-defined]
        return team

    def make(self, asked: dict[str, Any]) -> Team:
        team = team_services.create_team(actor=actor(self.request), **asked)
        team.role = Role.OWNER  # type: ignore[attr-defined]
        return team

    def partial_update(self, request: Request, public_id: str) -> Response:
        """Another name, for managers."""
        found = self.get_object()
        asked = {"name": found.name, **self.asked()}
        return self.shown(team_services.rename_team(actor=actor(request), team=found, **asked))


class Presenters(Archived, Made):
    """People whose footage a team keeps."""

    serializer_class = shapes.PresenterSerializer
    filterset_class = filters.PresenterFilter
    queryset = Presenter.objects.select_related("team")
    asks = {"create": shapes.PresenterNew, "partial_update": shapes.PresenterChange}
    refusals = {"create": ("name_missing",), "partial_update": ("name_missing",)}
    noun = "presenter"
    find = access.get_presenter_for_user
    put_away = presenter_services.archive_presenter
    bring_back = presenter_services.restore_presenter

    def make(self, asked: dict[str, Any]) -> Presenter:
        team = access.get_team_for_user(self.request.user, asked.pop("team"), need=Role.CREATOR)
        return presenter_services.create_presenter(actor=actor(self.request), team=team, **asked)

    def partial_update(self, request: Request, public_id: str) -> Response:
        """Another name, other notes."""
        found = access.get_presenter_for_user(request.user, public_id, need=Role.CREATOR)
        asked = {"name": found.name, **self.asked()}
        return self.shown(presenter_services.rename_presenter(actor=actor(request), presenter=found, **asked))


class FootageOfPresenters(Archived):
    """Videos of presenters, and what the analysis found in each. A new one is uploaded (tus, purpose ``footage``)."""

    serializer_class = shapes.FootageSerializer
    filterset_class = filters.FootageFilter
    queryset = Footage.objects.select_related("presenter", "blob", "poster").defer("speech_spans", "figures")
    asks = {"face": shapes.FaceChoice}
    refusals = {"analyse": ("still_analysing",), "face": ("no_such_face", "still_analysing")}
    team_path = "presenter__team"
    noun = "footage"
    find = access.get_footage_for_user
    put_away = footage_services.archive_footage
    bring_back = footage_services.restore_footage

    @action(detail=True, methods=["post"])
    def analyse(self, request: Request, public_id: str) -> Response:
        """Look at it again."""
        return self.act(footage_services.reanalyse_footage)

    @action(detail=True, methods=["post"])
    def face(self, request: Request, public_id: str) -> Response:
        """Of its faces, this one is the presenter's: it is looked at again, at that one."""
        found = access.get_footage_for_user(request.user, public_id, need=Role.CREATOR)
        footage_services.choose_face(actor=actor(request), footage=found, number=self.asked()["face"])
        return self.shown(self.get_object())


class Scripts(Archived, Made):
    """What is to be said, in one or more languages."""

    serializer_class = shapes.ScriptSerializer
    filterset_class = filters.ScriptFilter
    queryset = Script.objects.select_related("team")
    asks = {"create": shapes.ScriptNew, "partial_update": shapes.ScriptChange, "write": shapes.Words}
    refusals = {
        "create": ("name_missing",),
        "partial_update": ("name_missing",),
        "write": ("bad_language", "text_too_long"),
    }
    noun = "script"
    find = access.get_script_for_user
    put_away = script_services.archive_script
    bring_back = script_services.restore_script

    def make(self, asked: dict[str, Any]) -> Script:
        team = access.get_team_for_user(self.request.user, asked["team"], need=Role.CREATOR)
        return script_services.create_script(actor=actor(self.request), team=team, title=asked["title"])

    def partial_update(self, request: Request, public_id: str) -> Response:
        """Another title."""
        found = access.get_script_for_user(request.user, public_id, need=Role.CREATOR)
        asked = {"title": found.title, **self.asked()}
        return self.shown(script_services.rename_script(actor=actor(request), script=found, **asked))

    @extend_schema(responses=shapes.ScriptVersionSerializer)
    @action(detail=True, methods=["post"])
    def write(self, request: Request, public_id: str) -> Response:
        """The words in one language; the same words again change nothing."""
        found = access.get_script_for_user(request.user, public_id, need=Role.CREATOR)
        written = script_services.write_version(actor=actor(request), script=found, **self.asked())
        return Response(shapes.ScriptVersionSerializer(written).data)

    @extend_schema(responses=shapes.ScriptVersionSerializer(many=True))
    @action(detail=True, filterset_class=None)
    def versions(self, request: Request, public_id: str) -> Response:
        """Its words: every version in every language, the newest first."""
        rows = self.get_object().versions.select_related("script")
        return self.get_paginated_response(shapes.ScriptVersionSerializer(self.paginate_queryset(rows), many=True).data)


class Takes(Archived):
    """Recordings of scripts, and what the analysis found in each. A new one is uploaded (tus, purpose ``take``)."""

    serializer_class = shapes.TakeSerializer
    filterset_class = filters.TakeFilter
    queryset = AudioTake.objects.select_related("script_version__script", "blob").defer("waveform", "speech_spans")
    refusals = {"analyse": ("still_analysing",)}
    team_path = "script_version__script__team"
    noun = "take"
    find = access.get_take_for_user
    put_away = script_services.archive_take
    bring_back = script_services.restore_take

    @action(detail=True, methods=["post"])
    def analyse(self, request: Request, public_id: str) -> Response:
        """Listen to it again."""
        return self.act(script_services.reanalyse_take)

    @action(detail=True, methods=["post"])
    def words(self, request: Request, public_id: str) -> Response:
        """It says the newest words of its language, which were written down after it came."""
        return self.act(script_services.take_says_newest)


class Projects(Archived, Made):
    """Boards: which scripts are to be said by which presenters."""

    serializer_class = shapes.ProjectSerializer
    filterset_class = filters.ProjectFilter
    queryset = Project.objects.select_related("team")
    asks = {
        "create": shapes.ProjectNew,
        "partial_update": shapes.ProjectChange,
        "add": shapes.BoardMembers,
        "remove": shapes.BoardMembers,
    }
    refusals = {"create": ("name_missing",), "partial_update": ("name_missing", "bad_template")}
    noun = "project"
    find = access.get_project_for_user
    put_away = project_services.archive_project
    bring_back = project_services.restore_project

    def make(self, asked: dict[str, Any]) -> Project:
        team = access.get_team_for_user(self.request.user, asked["team"], need=Role.CREATOR)
        members = self._members(team, asked)
        return project_services.create_project(actor=actor(self.request), team=team, name=asked["name"], **members)

    def partial_update(self, request: Request, public_id: str) -> Response:
        """Another name, other file names in its ZIPs."""
        found = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
        asked = self.asked()
        with transaction.atomic():
            if "name" in asked:
                project_services.rename_project(actor=actor(request), project=found, name=asked["name"])
            if "file_name_template" in asked:
                template = asked["file_name_template"]
                project_services.set_file_name_template(actor=actor(request), project=found, template=template)
        return self.shown(found)

    def _members(self, team: Team, asked: dict[str, Any]) -> dict[str, Any]:
        """The team's presenters and scripts that the request names."""
        return {
            "presenters": chosen(Presenter.objects.filter(team=team), asked["presenters"]),
            "scripts": chosen(Script.objects.filter(team=team), asked["scripts"]),
        }

    @action(detail=True, methods=["post"])
    def add(self, request: Request, public_id: str) -> Response:
        """Put presenters and scripts on the board."""
        found = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
        members = self._members(found.team, self.asked())
        with transaction.atomic():
            project_services.add_presenters(actor=actor(request), project=found, presenters=members["presenters"])
            project_services.add_scripts(actor=actor(request), project=found, scripts=members["scripts"])
        return self.shown(found)

    @action(detail=True, methods=["post"])
    def remove(self, request: Request, public_id: str) -> Response:
        """Take presenters and scripts off the board; what was rendered stays."""
        found = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
        members = self._members(found.team, self.asked())
        with transaction.atomic():
            for presenter in members["presenters"]:
                project_services.remove_presenter(actor=actor(request), project=found, presenter=presenter)
            for script in members["scripts"]:
                project_services.remove_script(actor=actor(request), project=found, script=script)
        return self.shown(found)
