"""Forms: what people type, before a service is asked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from projects.models import TeamLimits
from projects.problems import get
from projects.sentences import joined
from rendering.capabilities import weights_for
from rendering.models import DRAWN_BY_NETWORKS, Preset, RetentionRule
from rendering.services import farm
from rendering.services.retention import DAYS


class Ways(forms.RadioSelect):
    """Each with a sentence below it, which the page gives the id ``way-NAME``."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        return option | {"attrs": option["attrs"] | {"aria-describedby": f"way-{value}"}}


class PresetForm(forms.ModelForm):
    """A team's way of rendering. Saving is the service's work; this only checks and shows."""

    class Meta:
        model = Preset
        fields = ("name", "backend", "enhance", "amplitude", "when_shorter", "normalize_loudness", "crf", "speed")
        help_texts = {
            "enhance": _("For mouths that a network draws: 0 leaves them as they are, 1 adds all that the model adds."),
            "amplitude": _("1 is the presenter's own; 0.5 is held back, 1.5 is lively."),
            "when_shorter": _("What happens to the rest of the footage when the take ends before it."),
            "normalize_loudness": _("Brings every take to -16 LUFS, so that videos sit well beside each other."),
            "crf": _("12 is the best and largest, 30 the smallest. 18 cannot be told from the original."),
            "speed": _("A slower encoding makes smaller files of the same quality."),
        }
        widgets = {
            "backend": Ways,
            "enhance": forms.NumberInput(attrs={"min": "0", "max": "1", "step": "0.05"}),
            "amplitude": forms.NumberInput(attrs={"min": "0.5", "max": "1.5", "step": "0.05"}),
            "crf": forms.NumberInput(attrs={"min": "12", "max": "30", "step": "1"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = self.instance.backend if self.instance.pk else ""
        usable = [name for name in Preset.Backend if name == kept or not weights_for({"backend": name}).lacking]
        self.fields["backend"].required = False  # left out: as it is
        self.fields["backend"].choices = [(name.value, name.label) for name in usable]  # type: ignore[attr-defined]
        if not self.instance.pk:
            self.initial["backend"] = Preset.Backend.AUTO.value
        self._offer_enhancement()
        for name in {"enhance", "amplitude"} & self.fields.keys():
            self.initial[name] = f"{self.get_initial_for_field(self.fields[name], name):g}"

    def _offer_enhancement(self) -> None:
        """Where some machine has a model for it, with its licence's notice, or the preset asks for it already."""
        able = not all(weights_for({"backend": way.value, "enhance": 1.0}).lacking for way in DRAWN_BY_NETWORKS)
        if not able and not self.instance.enhance:
            del self.fields["enhance"]
            return
        field, notice = self.fields["enhance"], get("supplied_enhancer")
        field.required = False  # left out: as it is
        field.help_text = joined(field.help_text, notice.sentence, notice.remedy)

    @property
    def options(self) -> dict[str, Any]:
        """The engine's options of a valid form, as the services take them."""
        return {name: value for name, value in self.cleaned_data.items() if name != "name" and value not in ("", None)}

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


GB, MB = 1 << 30, 1 << 20


def _reason() -> forms.CharField:
    return forms.CharField(
        label=_("Reason"),
        max_length=farm.REASON_LIMIT,
        required=False,
        help_text=_("Optional. It goes into the audit log."),
    )


class LimitsForm(forms.Form):
    """In units that people say: GB, MB, minutes."""

    storage_gb = forms.FloatField(label=_("Storage in GB"), min_value=0.01, max_value=1_000_000, required=False)
    render_minutes = forms.IntegerField(
        label=_("Render minutes a month"), min_value=1, max_value=10_000_000, required=False
    )
    file_mb = forms.FloatField(label=_("Largest file in MB"), min_value=1, max_value=1_000_000, required=False)
    take_minutes = forms.FloatField(
        label=_("Longest take in minutes"), min_value=0.02, max_value=24 * 60, required=False
    )
    reason = _reason()

    def __init__(self, data: Any = None, *, limits: TeamLimits, auto_id: str) -> None:
        super().__init__(
            data,
            auto_id=auto_id,
            initial={
                "storage_gb": limits.storage_bytes and round(limits.storage_bytes / GB, 3),
                "render_minutes": limits.render_minutes,
                "file_mb": limits.file_bytes and round(limits.file_bytes / MB, 3),
                "take_minutes": limits.take_seconds and round(limits.take_seconds / 60, 3),
            },
        )
        none = gettext("no limit")
        storage, minutes = settings.TEAM_STORAGE_BYTES, settings.TEAM_RENDER_MINUTES
        seconds = settings.TEAM_TAKE_SECONDS
        footage, take = settings.UPLOAD_MAX_FOOTAGE_BYTES, settings.UPLOAD_MAX_TAKE_BYTES
        defaults = {
            "storage_gb": filesizeformat(storage) if storage else none,
            "render_minutes": str(minutes) if minutes else none,
            "file_mb": gettext("footage %(footage)s, takes %(take)s")
            % {"footage": filesizeformat(footage), "take": filesizeformat(take)},
            "take_minutes": f"{seconds / 60:g}" if seconds else none,
        }
        for name, default in defaults.items():
            field = self.fields[name]
            field.help_text = gettext("Empty: as the installation says (%(default)s).") % {"default": default}
            field.widget.attrs["step"] = "1" if name == "render_minutes" else "any"

    def limits(self) -> dict[str, Any]:
        """What ``services.limits.set_limits`` takes."""
        told = self.cleaned_data

        def times(name: str, unit: int) -> int | None:
            return None if told[name] is None else max(1, round(told[name] * unit))

        return {
            "storage_bytes": times("storage_gb", GB),
            "render_minutes": told["render_minutes"],
            "file_bytes": times("file_mb", MB),
            "take_seconds": times("take_minutes", 60),
            "reason": told["reason"],
        }


def _days(label: Any, help_text: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=DAYS[0], max_value=DAYS[-1], required=False, help_text=help_text)


class RetentionForm(forms.Form):
    """Days; empty: for ever."""

    version_days = _days(
        _("Superseded versions"),
        _("Days since a newer one was made. They lose their video and stay in the history; published ones are kept."),
    )
    export_days = _days(_("ZIPs"), _("Days since they were packed. What is in them stays."))
    preview_days = _days(
        _("Previews of footage"), _("Days since somebody looked at them. Another analysis makes them again.")
    )
    analysis_days = _days(
        _("Analyses of footage"), _("Days since they were rendered from. They are made again when they are needed.")
    )
    mouth_days = _days(
        _("Mouth models"),
        _("Days since they were drawn with. Without one the presenter's own mouths are used until it is learnt again."),
    )
    work_days = _days(
        _("Work files"), _("Days since unfinished uploads were begun (three at the most) and logs of jobs ended.")
    )
    reason = _reason()

    def __init__(self, data: Any = None, *, rule: RetentionRule, auto_id: str) -> None:
        names = [name for name in self.base_fields if name != "reason"]
        super().__init__(data, auto_id=auto_id, initial={name: getattr(rule, name) for name in names})
        for name in names:
            self.fields[name].widget.attrs["placeholder"] = gettext("for ever")
