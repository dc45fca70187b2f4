"""What the library's templates need: addresses of media, waveforms as shapes, and figures as people write them."""

from __future__ import annotations

from collections.abc import Sequence

from django import template
from django.utils.translation import gettext_lazy as _

from projects import labels, languages, media, problems, sentences
from projects.models import Footage, MediaBlob

register = template.Library()


@register.simple_tag
def media_url(blob: MediaBlob | None, name: str, *, download: bool = False) -> str:
    """``{% media_url blob "poster.jpg" %}``; empty without a blob."""
    return media.media_url(blob, name, download=download) if blob is not None else ""


@register.filter(is_safe=True)
def joined(text: str) -> str:
    """``{% filter joined %}one sentence and another{% endfilter %}``: as the page's language puts them together."""
    return sentences.without_gaps(text)


@register.filter
def named(name: str, value: object) -> str:
    """``name: value``."""
    return sentences.named(name, value)


@register.filter
def language_name(tag: str) -> str:
    return languages.name(tag)


@register.filter
def action_label(action: str) -> str:
    return str(labels.ACTIONS.get(action, action))


@register.filter
def clock(seconds: float | None) -> str:
    """75.2 -> ``1:15``; nothing known -> empty."""
    if seconds is None:
        return ""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@register.filter
def rate(fps: float | None) -> str:
    """29.97003 -> ``29.97``, 30.0 -> ``30``."""
    return "" if fps is None else f"{fps:.2f}".rstrip("0").rstrip(".")


@register.filter
def waveform_path(peaks: Sequence[int]) -> str:
    """Peaks (0 to 255) as a closed SVG path, mirrored about y = 50, one unit wide per peak."""
    if not peaks:
        return ""
    heights = [max(1, min(255, int(peak))) / 255 * 48 for peak in peaks]
    top = " ".join(f"{x},{50 - height:.1f}" for x, height in enumerate(heights))
    bottom = " ".join(f"{x},{50 + height:.1f}" for x, height in reversed(list(enumerate(heights))))
    return f"M{top} L{bottom} Z"


@register.filter
def figure(value: float | None) -> str:
    """A measured figure with as many digits as mean something."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


FIGURES = {
    "cv_open": _("Match of sound and mouth"),
    "io_px": _("Distance of the eyes, pixels"),
    "yaw_p90": _("Turned aside, degrees"),
    "tracked": _("Face followed, percent of frames"),
    "speech_s": _("Speech, seconds"),
    "offset_ms": _("Sound behind picture, ms"),
}
"""The figures that mean something to people; the others are the engine's own."""
UNSCORED = {"short_footage", "little_speech", "no_audio"}
"""Findings after which the match of sound and mouth says nothing."""
SHARES = {"tracked"}
"""Kept as 0..1, shown as percent."""


@register.filter
def named_figures(footage: Footage) -> list[tuple[str, str]]:
    """Label and figure of what was measured. A match that cannot be told from chance is not shown as a score."""
    figures = dict(footage.figures)
    if any(finding["code"] in UNSCORED for finding in footage.findings):
        figures.pop("cv_open", None)
    known = ((key, label) for key, label in FIGURES.items() if figures.get(key) is not None)
    return [(str(label), figure(figures[key] * (100 if key in SHARES else 1))) for key, label in known]


@register.simple_tag
def problem(code: str) -> problems.Problem:
    """An entry of the catalogue: what happened and what to do."""
    return problems.get(code)
