"""Mouth models in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django import template
from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from projects import problems
from projects.models import Footage, MouthModel
from projects.selectors import AnalysedView, PresenterCard
from projects.sentences import joined
from projects.views.base import mark_of
from rendering.models import Preset, RenderVersion, WorkerNode
from rendering.selectors import mouths as selectors
from rendering.selectors.mouths import FarmMouths, Machines, MouthsView, Stand, Waits
from rendering.templatetags.board import remaining

register = template.Library()

STANDS: dict[Stand, str | Promise] = {
    Stand.RUNNING: gettext_lazy("Being learnt"),
    Stand.WAITING: gettext_lazy("Waiting for a machine"),
    Stand.READY: gettext_lazy("In use"),
    Stand.STALE: gettext_lazy("Out of date"),
    Stand.NOT_GOOD: gettext_lazy("Not good enough"),
    Stand.FAILED: gettext_lazy("Not learnt"),
    Stand.NONE: gettext_lazy("None yet"),
}
BADGES = {
    **{Stand.RUNNING: "running", Stand.WAITING: "queued", Stand.READY: "ready", Stand.STALE: "stale"},
    **{Stand.NOT_GOOD: "warning", Stand.FAILED: "warning", Stand.NONE: "empty"},
}
STAGES: dict[str, str | Promise] = {
    "fetch": gettext_lazy("Fetching the files"),
    "collect": gettext_lazy("Collecting the presenter's mouths"),
    "train": gettext_lazy("Learning to draw the mouths"),
    "measure": gettext_lazy("Measuring how good it is"),
    "publish": gettext_lazy("Storing"),
}
FAILED: dict[str, str | Promise] = {
    "usable_s": gettext_lazy("There is too little footage in which the whole face is seen from the front."),
    "psnr": gettext_lazy("Frames that it has not learnt from are not drawn truly enough."),
    "ssim": gettext_lazy("Lips and teeth are not shaped truly enough."),
    "own_opening": gettext_lazy("It does not open the mouth as it is told to."),
    "own_width": gettext_lazy("It does not move the corners of the mouth as it is told to."),
    "planned": gettext_lazy("The mouth does not follow the words closely enough."),
    "planned_lag": gettext_lazy("The mouth is ahead of the words or behind them."),
    "amplitude": gettext_lazy("The mouth moves too much or too little."),
    "leak": gettext_lazy("The mouth moves where it should keep still."),
    "leak_r": gettext_lazy("The mouth moves along with the filmed one instead of with the words."),
    "flicker": gettext_lazy("The skin flickers more than in the footage."),
    "middle": gettext_lazy("The mouth is blurred."),
    "finest": gettext_lazy("A fine grid shows in the mouth."),
    "seam": gettext_lazy("The edge around the mouth shows."),
}
"""Why a figure is not good enough, by its name."""
WAYS: dict[str, str | Promise] = {
    Preset.Backend.EXEMPLAR: gettext_lazy("The presenter's own mouths, as filmed"),
    Preset.Backend.NEURAL: gettext_lazy("Drawn by the presenter's own network"),
    Preset.Backend.WAV2LIP: gettext_lazy("Drawn by the operator's network"),
}


MEANS: dict[str, str | Promise] = {
    Preset.Backend.AUTO: gettext_lazy(
        "The mouth model where the footage has a good one, else the presenter's own mouths."
    ),
    Preset.Backend.EXEMPLAR: gettext_lazy(
        "Mouths that were filmed, chosen for the words and bent to them. Nothing is learnt or drawn."
    ),
    Preset.Backend.NEURAL: gettext_lazy(
        "A network that was learnt from the footage draws every mouth that the words ask for. Footage without a "
        "good one is made with the presenter's own mouths, and the video says so."
    ),
}


@register.filter
def way_means(backend: str) -> str:
    """What a way of making the mouth means, in a sentence or two."""
    if backend == Preset.Backend.WAV2LIP:
        notice = problems.get("supplied_checkpoint")
        return joined(notice.sentence, notice.remedy)
    return str(MEANS[Preset.Backend(backend)])


@register.simple_tag
def mouths_of(shown: Iterable[AnalysedView]) -> dict[int, MouthsView]:
    """``{% mouths_of footage as mouths %}``: by the footage's primary key, for a whole page at once."""
    return selectors.mouths_of(view.item for view in shown if isinstance(view.item, Footage))


@register.simple_tag
def mouths_of_cards(cards: Iterable[PresenterCard]) -> dict[int, MouthsView]:
    """The same for a list of presenters."""
    return mouths_of(card.footage for card in cards if card.footage is not None)


@register.filter
def of(mouths: Mapping[int, MouthsView], footage: Footage) -> MouthsView | None:
    return mouths.get(footage.pk)


@register.filter
def mark(view: MouthsView) -> str:
    return mark_of(view.marks)


@register.filter
def stand_words(view: MouthsView) -> str:
    if view.stand == Stand.NONE and view.refusal is not None:
        return _("Not from this footage")
    return str(STANDS[view.stand])


@register.filter
def badge(view: MouthsView) -> str:
    return BADGES[view.stand]


@register.filter
def outcome_words(model: MouthModel) -> str:
    """What became of one that is over."""
    if model.state == "ready":
        return _("Put away for a newer one") if model.archived_at else _("Good enough")
    if model.error_code == "mouths_not_good":
        return str(STANDS[Stand.NOT_GOOD])
    stopped = {"cancelled": _("Stopped"), "stopped_by_operator": _("Stopped by an operator")}
    return (stopped | {"mouths_removed": _("Removed")}).get(model.error_code, _("Not learnt"))


@register.filter
def stage_words_of(model: MouthModel) -> str:
    return str(STAGES.get(model.stage, _("Starting")))


@register.filter
def time_words(machines: Machines) -> str:
    """How long learning takes on this farm, in a sentence."""
    if not machines.able:
        return _("No machine can learn one at present: what you ask for waits until one can.")
    if machines.usual_s is not None:
        return _("Here it took %(time)s lately.") % {"time": remaining(max(machines.usual_s, 10.0))}
    if machines.have_card:
        return _("Here it takes some minutes: a machine with a graphics card does it.")
    return _(
        "Here it takes about five to fifteen minutes while the machine does nothing else: none has a graphics card."
    )


@register.filter
def waits_words(item: MouthsView | FarmMouths) -> str:
    """Why a training waits, in a sentence."""
    if item.waits is None:
        return ""
    if item.waits == Waits.RENDERS_FIRST and item.goes_first_at is not None:
        at = formats.time_format(timezone.localtime(item.goes_first_at), "H:i")
        return _("Videos go first; from %(time)s on it goes before them.") % {"time": at}
    return {
        Waits.FOOTAGE: _("Its footage is still being analysed."),
        Waits.PAUSED: _("Its team is paused."),
        Waits.NO_MACHINE: _("No machine that could learn it is active."),
        Waits.IDLE_CARD: _("It begins when a machine with a graphics card has nothing else to do."),
        Waits.TURN: _("It is next as soon as a machine is free."),
    }.get(item.waits, "")


@register.filter
def failed_words(model: MouthModel) -> list[str]:
    """What is not good enough, in sentences."""
    other = _("The figure “%(name)s” is not good enough.")
    return [str(FAILED[name]) if name in FAILED else other % {"name": name} for name in model.failed]


@dataclass(frozen=True)
class Figure:
    label: str
    value: str
    meaning: str = ""


@register.filter
def mouth_figures(model: MouthModel) -> list[Figure]:
    """What was measured, for people: the mean of what ``exemplar`` reaches on the same footage beside it."""
    known = {name: value for name, value in model.figures.items() if isinstance(value, int | float)}
    own = _("the presenter's own mouths: %(value)s")
    told = []
    for name, beside, label, form in (
        ("planned", "exemplar_planned", _("Follows the words"), "{:.2f}"),
        ("psnr", "exemplar_psnr", _("Likeness, on frames it had not seen"), "{:.1f} dB"),
    ):
        if name in known:
            than = own % {"value": form.format(known[beside])} if beside in known else ""
            told.append(Figure(label, form.format(known[name]), than))
    for name, label, meaning in (
        ("amplitude", _("Movement"), _("of what is asked for")),
        ("middle", _("Detail"), _("of what was filmed")),
        ("flicker", _("Flicker"), _("of what was filmed")),
        ("usable_s", _("Learnt from"), ""),
    ):
        if name in known:
            value = f"{known[name]:.0f} s" if name == "usable_s" else f"{100 * known[name]:.0f} %"
            told.append(Figure(label, value, meaning))
    return told


@register.filter
def drawn_words(version: RenderVersion) -> str:
    """Who made the mouths of a video."""
    way = version.drawn_by or str(version.preset.get("backend", ""))
    return str(WAYS.get(way, way or "–"))


@register.filter
def licences(made: RenderVersion | WorkerNode) -> list[problems.Problem]:
    """What is to be said of the operator's own weights that drew a video, or that a worker has."""
    if isinstance(made, WorkerNode):
        drawn, enhanced = "wav2lip" in made.weights, any(name.endswith("+enhancer") for name in made.weights)
    else:
        way = made.drawn_by or made.preset.get("backend")
        drawn = bool(made.weights) and way == Preset.Backend.WAV2LIP
        enhanced = bool(made.weights) and bool(made.preset.get("enhance"))
    codes = (("supplied_checkpoint", drawn), ("supplied_enhancer", enhanced))
    return [problems.get(code) for code, applies in codes if applies]


@register.filter
def instead_sentence(version: RenderVersion) -> str:
    """Why it was not made as its preset asks; empty: it was."""
    return str(problems.get(version.instead).sentence) if version.instead else ""
