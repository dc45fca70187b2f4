"""What lists may be narrowed to: public ids, states, whether something is in the archive, words of a name."""

from __future__ import annotations

import django_filters as filters

from projects.models import AnalysisState, AudioTake, Footage, Presenter, Project, Script


class Kept(filters.FilterSet):
    team = filters.CharFilter(field_name="team__public_id")
    archived = filters.BooleanFilter(field_name="archived_at", lookup_expr="isnull", exclude=True)


class PresenterFilter(Kept):
    search = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Presenter
        fields: list[str] = []


class ScriptFilter(Kept):
    search = filters.CharFilter(field_name="title", lookup_expr="icontains")

    class Meta:
        model = Script
        fields: list[str] = []


class ProjectFilter(Kept):
    search = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Project
        fields: list[str] = []


class FootageFilter(Kept):
    team = filters.CharFilter(field_name="presenter__team__public_id")
    presenter = filters.CharFilter(field_name="presenter__public_id")
    state = filters.ChoiceFilter(choices=AnalysisState.choices)

    class Meta:
        model = Footage
        fields: list[str] = []


class TakeFilter(Kept):
    team = filters.CharFilter(field_name="script_version__script__team__public_id")
    script = filters.CharFilter(field_name="script_version__script__public_id")
    language = filters.CharFilter(field_name="script_version__language")
    state = filters.ChoiceFilter(choices=AnalysisState.choices)

    class Meta:
        model = AudioTake
        fields: list[str] = []
