"""How work and its results look to a program."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from projects import problems
from projects.api.serializers import WHY, IdField, Ids, WhySerializer, media_url, said
from projects.models import MouthModel, TeamBase
from rendering.models import Export, Preset, RenderAttempt, RenderBatch, RenderJob, RenderVersion
from rendering.selectors.logs import without_paths
from rendering.selectors.mouths import percent_of
from rendering.selectors.shapes import BatchView, CellState
from rendering.selectors.usage import Kind
from rendering.services import mouths
from rendering.services.batches import Skipped

PRESET_OPTIONS = ["backend", "enhance", "amplitude", "when_shorter", "crf", "speed", "normalize_loudness"]
KEY = "presenter.script.language, the first two as ids"


class RowSerializer(serializers.Serializer):
    presenter = serializers.CharField()
    name = serializers.CharField()


class ColumnSerializer(serializers.Serializer):
    script = serializers.CharField()
    title = serializers.CharField()
    language = serializers.CharField()


class CellSerializer(serializers.Serializer):
    """``version`` is the published one, or the newest when none is."""

    key = serializers.CharField(help_text=KEY)
    state = serializers.ChoiceField([state.value for state in CellState])
    stage = serializers.CharField()
    percent = serializers.IntegerField(allow_null=True)
    queue_position = serializers.IntegerField(allow_null=True)
    eta_s = serializers.FloatField(allow_null=True)
    job = serializers.CharField(source="job.public_id", default=None, allow_null=True)
    version = serializers.CharField(source="version.public_id", default=None, allow_null=True)
    problem = serializers.CharField(source="problem.code", default=None, allow_null=True)
    stale_because = serializers.ListField(child=serializers.CharField())
    revision = serializers.IntegerField()


class BoardRowSerializer(RowSerializer):
    cells = CellSerializer(many=True)


class BoardSerializer(serializers.Serializer):
    """One row for each presenter; its cells stand in the order of the columns."""

    project = serializers.CharField(source="project.public_id")
    revision = serializers.IntegerField()
    columns = ColumnSerializer(many=True)
    rows = BoardRowSerializer(many=True)
    eta_s = serializers.FloatField(allow_null=True)


class BatchSerializer(serializers.ModelSerializer):
    id = IdField()
    team = IdField("team")
    project = IdField("project")

    class Meta:
        model = RenderBatch
        fields = ["id", "team", "project", "preset_name", "preset", "created_at"]


class JobSerializer(WhySerializer, serializers.ModelSerializer):
    id = IdField()
    batch = IdField("batch")
    project = IdField("deliverable.project")
    presenter = IdField("deliverable.presenter")
    script = IdField("deliverable.script")
    language = serializers.CharField(source="deliverable.language", read_only=True)
    version = serializers.CharField(source="version.public_id", default=None, allow_null=True, read_only=True)

    class Meta:
        model = RenderJob
        fields = [
            *["id", "batch", "project", "presenter", "script", "language", "state", "stage", "progress", "priority"],
            *["attempts", "max_attempts", *WHY, "version", "created_at", "started_at", "finished_at"],
        ]


class BatchProgressSerializer(serializers.Serializer):
    """How far a batch has come."""

    batch = BatchSerializer()
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    running = serializers.IntegerField()
    queued = serializers.IntegerField()
    held = serializers.IntegerField()
    percent = serializers.IntegerField()
    eta_s = serializers.FloatField(allow_null=True)
    is_finished = serializers.BooleanField()


class SkippedSerializer(serializers.Serializer):
    """A cell that was asked for and cannot be rendered now."""

    cell = serializers.CharField(source="key", help_text=KEY)
    code = serializers.CharField()
    title = serializers.SerializerMethodField()

    def get_title(self, skipped: Skipped) -> str:
        return str(problems.get(skipped.code).sentence)


class BatchStartedSerializer(BatchProgressSerializer):
    skipped = serializers.SerializerMethodField()

    @extend_schema_field(SkippedSerializer(many=True))
    def get_skipped(self, _view: BatchView) -> Any:
        return SkippedSerializer(self.context["skipped"], many=True).data


class Cells(serializers.ListField):
    child = serializers.CharField(max_length=60, help_text=KEY)

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=5000, **options)


class CellsChosen(serializers.Serializer):
    """Without ``cells``: the whole board."""

    cells = Cells(required=False)


class CancelledSerializer(serializers.Serializer):
    cancelled = serializers.IntegerField(help_text="Jobs that were stopped.")


class BatchNew(serializers.Serializer):
    """``cells`` by name; or where ``presenters``, ``scripts`` and ``languages`` meet, each of them all that there is
    when it is left out; or, with none of these, everything that nothing was made for yet."""

    project = serializers.CharField(max_length=16)
    cells = Cells(required=False)
    presenters = Ids(required=False)
    scripts = Ids(required=False)
    languages = serializers.ListField(child=serializers.CharField(max_length=40), required=False, max_length=100)
    preset = serializers.CharField(max_length=16, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "cells" in attrs and attrs.keys() & {"presenters", "scripts", "languages"}:
            raise serializers.ValidationError({"cells": ["Either cells, or presenters, scripts and languages."]})
        return attrs


class LogField(serializers.CharField):
    """A log without the places where files lie on the machine."""

    def to_representation(self, value: str) -> str:
        return without_paths(super().to_representation(value))


class AttemptSerializer(WhySerializer, serializers.ModelSerializer):
    """One try at a job. ``log`` is its end, as far as it is kept; ``log_end`` counts all that was written."""

    log = LogField(read_only=True)
    worker = serializers.CharField(source="worker.name", default=None, allow_null=True, read_only=True)

    class Meta:
        model = RenderAttempt
        fields = ["number", "worker", "outcome", *WHY, "started_at", "ended_at", "log", "log_end"]


class PresetSerializer(serializers.ModelSerializer):
    id = IdField()
    team = IdField("team")

    class Meta:
        model = Preset
        fields = ["id", "team", "name", "is_default", *PRESET_OPTIONS, "created_at"]


class PresetChange(serializers.ModelSerializer):
    class Meta:
        model = Preset
        fields = ["name", *PRESET_OPTIONS]
        extra_kwargs = {name: {"required": False} for name in fields}


class PresetNew(PresetChange):
    team = serializers.CharField(max_length=16)

    class Meta(PresetChange.Meta):
        fields = ["team", "name", *PRESET_OPTIONS]
        extra_kwargs = {name: {"required": False} for name in PRESET_OPTIONS}


class LimitsSerializer(serializers.Serializer):
    """Null: no limit."""

    storage_bytes = serializers.IntegerField(allow_null=True)
    render_minutes = serializers.IntegerField(allow_null=True, help_text="Of video a month.")
    file_bytes = serializers.IntegerField(allow_null=True, help_text="Of one upload.")
    take_seconds = serializers.IntegerField(allow_null=True)


class KindsSerializer(serializers.Serializer):
    """Bytes of each kind."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {kind.value: serializers.IntegerField() for kind in Kind}


class UsageSerializer(serializers.Serializer):
    """Bytes unless said otherwise; what serves several purposes counts once."""

    bytes = serializers.IntegerField(help_text="Everything that counts against the storage limit.")
    storage_percent = serializers.IntegerField(allow_null=True)
    by_kind = KindsSerializer(source="*")
    uploads = serializers.IntegerField(help_text="What unfinished uploads have announced.")
    files = serializers.IntegerField(help_text="Stored files.")
    month = serializers.DateField(help_text="Its first day.")
    rendered_seconds = serializers.FloatField(help_text="Of video made this month.")
    planned_seconds = serializers.FloatField(help_text="Of video that waits or is being made.")
    render_percent = serializers.IntegerField(allow_null=True)
    versions_made = serializers.IntegerField()
    jobs_running = serializers.IntegerField()
    jobs_waiting = serializers.IntegerField()
    jobs_held = serializers.IntegerField()
    limits = LimitsSerializer()


class TeamBaseSerializer(WhySerializer, serializers.ModelSerializer):
    """One making of a team's own base model."""

    id = IdField()

    class Meta:
        model = TeamBase
        fields = [
            *["id", "state", "stage", "progress", *WHY, "reason", "engine", "identity", "footage"],
            *["presenters", "speech_s", "figures", "created_at", "analysed_at"],
        ]
        read_only_fields = fields


class LearningSerializer(serializers.Serializer):
    """What is learnt from a team's footage, and what there is to learn from."""

    learns = serializers.BooleanField(help_text="The team lets machines learn from its footage.")
    current = TeamBaseSerializer(allow_null=True, help_text="In use for new renders; null: the built-in one is.")
    newest = TeamBaseSerializer(allow_null=True, help_text="The last that was asked for, whatever became of it.")
    presenters = serializers.IntegerField(help_text="Whose footage can be learnt from now.")
    speech_s = serializers.FloatField(help_text="Seconds of speech in it.")
    least_presenters = serializers.IntegerField()
    least_speech_s = serializers.FloatField()


class MouthModelSerializer(WhySerializer, serializers.ModelSerializer):
    """One making of a network that draws the presenter's mouths in one piece of footage."""

    id = IdField()
    footage = IdField("footage")
    presenter = IdField("footage.presenter")
    percent = serializers.SerializerMethodField(help_text="Of the whole, whatever stage it is in.")
    in_use = serializers.SerializerMethodField(help_text="New renders of the footage are drawn with it.")
    initial = serializers.CharField(
        source="initial.public_id",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="The model that it began with, of the same team.",
    )
    picture_url = serializers.SerializerMethodField(
        help_text="Faces it has not learnt from: the mouth cut out, drawn, filmed; while it learns, as it draws now."
    )

    class Meta:
        model = MouthModel
        fields = [
            *["id", "footage", "presenter", "state", "stage", "percent", "step", "steps", "eta_s", "psnr"],
            *[*WHY, "reason", "in_use", "automatic", "engine", "identity", "size", "figures", "failed"],
            *["initial", "borrowed", "picture_url", "created_at", "started_at", "analysed_at", "archived_at"],
        ]
        read_only_fields = fields

    def get_percent(self, model: MouthModel) -> int:
        return 100 if model.is_usable else percent_of(model)

    def get_in_use(self, model: MouthModel) -> bool:
        return mouths.draws(model)

    def get_picture_url(self, model: MouthModel) -> str | None:
        return media_url(model.picture, "mouths.jpg")


class MouthModelNew(serializers.Serializer):
    footage = serializers.CharField(max_length=16)


class MouthModelLogSerializer(serializers.Serializer):
    """The end of the log, as far as it is kept."""

    log = LogField()
    log_end = serializers.IntegerField(help_text="Characters that were ever written.")


class VersionSerializer(serializers.ModelSerializer):
    id = IdField()
    batch = serializers.CharField(source="job.batch.public_id", default=None, allow_null=True, read_only=True)
    project = IdField("deliverable.project")
    presenter = IdField("deliverable.presenter")
    script = IdField("deliverable.script")
    language = serializers.CharField(source="deliverable.language", read_only=True)
    instead_title = serializers.SerializerMethodField(
        help_text="Why it was not made as its preset asks; empty where it was."
    )
    instead_detail = serializers.SerializerMethodField(help_text="What to do about that; empty where it was.")
    published = serializers.SerializerMethodField()
    size = serializers.IntegerField(source="video.size", default=None, allow_null=True, read_only=True)
    sha256 = serializers.CharField(source="video.sha256", default=None, allow_null=True, read_only=True)
    download_url = serializers.SerializerMethodField()

    class Meta:
        model = RenderVersion
        fields = [
            *["id", "project", "presenter", "script", "language", "batch", "number", "published", "width", "height"],
            *[
                "fps",
                "duration_s",
                "quality",
                "engine",
                "base",
                "weights",
                "tracker",
                "mouths",
                "drawn_by",
                "instead",
                "instead_title",
                "instead_detail",
                "tier",
                "preset",
                "size",
                "sha256",
                "download_url",
                "video_removed_at",
                "created_at",
            ],
        ]

    def get_instead_title(self, version: RenderVersion) -> str:
        return said(version.instead)[0]

    def get_instead_detail(self, version: RenderVersion) -> str:
        return said(version.instead)[1]

    def get_published(self, version: RenderVersion) -> bool:
        return version.deliverable.published_id == version.pk

    def get_download_url(self, version: RenderVersion) -> str | None:
        """Null, like size and sha256, when the team's retention rule has removed the video."""
        return f"{media_url(version.video, f'v{version.number}.mp4')}?download" if version.video else None


class ExportSerializer(WhySerializer, serializers.ModelSerializer):
    id = IdField()
    team = IdField("team")
    project = IdField("project")
    download_url = serializers.SerializerMethodField()

    class Meta:
        model = Export
        fields = [
            *["id", "team", "project", "name", "state", "done", "total", *WHY, "download_url"],
            *["created_at", "finished_at"],
        ]

    def get_download_url(self, export: Export) -> str | None:
        url = media_url(export.blob, export.name)
        return None if url is None else f"{url}?download"


class ExportNew(serializers.Serializer):
    """Versions, or what cells show; with neither, everything that is published."""

    project = serializers.CharField(max_length=16)
    versions = Ids(required=False)
    cells = Cells(required=False)
