"""Figures of the rendering room as people write and read them."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from rendering.execution.catalogue import TEXT_FOLLOWED
from rendering.models import RenderVersion
from rendering.selectors import BatchView, CellState, CellView, Counts, JobView, stage_label
from rendering.selectors.logs import log_for_team

register = template.Library()

GOOD_SYNC = 0.5
FAIR_SYNC = 0.3


@register.filter
def remaining(seconds: float | None) -> str:
    """An honest estimate is a round one: ``about 4 minutes``. Not known -> empty."""
    if seconds is None:
        return ""
    if seconds < 10:
        return _("a few seconds")
    if seconds < 55:
        return _("less than a minute")
    minutes = round(seconds / 60) or 1
    if minutes < 60:
        return ngettext("about %(n)d minute", "about %(n)d minutes", minutes) % {"n": minutes}
    hours = round(minutes / 60)
    return ngettext("about %(n)d hour", "about %(n)d hours", hours) % {"n": hours}


@register.filter
def sync_word(score: float | None) -> str:
    """What a sync score means; the figure itself is shown beside it."""
    if score is None:
        return _("not measured")
    if score >= GOOD_SYNC:
        return pgettext("lip-sync", "good")
    return pgettext("lip-sync", "fair") if score >= FAIR_SYNC else pgettext("lip-sync", "weak")


@register.filter
def sync_level(score: float | None) -> str:
    if score is None:
        return "none"
    return "good" if score >= GOOD_SYNC else "fair" if score >= FAIR_SYNC else "weak"


@register.filter
def hundredths(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


@dataclass(frozen=True)
class Figure:
    label: str
    value: str
    meaning: str


@register.filter
def quality_figures(version: RenderVersion) -> list[Figure]:
    """What the check measured on the finished video, in plain words."""
    quality = version.quality
    figures = []
    if "sync" in quality:
        sync = quality["sync"]
        figures.append(Figure(_("Lip-sync"), hundredths(sync) or "–", sync_word(sync)))
    if quality.get("offset_ms") is not None:
        offset = round(quality["offset_ms"])
        meaning = _("in time") if abs(offset) <= 40 else _("sound late") if offset > 0 else _("sound early")
        figures.append(Figure(_("Sound against mouth"), f"{offset:+d} ms" if offset else "0 ms", meaning))
    if quality.get("text_followed") is not None:
        said = quality["text_followed"]
        meaning = _("lips close on p, b and m") if said >= TEXT_FOLLOWED else _("too few; lips follow the sound alone")
        figures.append(Figure(_("Words found in the take"), f"{100 * said:.0f} %", meaning))
    for key, label, low, high, worse, better in (
        ("flicker", _("Flicker"), 0.9, 1.1, _("more than filmed"), _("less than filmed")),
        ("sharpness", _("Sharpness of the mouth"), 0.85, 1.15, _("sharper than filmed"), _("softer than filmed")),
    ):
        value = quality.get(key)
        if value is not None:
            meaning = better if value < low else worse if value > high else _("as filmed")
            figures.append(Figure(label, f"{100 * value:.0f} %", meaning))
    if "longest_freeze_s" in quality:
        freeze = quality["longest_freeze_s"]
        figures.append(Figure(_("Longest standstill"), f"{freeze:.1f} s", _("none to see") if freeze < 0.5 else ""))
    if kept := quality.get("frames_kept"):
        figures.append(Figure(_("Frames left as filmed"), str(kept), _("the face could not be followed in them")))
    return figures


@register.filter
def total_seconds(version: RenderVersion) -> float:
    """How long making the version took."""
    return float(sum(version.seconds.values()))


@register.filter
def stale_words(reasons: tuple[str, ...]) -> str:
    words = {
        "footage": _("the footage has changed"),
        "tracker": _("its face has been followed anew, in another way"),
        "take": _("the take has changed"),
        "face": _("another face was chosen"),
        "words": _("the words of the take were written down or corrected since"),
        "engine": _("a newer engine is installed"),
    }
    return _(", ").join(words[reason] for reason in reasons if reason in words)


@dataclass(frozen=True)
class Step:
    label: str
    state: str
    """past, now or next"""


ANALYSIS_STEPS = ("probe", "track", "listen", "learn", "profile")
RENDER_STEPS = ("prepare", "listen", "lip-sync", "compose", "check")


@register.filter
def steps(cell: CellView) -> list[Step]:
    """The way from two files to a video, and where on it the cell is. Empty when nothing is being worked on."""
    order = {CellState.WAITING: ANALYSIS_STEPS, CellState.RUNNING: RENDER_STEPS}.get(cell.state, ())
    at = order.index(cell.stage) if cell.stage in order else len(order) if cell.stage == "publish" else 0
    return [
        Step(stage_label(stage), "past" if number < at else "now" if number == at else "next")
        for number, stage in enumerate(order)
    ]


@dataclass(frozen=True)
class Segment:
    state: str
    x: int
    width: int


@register.filter
def segments(counts: Counts) -> list[Segment]:
    """The board's cells as runs of one line, finished first; every cell is one unit wide."""
    shown = (
        ("done", counts.of(CellState.DONE)),
        ("stale", counts.of(CellState.STALE)),
        ("failed", counts.of(CellState.FAILED, CellState.REFUSED)),
        ("running", counts.of(CellState.RUNNING)),
        ("queued", counts.of(CellState.QUEUED, CellState.WAITING)),
        ("held", counts.of(CellState.HELD)),
    )
    runs, x = [], 0
    for state, width in shown:
        if width:
            runs.append(Segment(state, x, width))
            x += width
    return runs


@register.filter
def batch_words(view: BatchView) -> str:
    """``7 of 30 done, 2 being rendered, 1 failed``"""
    parts = [_("%(done)d of %(total)d done") % {"done": view.done, "total": view.total}]
    if view.running:
        parts.append(ngettext("%(n)d being rendered", "%(n)d being rendered", view.running) % {"n": view.running})
    if view.held:
        parts.append(ngettext("%(n)d on hold", "%(n)d on hold", view.held) % {"n": view.held})
    if view.failed:
        parts.append(ngettext("%(n)d failed", "%(n)d failed", view.failed) % {"n": view.failed})
    return _(", ").join(parts)


@register.filter
def last_log(view: JobView) -> str:
    """Of a job's last try, as its team may read it."""
    return log_for_team(view.attempts[-1]) if view.attempts else ""


@register.filter
def shape(version: RenderVersion) -> str:
    return "portrait" if version.height > version.width else "landscape"
