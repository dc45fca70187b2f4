"""How to render: named sets of the engine's options."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.base import Kept
from projects.models.teams import Team


class Preset(Kept):
    """A team's way of rendering. A batch keeps a snapshot, so changing a preset never changes what was made."""

    class Backend(models.TextChoices):
        """Ways of making the mouth."""

        AUTO = "auto", _("Automatic")
        EXEMPLAR = "exemplar", _("The presenter's own mouths (exemplar)")
        NEURAL = "neural", _("Drawn by the presenter's own network (mouth model)")
        WAV2LIP = "wav2lip", _("Drawn by the operator's network (Wav2Lip)")

    class WhenShorter(models.TextChoices):
        CUT = "cut", _("Cut the video to the take")
        REST = "rest", _("Keep the footage's length, mouth at rest")

    class Speed(models.TextChoices):
        ULTRAFAST = "ultrafast", _("Fastest, larger files")
        VERYFAST = "veryfast", _("Fast")
        FAST = "fast", _("Balanced")
        MEDIUM = "medium", _("Slow, smaller files")

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="presets")
    name = models.CharField(_("name"), max_length=80)
    is_default = models.BooleanField(_("default"), default=False)
    backend = models.CharField(
        _("way of making the mouth"), max_length=40, choices=Backend.choices, default=Backend.AUTO
    )
    enhance = models.FloatField(
        _("enhancement"), default=0.0, db_default=0.0, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    amplitude = models.FloatField(
        _("mouth opening"), default=1.0, validators=[MinValueValidator(0.5), MaxValueValidator(1.5)]
    )
    when_shorter = models.CharField(
        _("take shorter than footage"), max_length=4, choices=WhenShorter.choices, default=WhenShorter.CUT
    )
    crf = models.PositiveSmallIntegerField(
        _("quality"), default=18, validators=[MinValueValidator(12), MaxValueValidator(30)]
    )
    speed = models.CharField(_("encoding"), max_length=10, choices=Speed.choices, default=Speed.VERYFAST)
    normalize_loudness = models.BooleanField(_("even out loudness"), default=False)

    class Meta:
        ordering = ["-is_default", "name", "pk"]
        verbose_name = _("preset")
        verbose_name_plural = _("presets")
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="preset_name_once_per_team"),
            models.UniqueConstraint(
                fields=["team"], condition=models.Q(is_default=True), name="preset_one_default_per_team"
            ),
            models.CheckConstraint(
                condition=models.Q(amplitude__gte=0.5, amplitude__lte=1.5), name="preset_amplitude_in_range"
            ),
            models.CheckConstraint(
                condition=models.Q(enhance__gte=0.0, enhance__lte=1.0), name="preset_enhance_in_range"
            ),
            models.CheckConstraint(condition=models.Q(crf__gte=12, crf__lte=30), name="preset_crf_in_range"),
        ]

    def __str__(self) -> str:
        return self.name

    def snapshot(self) -> dict[str, object]:
        """The engine's options, as kept with a batch (fields of the engine's ``RenderOptions``).

        Automatic is written as :data:`BEST`; what it means for footage with a mouth model is decided for each job
        (:func:`drawn_with`).
        """
        enhanced = {"enhance": self.enhance} if self.enhance and self.backend in DRAWN_BY_NETWORKS else {}
        return {
            **enhanced,  # what was made without it keeps its fingerprint
            "backend": BEST.value if self.backend == self.Backend.AUTO else self.backend,
            "amplitude": self.amplitude,
            "when_shorter": self.when_shorter,
            "crf": self.crf,
            "speed": self.speed,
            "normalize_loudness": self.normalize_loudness,
        }

    @property
    def is_automatic(self) -> bool:
        return self.backend == self.Backend.AUTO


BEST = Preset.Backend.EXEMPLAR
"""What automatic takes for footage without a good mouth model: it looks best and needs nothing from anybody."""


def drawn_with(options: Mapping[str, object], *, automatic: bool, has_mouths: bool) -> dict[str, object]:
    """A preset's snapshot as the engine gets it for one piece of footage."""
    return {**options, "backend": Preset.Backend.NEURAL.value} if automatic and has_mouths else dict(options)


DRAWN_BY_NETWORKS = (Preset.Backend.WAV2LIP, Preset.Backend.NEURAL)
"""Ways whose mouths can be enhanced."""
ENHANCED_WAV2LIP, ENHANCED_NEURAL = (f"{backend.value}+enhancer" for backend in DRAWN_BY_NETWORKS)
"""What a worker says that it can do when it also has a model to enhance such mouths with."""


def ability(options: Mapping[str, object]) -> str:
    """What a worker must be able to do for a preset's snapshot."""
    backend = str(options.get("backend", ""))
    return f"{backend}+enhancer" if options.get("enhance") and backend in DRAWN_BY_NETWORKS else backend
