"""What lists of work and results may be narrowed to."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import F, QuerySet

from projects.api.filters import Choice, Flag, Narrowed
from projects.models import AnalysisState, MouthModel
from rendering.models import Export, JobState, Preset, RenderBatch, RenderJob, RenderVersion

TEAM, PROJECT = "The id of a team.", "The id of a project."
PRESENTER, SCRIPT = "The id of a presenter.", "The id of a script."


class PresetFilter(Narrowed):
    team = filters.CharFilter(field_name="team__public_id", help_text=TEAM)

    class Meta(Narrowed.Meta):
        model = Preset


class BatchFilter(Narrowed):
    team = filters.CharFilter(field_name="team__public_id", help_text=TEAM)
    project = filters.CharFilter(field_name="project__public_id", help_text=PROJECT)

    class Meta(Narrowed.Meta):
        model = RenderBatch


class MouthModelFilter(Narrowed):
    team = filters.CharFilter(field_name="footage__presenter__team__public_id", help_text=TEAM)
    presenter = filters.CharFilter(field_name="footage__presenter__public_id", help_text=PRESENTER)
    footage = filters.CharFilter(field_name="footage__public_id", help_text="The id of footage.")
    state = Choice(choices=AnalysisState.choices)

    class Meta(Narrowed.Meta):
        model = MouthModel


class ExportFilter(BatchFilter):
    state = Choice(choices=Export.State.choices)

    class Meta(Narrowed.Meta):
        model = Export


class JobFilter(Narrowed):
    team = filters.CharFilter(field_name="team__public_id", help_text=TEAM)
    project = filters.CharFilter(field_name="deliverable__project__public_id", help_text=PROJECT)
    presenter = filters.CharFilter(field_name="deliverable__presenter__public_id", help_text=PRESENTER)
    script = filters.CharFilter(field_name="deliverable__script__public_id", help_text=SCRIPT)
    batch = filters.CharFilter(field_name="batch__public_id", help_text="The id of a batch.")
    state = Choice(choices=JobState.choices)

    class Meta(Narrowed.Meta):
        model = RenderJob


class VersionFilter(Narrowed):
    team = filters.CharFilter(field_name="deliverable__project__team__public_id", help_text=TEAM)
    project = filters.CharFilter(field_name="deliverable__project__public_id", help_text=PROJECT)
    presenter = filters.CharFilter(field_name="deliverable__presenter__public_id", help_text=PRESENTER)
    script = filters.CharFilter(field_name="deliverable__script__public_id", help_text=SCRIPT)
    language = filters.CharFilter(field_name="deliverable__language", help_text="A language tag, such as en.")
    batch = filters.CharFilter(field_name="job__batch__public_id", help_text="The id of a batch.")
    published = Flag(method="by_pointer", help_text="Only what is, or is not, published.")

    class Meta(Narrowed.Meta):
        model = RenderVersion

    def by_pointer(self, rows: QuerySet[Any], _name: str, published: bool) -> QuerySet[Any]:
        pointed_at = {"deliverable__published": F("pk")}
        return rows.filter(**pointed_at) if published else rows.exclude(**pointed_at)
