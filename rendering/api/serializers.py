"""How work and its results look to a program."""

from __future__ import annotations

from rest_framework import serializers

from projects.api.serializers import IdField, Ids, media_url
from rendering.models import Export, RenderBatch, RenderJob, RenderVersion

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
    state = serializers.CharField()
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


class JobSerializer(serializers.ModelSerializer):
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
            *["attempts", "max_attempts", "error_code", "version", "created_at", "started_at", "finished_at"],
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


class BatchNew(serializers.Serializer):
    """Without ``cells``: all that nothing was made for yet."""

    project = serializers.CharField(max_length=16)
    cells = serializers.ListField(
        child=serializers.CharField(max_length=60, help_text=KEY), required=False, max_length=5000
    )
    preset = serializers.CharField(max_length=16, required=False)


class VersionSerializer(serializers.ModelSerializer):
    id = IdField()
    project = IdField("deliverable.project")
    presenter = IdField("deliverable.presenter")
    script = IdField("deliverable.script")
    language = serializers.CharField(source="deliverable.language", read_only=True)
    published = serializers.SerializerMethodField()
    size = serializers.IntegerField(source="video.size", read_only=True)
    sha256 = serializers.CharField(source="video.sha256", read_only=True)
    download_url = serializers.SerializerMethodField()

    class Meta:
        model = RenderVersion
        fields = [
            *["id", "project", "presenter", "script", "language", "number", "published", "width", "height", "fps"],
            *["duration_s", "quality", "engine", "tier", "preset", "size", "sha256", "download_url", "created_at"],
        ]

    def get_published(self, version: RenderVersion) -> bool:
        return version.deliverable.published_id == version.pk

    def get_download_url(self, version: RenderVersion) -> str:
        return f"{media_url(version.video, f'v{version.number}.mp4')}?download"


class ExportSerializer(serializers.ModelSerializer):
    id = IdField()
    team = IdField("team")
    project = IdField("project")
    download_url = serializers.SerializerMethodField()

    class Meta:
        model = Export
        fields = [
            *["id", "team", "project", "name", "state", "done", "total", "error_code", "download_url"],
            *["created_at", "finished_at"],
        ]

    def get_download_url(self, export: Export) -> str | None:
        url = media_url(export.blob, export.name)
        return None if url is None else f"{url}?download"


class ExportNew(serializers.Serializer):
    """Versions, or what cells show; with neither, everything that is published."""

    project = serializers.CharField(max_length=16)
    versions = Ids(required=False)
    cells = serializers.ListField(
        child=serializers.CharField(max_length=60, help_text=KEY), required=False, max_length=5000
    )
