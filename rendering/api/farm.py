"""The farm, for operators' programs. For everybody else it does not exist, as its pages do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from projects.api.base import Asking, Things, actor
from projects.models import TeamLimits
from rendering import access
from rendering.api import farm_serializers as shapes
from rendering.api import filters
from rendering.api.serializers import AttemptSerializer, MouthModelSerializer, TeamBaseSerializer
from rendering.models import JobState, RenderJob, TeamShare, WorkerNode
from rendering.selectors import farm as glance
from rendering.services import farm, farm_acts, farm_many
from rendering.services.limits import set_limits

OPERATORS = ("not_found", "token_no_farm")


class ForOperators(Asking):
    team_path: ClassVar[str] = ""  # of all teams
    made_once = ()
    refusals: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        if hasattr(self, (request.method or "").lower()):  # else there is nothing to protect, but a 405
            access.require_operator(request.user)


class Farm(ForOperators, APIView):
    refusals = {"": OPERATORS}

    @extend_schema(operation_id="farm_retrieve", summary="The farm at a glance", tags=["farm"])
    @extend_schema(responses=shapes.FarmSerializer)
    def get(self, request: Request) -> Response:
        """Whether it is active, idle, waiting or broken, who waits for what, and the head of the line."""
        return Response(shapes.FarmSerializer(glance.farm()).data)


@extend_schema(tags=["farm"])
class Workers(ForOperators, Things):
    """Processes that take work, with what their machines can do and how they are."""

    serializer_class = shapes.WorkerSerializer
    queryset = WorkerNode.objects.prefetch_related(Prefetch("jobs", RenderJob.objects.filter(state=JobState.RUNNING)))
    lookup_field = "pk"
    lookup_url_kwarg = "number"
    lookup_value_converter = "int"
    noun = "worker"
    asks = {"operate": shapes.WorkerAct}
    refusals = {"list": OPERATORS, "retrieve": OPERATORS, "operate": (*OPERATORS, "no_such_act")}

    def get_queryset(self) -> QuerySet[Any]:
        return self.queryset.all()

    def get_object(self) -> WorkerNode:
        return access.get_worker(self.request.user, self.kwargs["number"])

    @action(detail=True, methods=["post"], url_path="act", url_name="act")
    def operate(self, request: Request, number: int) -> Response:
        """Activate, pause, drain, quarantine, stop or restart it."""
        farm_acts.act_on_worker(actor=actor(request), worker=self.get_object(), **self.asked())
        return self.shown(self.get_object())


@extend_schema(tags=["farm"])
class FarmJobs(ForOperators, Things):
    """Jobs of all teams."""

    serializer_class = shapes.FarmJobSerializer
    filterset_class = filters.JobFilter
    queryset = RenderJob.objects.select_related(
        *("team", "worker", "batch", "version"),
        *("deliverable__project", "deliverable__presenter", "deliverable__script"),
    )
    noun = "job"
    asks = {"operate": shapes.JobAct}
    refusals = {
        **dict.fromkeys(("list", "retrieve", "attempts"), OPERATORS),
        "operate": (*OPERATORS, "no_such_act", "bad_share"),
    }

    def get_queryset(self) -> QuerySet[Any]:
        return self.queryset.all()

    def get_object(self) -> RenderJob:
        return access.get_any_job(self.request.user, self.kwargs["public_id"])

    @action(detail=True, methods=["post"], url_path="act", url_name="act")
    def operate(self, request: Request, public_id: str) -> Response:
        """Hold, release, cancel, requeue, move to the front, retry it, or give it another priority."""
        farm_acts.act_on_job(actor=actor(request), job=self.get_object(), **self.asked())
        return self.shown(self.get_object())

    @extend_schema(responses=AttemptSerializer(many=True))
    @action(detail=True, filterset_class=None, pagination_class=None)
    def attempts(self, request: Request, public_id: str) -> Response:
        """Its tries with their logs; the log of one that runs is there while it runs."""
        return Response(AttemptSerializer(self.get_object().tries.select_related("worker"), many=True).data)


@extend_schema(tags=["farm"])
class FarmBatches(ForOperators, GenericViewSet):
    """Whole batches of any team."""

    serializer_class = shapes.ToldSerializer
    lookup_field = "public_id"
    lookup_value_converter = "str"
    noun = "batch"
    asks = {"operate": shapes.BatchAct}
    refusals = {"operate": (*OPERATORS, "nothing_chosen", "bad_share")}

    @action(detail=True, methods=["post"], url_path="act", url_name="act")
    def operate(self, request: Request, public_id: str) -> Response:
        """The same to every job of the batch that it fits."""
        batch = access.get_any_batch(request.user, public_id)
        told = farm_many.act_on_batch(actor=actor(request), batch=batch, **self.asked())
        return Response(shapes.ToldSerializer(told).data)


@extend_schema(tags=["farm"])
class FarmMouths(ForOperators, GenericViewSet):
    """Mouth models of any team that are being learnt."""

    serializer_class = MouthModelSerializer
    lookup_field = "public_id"
    lookup_value_converter = "str"
    noun = "mouth model"
    asks = {"operate": shapes.LearningAct}
    refusals = {"operate": (*OPERATORS, "no_such_act")}

    @action(detail=True, methods=["post"], url_path="act", url_name="act")
    def operate(self, request: Request, public_id: str) -> Response:
        """Stop learning it. It does not begin again by itself; its team may start it again."""
        model = access.get_any_mouths(request.user, public_id)
        farm_acts.act_on_mouths(actor=actor(request), model=model, **self.asked())
        return Response(MouthModelSerializer(access.get_any_mouths(request.user, public_id)).data)


@extend_schema(tags=["farm"])
class FarmBases(ForOperators, GenericViewSet):
    """Base models of any team that are being learnt."""

    serializer_class = TeamBaseSerializer
    lookup_field = "public_id"
    lookup_value_converter = "str"
    noun = "base model"
    asks = {"operate": shapes.LearningAct}
    refusals = {"operate": (*OPERATORS, "no_such_act")}

    @action(detail=True, methods=["post"], url_path="act", url_name="act")
    def operate(self, request: Request, public_id: str) -> Response:
        """Stop learning it. It begins again when there is more to learn from, or its team asks for it."""
        base = access.get_any_base(request.user, public_id)
        farm_acts.act_on_base(actor=actor(request), base=base, **self.asked())
        return Response(TeamBaseSerializer(access.get_any_base(request.user, public_id)).data)


@extend_schema(tags=["farm"])
class FarmTeams(ForOperators, GenericViewSet):
    """Each team's part of the machines, and its limits."""

    serializer_class = shapes.FarmShareSerializer
    lookup_field = "public_id"
    lookup_value_converter = "str"
    noun = "team"
    asks = {"operate": shapes.TeamAct, "partial_update": shapes.ShareChange}
    refusals = {
        "retrieve": OPERATORS,
        "partial_update": (*OPERATORS, "bad_share", "bad_retry_policy", "bad_limit"),
        "operate": (*OPERATORS, "no_such_act", "nothing_chosen", "bad_share"),
    }

    def _share(self, public_id: str) -> TeamShare:
        team = access.get_any_team(self.request.user, public_id)
        share = TeamShare.objects.select_related("team").filter(team=team).first() or TeamShare(team=team)
        share.team.limits = TeamLimits.objects.filter(team=team).first() or TeamLimits(team=team)
        return share

    def retrieve(self, request: Request, public_id: str) -> Response:
        """Its share, its place in line, how its jobs are tried again, and its own limits."""
        return Response(self.get_serializer(self._share(public_id)).data)

    def partial_update(self, request: Request, public_id: str) -> Response:
        """Change its share, its retry policy or its limits; what is left out stays."""
        share, asked = self._share(public_id), self.asked()
        common: dict[str, Any] = {"actor": actor(request), "team": share.team, "reason": asked.pop("reason")}
        with transaction.atomic():
            for fields, service in (
                (("weight", "max_running"), farm.set_share),
                (("max_attempts", "backoff_seconds"), farm.set_retry_policy),
            ):
                if asked.keys() & set(fields):
                    service(**common, **{name: asked.get(name, getattr(share, name)) for name in fields})
            if "limits" in asked:
                set_limits(**common, **asked["limits"])
        return self.retrieve(request, public_id)

    @action(detail=True, methods=["post"], url_path="act", url_name="act")
    def operate(self, request: Request, public_id: str) -> Response:
        """Pause or resume it, give it another place in line, or cancel, requeue or release all of its work."""
        team = access.get_any_team(request.user, public_id)
        farm_acts.act_on_team(actor=actor(request), team=team, **self.asked())
        return self.retrieve(request, public_id)
