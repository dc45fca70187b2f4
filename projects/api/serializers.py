"""How what people keep looks to a program. Ids are the public ones."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from projects import problems, selectors
from projects.access import carried_by
from projects.models import (
    ApiToken,
    AudioTake,
    Footage,
    MediaBlob,
    Presenter,
    Project,
    Role,
    Script,
    ScriptVersion,
    Team,
)
from projects.services.presenters import NOTES_LIMIT

ANALYSIS = ["state", "stage", "progress", "error_code", "findings", "analysed_at"]
LEVELS = ("refused", "warning", "info")


class IdField(serializers.CharField):
    """The public id of what ``source`` points at."""

    def __init__(self, source: str = "", **options: Any) -> None:
        path = f"{source}.public_id" if source else "public_id"
        super().__init__(source=path, read_only=True, **options)


class Ids(serializers.ListField):
    child = serializers.CharField(max_length=16)

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=500, **options)


def media_url(blob: MediaBlob | None, name: str) -> str | None:
    """Where the bytes are, from this site's root; asked for with the same token."""
    return None if blob is None else reverse("projects:media", args=[blob.public_id, name])


class TokenSerializer(serializers.ModelSerializer):
    id = IdField()
    teams = serializers.SerializerMethodField(help_text="Ids of the teams it is for; null for all of the person's.")

    class Meta:
        model = ApiToken
        fields = ["id", "name", "scope", "teams", "created_at", "expires_at", "last_used_at"]

    def get_teams(self, token: ApiToken) -> list[str] | None:
        return None if token.all_teams else [team.public_id for team in token.teams.all()]


class MeSerializer(serializers.Serializer):
    email = serializers.CharField()
    is_operator = serializers.BooleanField(source="is_staff", help_text="May operate the farm.")
    token = serializers.SerializerMethodField(help_text="What the program came with; null for a browser's session.")

    @extend_schema_field(TokenSerializer(allow_null=True))
    def get_token(self, user: User) -> Any:
        token = carried_by(user)
        return None if token is None else TokenSerializer(token).data


class TeamSerializer(serializers.ModelSerializer):
    id = IdField()
    role = serializers.ChoiceField(Role.choices, read_only=True, help_text="The asker's.")

    class Meta:
        model = Team
        fields = ["id", "name", "role", "created_at"]


class TeamNew(serializers.Serializer):
    name = serializers.CharField(max_length=120)


class TeamChange(serializers.Serializer):
    name = serializers.CharField(max_length=120, required=False)


class PresenterSerializer(serializers.ModelSerializer):
    id = IdField()
    team = IdField("team")

    class Meta:
        model = Presenter
        fields = ["id", "team", "name", "notes", "archived_at", "created_at"]


class PresenterNew(serializers.Serializer):
    team = serializers.CharField(max_length=16)
    name = serializers.CharField(max_length=120)
    notes = serializers.CharField(max_length=NOTES_LIMIT, required=False, allow_blank=True, default="")


class PresenterChange(serializers.Serializer):
    name = serializers.CharField(max_length=120, required=False)
    notes = serializers.CharField(max_length=NOTES_LIMIT, required=False, allow_blank=True)


class Box(serializers.ListField):
    child = serializers.FloatField()

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=4, max_length=4, **options)


class Boxes(serializers.ListField):
    child = Box()


class FaceChoice(serializers.Serializer):
    face = serializers.IntegerField(min_value=0, max_value=99, help_text="Place in the footage's ``faces``, from 0.")


class FindingSerializer(serializers.Serializer):
    """One thing that a machine found in a file, the refusal first. Sentences are in the language of the request."""

    code = serializers.CharField()
    level = serializers.ChoiceField(LEVELS)
    figure = serializers.FloatField(allow_null=True, help_text="What was measured, if a figure belongs to it.")
    title = serializers.CharField(source="sentence", help_text="What was found.")
    detail = serializers.CharField(source="remedy", help_text="What to do.")


WHY = ["error_code", "error_title", "error_detail"]


class WhySerializer(serializers.Serializer):
    """Why something failed, with the sentences that belong to its ``error_code``, in the language of the request."""

    error_title = serializers.SerializerMethodField(help_text="What happened; empty where nothing failed.")
    error_detail = serializers.SerializerMethodField(help_text="What to do; empty where nothing failed.")

    def get_error_title(self, item: Any) -> str:
        return said(item.error_code)[0]

    def get_error_detail(self, item: Any) -> str:
        return said(item.error_code)[1]


def said(code: str) -> tuple[str, str]:
    """What happened and what to do, in the language of the request; empty without a code."""
    problem = problems.get(code)
    return (str(problem.sentence), str(problem.remedy)) if code else ("", "")


class AnalysedSerializer(serializers.ModelSerializer):
    """What a machine looks at before it can be used."""

    id = IdField()
    findings = serializers.SerializerMethodField()

    @extend_schema_field(FindingSerializer(many=True))
    def get_findings(self, item: Footage | AudioTake) -> Any:
        return FindingSerializer(selectors.findings(item), many=True).data


class FootageSerializer(AnalysedSerializer):
    presenter = IdField("presenter")
    faces = serializers.SerializerMethodField(
        help_text="x, y, width and height, in 0..1 of the poster, of each steady face, from left to right."
    )
    presenter_face = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Which of the faces is taken for the presenter's, from 0."
    )
    url = serializers.SerializerMethodField()
    poster_url = serializers.SerializerMethodField()

    class Meta:
        model = Footage
        fields = [
            *["id", "presenter", "name", *ANALYSIS, "width", "height", "fps", "duration_s", "has_audio", "tier"],
            *["faces", "presenter_face", "url", "poster_url", "archived_at", "created_at"],
        ]

    @extend_schema_field(Boxes)
    def get_faces(self, footage: Footage) -> list[list[float]]:
        return footage.faces or []

    def get_url(self, footage: Footage) -> str | None:
        return media_url(footage.blob, footage.name)

    def get_poster_url(self, footage: Footage) -> str | None:
        return media_url(footage.poster, "poster.jpg")


class ScriptSerializer(serializers.ModelSerializer):
    id = IdField()
    team = IdField("team")

    class Meta:
        model = Script
        fields = ["id", "team", "title", "archived_at", "created_at"]


class ScriptNew(serializers.Serializer):
    team = serializers.CharField(max_length=16)
    title = serializers.CharField(max_length=200)


class ScriptChange(serializers.Serializer):
    title = serializers.CharField(max_length=200, required=False)


class Words(serializers.Serializer):
    language = serializers.CharField(max_length=40)
    text = serializers.CharField(allow_blank=True)


class ScriptVersionSerializer(serializers.ModelSerializer):
    id = IdField()
    script = IdField("script")

    class Meta:
        model = ScriptVersion
        fields = ["id", "script", "language", "number", "text", "created_at"]


class TakeSerializer(AnalysedSerializer):
    script = IdField("script_version.script")
    language = serializers.CharField(source="script_version.language", read_only=True)
    url = serializers.SerializerMethodField()

    class Meta:
        model = AudioTake
        fields = [
            *["id", "script", "language", "name", "source", *ANALYSIS, "duration_s", "loudness_lufs", "peak_dbfs"],
            *["url", "archived_at", "created_at"],
        ]

    def get_url(self, take: AudioTake) -> str | None:
        return media_url(take.blob, take.name)


class ProjectSerializer(serializers.ModelSerializer):
    id = IdField()
    team = IdField("team")

    class Meta:
        model = Project
        fields = ["id", "team", "name", "file_name_template", "archived_at", "created_at"]


class BoardMembers(serializers.Serializer):
    presenters = Ids(required=False, default=list)
    scripts = Ids(required=False, default=list)


class ProjectNew(BoardMembers):
    team = serializers.CharField(max_length=16)
    name = serializers.CharField(max_length=120)


class ProjectChange(serializers.Serializer):
    name = serializers.CharField(max_length=120, required=False)
    file_name_template = serializers.CharField(max_length=200, required=False)
