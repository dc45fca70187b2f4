"""Forms: what people type, before a service is asked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from rendering.models import Preset
from rendering.services import farm


class PresetForm(forms.ModelForm):
    """A team's way of rendering. Saving is the service's work; this only checks and shows."""

    class Meta:
        model = Preset
        fields = ("name", "amplitude", "when_shorter", "normalize_loudness", "crf", "speed")
        help_texts = {
            "amplitude": _("1 is the presenter's own; 0.5 is held back, 1.5 is lively."),
            "when_shorter": _("What happens to the rest of the footage when the take ends before it."),
            "normalize_loudness": _("Brings every take to -16 LUFS, so that videos sit well beside each other."),
            "crf": _("12 is the best and largest, 30 the smallest. 18 cannot be told from the original."),
            "speed": _("A slower encoding makes smaller files of the same quality."),
        }
        widgets = {
            "amplitude": forms.NumberInput(attrs={"min": "0.5", "max": "1.5", "step": "0.05"}),
            "crf": forms.NumberInput(attrs={"min": "12", "max": "30", "step": "1"}),
        }

    @property
    def options(self) -> dict[str, Any]:
        """The engine's options of a valid form, as the services take them."""
        return {name: value for name, value in self.cleaned_data.items() if name != "name"}

    def _get_validation_exclusions(self) -> set[str]:
        # The team is not a field of the form; a taken name is the service's to refuse.
        return {*super()._get_validation_exclusions(), "team"}  # type: ignore[misc]


class ShareForm(forms.Form):
    """A team's share of the machines."""

    weight = forms.IntegerField(
        label=_("Weight"),
        min_value=farm.WEIGHTS[0],
        max_value=farm.WEIGHTS[-1],
        help_text=_("A team of weight 2 gets two turns for one of a team of weight 1."),
    )
    max_running = forms.IntegerField(
        label=_("Jobs at once"),
        min_value=farm.LIMITS[0],
        max_value=farm.LIMITS[-1],
        required=False,
        help_text=_("Empty: no limit."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=farm.REASON_LIMIT,
        required=False,
        help_text=_("Optional. It goes into the audit log."),
    )


class RetryForm(forms.Form):
    """How often and how soon a team's jobs are tried again."""

    max_attempts = forms.IntegerField(
        label=_("Tries of a job"),
        min_value=farm.ATTEMPTS[0],
        max_value=farm.ATTEMPTS[-1],
        required=False,
        help_text=_("For jobs that are ordered from now on. Empty: as the installation says."),
    )
    backoff_seconds = forms.IntegerField(
        label=_("Seconds of rest after the first failed try"),
        min_value=farm.BACKOFFS[0],
        max_value=farm.BACKOFFS[-1],
        required=False,
        help_text=_("Doubled after each further one, ten minutes at most. Empty: as the installation says."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=farm.REASON_LIMIT,
        required=False,
        help_text=_("Optional. It goes into the audit log."),
    )
