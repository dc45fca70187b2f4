"""What lists may be narrowed to: public ids, states, whether something is in the archive, words of a name."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django import forms
from django.core.exceptions import ValidationError
from django_filters.fields import ChoiceField
from drf_spectacular.utils import extend_schema_field

from projects.models import AnalysisState, AudioTake, Footage, Presenter, Project, Script


class _NotNothing(forms.Field):
    """Named, it has a value: ``?state=`` is a mistake, not everything."""

    def clean(self, value: Any) -> Any:
        if value == "":
            raise ValidationError(self.error_messages["invalid_choice"], params={"value": value})
        return super().clean(value)


class _OneOf(_NotNothing, ChoiceField):
    pass


class _TrueOrFalse(_NotNothing, forms.TypedChoiceField):
    pass


class Choice(filters.ChoiceFilter):
    field_class = _OneOf


@extend_schema_field(bool)
class Flag(filters.TypedChoiceFilter):
    """``true`` or ``false``; anything else is refused rather than taken for neither."""

    field_class = _TrueOrFalse

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=[("true", "true"), ("false", "false")], coerce=lambda text: text == "true", **options)


class Narrowed(filters.FilterSet):
    class Meta:
        fields: list[str] = []


class Kept(Narrowed):
    team = filters.CharFilter(field_name="team__public_id", help_text="The id of a team.")
    archived = Flag(
        field_name="archived_at", lookup_expr="isnull", exclude=True, help_text="Only what is, or is not, put away."
    )


class PresenterFilter(Kept):
    search = filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="Part of the name.")

    class Meta(Narrowed.Meta):
        model = Presenter


class ScriptFilter(Kept):
    search = filters.CharFilter(field_name="title", lookup_expr="icontains", help_text="Part of the title.")

    class Meta(Narrowed.Meta):
        model = Script


class ProjectFilter(Kept):
    search = filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="Part of the name.")

    class Meta(Narrowed.Meta):
        model = Project


class FootageFilter(Kept):
    team = filters.CharFilter(field_name="presenter__team__public_id", help_text="The id of a team.")
    presenter = filters.CharFilter(field_name="presenter__public_id", help_text="The id of a presenter.")
    state = Choice(choices=AnalysisState.choices)

    class Meta(Narrowed.Meta):
        model = Footage


class TakeFilter(Kept):
    team = filters.CharFilter(field_name="script_version__script__team__public_id", help_text="The id of a team.")
    script = filters.CharFilter(field_name="script_version__script__public_id", help_text="The id of a script.")
    language = filters.CharFilter(field_name="script_version__language", help_text="A language tag, such as en.")
    state = Choice(choices=AnalysisState.choices)

    class Meta(Narrowed.Meta):
        model = AudioTake
