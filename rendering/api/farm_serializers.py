"""How the farm looks to an operator's program."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from projects.api.serializers import IdField
from rendering.api.serializers import JobSerializer, LimitsSerializer
from rendering.models import RenderJob, TeamShare, WorkerNode
from rendering.selectors.farm import Word, is_heard
from rendering.services import farm, farm_acts, farm_many

REASON = "Goes into the audit log."


class WorkerSerializer(serializers.ModelSerializer):
    """``asked`` is what a person wants its process to do besides; ``refusal`` is why it takes no work by itself."""

    is_heard = serializers.SerializerMethodField(help_text="It works, or was heard of lately.")
    job = serializers.SerializerMethodField(help_text="The id of what it renders now.")

    class Meta:
        model = WorkerNode
        fields = [
            *["id", "name", "host", "cluster", "version", "engine", "backends", "weights", "device"],
            *["tracker", "refused"],
            *[
                "device_memory_mb",
                "figures",
                "state",
                "asked",
                "refusal",
                "failures_in_row",
                "is_heard",
                "job",
                "busy_since",
            ],
            *["last_seen_at", "created_at"],
        ]

    def get_is_heard(self, node: WorkerNode) -> bool:
        return is_heard(node)

    def get_job(self, node: WorkerNode) -> str | None:
        return next((job.public_id for job in node.jobs.all()), None)


class FarmTeamLineSerializer(serializers.Serializer):
    """A team's part of the queue."""

    team = serializers.CharField(source="public_id")
    name = serializers.CharField()
    waiting = serializers.IntegerField()
    held = serializers.IntegerField()
    running = serializers.IntegerField()
    oldest = serializers.DateTimeField(allow_null=True, help_text="Since when its oldest job waits.")
    priority = serializers.IntegerField()
    is_paused = serializers.BooleanField()


class FarmWaitingSerializer(serializers.Serializer):
    """A job that waits, and why."""

    job = serializers.CharField(source="job.public_id")
    team = serializers.CharField(source="job.team.public_id")
    why = serializers.CharField()
    place = serializers.IntegerField(allow_null=True, help_text="1 is next; null for what is not in line.")


class FarmMouthsSerializer(serializers.Serializer):
    """A mouth model that is being learnt, or waits to be, and why."""

    model = serializers.CharField(source="model.public_id")
    team = serializers.CharField(source="model.footage.presenter.team.public_id")
    state = serializers.CharField(source="model.state")
    worker = serializers.CharField(source="model.worker", help_text="Which learns it, or did last.")
    percent = serializers.IntegerField()
    why = serializers.CharField(source="waits", default=None, allow_null=True, help_text="Null for what is learnt now.")


class FarmBaseSerializer(serializers.Serializer):
    """A team's base model that is being learnt, or waits to be."""

    base = serializers.CharField(source="public_id")
    team = serializers.CharField(source="team.public_id")
    state = serializers.CharField()
    stage = serializers.CharField()
    progress = serializers.IntegerField(help_text="Percent of the stage.")


class FarmSerializer(serializers.Serializer):
    """The farm at a glance: in one word, and why; the queue by team; the head of the line."""

    word = serializers.ChoiceField([word.value for word in Word])
    reason = serializers.CharField()
    running = serializers.IntegerField()
    queued = serializers.IntegerField()
    held = serializers.IntegerField()
    teams = FarmTeamLineSerializer(many=True)
    waiting = FarmWaitingSerializer(many=True)
    mouths = FarmMouthsSerializer(many=True)
    bases = FarmBaseSerializer(many=True)


class FarmJobSerializer(JobSerializer):
    """A job of any team."""

    team = IdField("team")
    worker = serializers.CharField(source="worker.name", default=None, allow_null=True, read_only=True)

    class Meta(JobSerializer.Meta):
        model = RenderJob
        fields = [*JobSerializer.Meta.fields, "team", "worker", "error_detail"]


class FarmShareSerializer(serializers.ModelSerializer):
    """A team's part of the machines. Null: as the installation says, or no limit."""

    team = IdField("team")
    name = serializers.CharField(source="team.name", read_only=True)
    limits = LimitsSerializer(source="team.limits", help_text="The team's own.")

    class Meta:
        model = TeamShare
        fields = [
            *["team", "name", "weight", "max_running", "priority", "max_attempts", "backoff_seconds", "paused_at"],
            "limits",
        ]


def _bounded(numbers: range, **options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=numbers[0], max_value=numbers[-1], required=False, **options)


class Reasoned(serializers.Serializer):
    reason = serializers.CharField(
        max_length=farm.REASON_LIMIT, required=False, allow_blank=True, default="", help_text=REASON
    )


class WorkerAct(Reasoned):
    act = serializers.ChoiceField(farm_acts.WORKER_ACTS)
    at_once = serializers.BooleanField(default=False, help_text="What it works on is given back, not finished.")


class JobAct(Reasoned):
    act = serializers.ChoiceField(farm_acts.JOB_ACTS)
    priority = _bounded(farm.PRIORITIES, default=0, help_text="For the act of that name.")


class BatchAct(JobAct):
    act = serializers.ChoiceField(list(farm_many.ACTS))


class LearningAct(Reasoned):
    """The team reads the reason, too."""

    act = serializers.ChoiceField(farm_acts.LEARNING_ACTS)


class TeamAct(JobAct):
    act = serializers.ChoiceField(farm_acts.TEAM_ACTS)


class ShareChange(Reasoned):
    """What is left out stays as it is."""

    weight = _bounded(farm.WEIGHTS)
    max_running = _bounded(farm.LIMITS, allow_null=True)
    max_attempts = _bounded(farm.ATTEMPTS, allow_null=True)
    backoff_seconds = _bounded(farm.BACKOFFS, allow_null=True)
    limits = LimitsSerializer(required=False)


class ToldSerializer(serializers.Serializer):
    done = serializers.IntegerField(help_text="Jobs and trainings that were changed.")
    left = serializers.IntegerField(help_text="What the act would still fit: send it again.")
