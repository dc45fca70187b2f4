"""The farm in words."""

from __future__ import annotations

from django import template
from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from projects import problems
from rendering.selectors import stage_label
from rendering.selectors.farm import Word
from rendering.selectors.waiting import WaitingJob, Why

register = template.Library()

WORDS: dict[str, str | Promise] = {
    Word.ACTIVE: pgettext_lazy("farm", "Active"),
    Word.IDLE: pgettext_lazy("farm", "Idle"),
    Word.WAITING: pgettext_lazy("farm", "Waiting"),
    Word.BROKEN: pgettext_lazy("farm", "Broken"),
}
REASONS: dict[str, str | Promise] = {
    "running": gettext_lazy("Videos are being made."),
    "nothing_waits": gettext_lazy("There is nothing to do."),
    "workers_paused": gettext_lazy("Work waits, but every worker that could do it is paused or draining."),
    "no_worker": gettext_lazy("Work waits, but no worker is active. Start one, or release one from quarantine."),
    "nothing_startable": gettext_lazy("Nothing that waits may start yet; each job says why."),
    "nobody_comes": gettext_lazy("Work could start, but no worker takes it. Look at the log of the gpu process."),
    "about_to_start": gettext_lazy("The next job starts in a moment."),
}
CHARTS: dict[str, str | Promise] = {
    "hour": gettext_lazy("Last hour"),
    "day": gettext_lazy("Last day"),
    "week": gettext_lazy("Last week"),
}


@register.filter
def farm_word(word: Word) -> str:
    return str(WORDS[word])


@register.filter
def farm_reason(reason: str) -> str:
    return str(REASONS[reason])


@register.filter
def chart_title(name: str) -> str:
    return str(CHARTS[name])


@register.filter
def stage_words(stage: str) -> str:
    return stage_label(stage)


@register.filter
def problem_sentence(code: str) -> str:
    return str(problems.get(code).sentence)


@register.filter
def why_words(item: WaitingJob) -> str:
    """Why a job waits, in a sentence."""
    if item.why == Why.BACKOFF:
        at = formats.time_format(timezone.localtime(item.job.not_before), "H:i:s")
        return _("After a failed try it rests until %(time)s.") % {"time": at}
    if item.why == Why.LIMIT:
        limit = item.limit or 0
        return ngettext(
            "Its team may run only %(n)d job at once.", "Its team may run only %(n)d jobs at once.", limit
        ) % {"n": limit}
    if item.why == Why.TURN:
        if item.place is None:
            return _("It waits for its turn.")
        return _("It is next.") if item.place == 1 else _("Its turn is number %(n)d.") % {"n": item.place}
    return {
        Why.HELD: _("A person put it on hold."),
        Why.FOOTAGE: _("Its footage is still being analysed."),
        Why.TAKE: _("Its recording is still being analysed."),
        Why.PAUSED: _("Its team is paused."),
        Why.NO_WORKER: _("No worker is active."),
        Why.NO_CAPABLE_WORKER: _("No active worker has its back end, the memory it needs, or its footage's analysis."),
    }[item.why]
