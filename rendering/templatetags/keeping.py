"""Usage, limits, retention and storage in words."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context
from django.template.defaultfilters import filesizeformat
from django.utils import formats
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from projects import problems
from projects.models import Team
from projects.sentences import joined
from projects.views.base import mark_of
from rendering.models import RetentionRule
from rendering.selectors import usage as selectors
from rendering.selectors.bases import learning
from rendering.selectors.retention import Line, Part, Why
from rendering.selectors.storage import Forecast
from rendering.selectors.usage import WARN_PERCENT, Kind, Usage

register = template.Library()

KINDS: dict[str, str | Promise] = {
    Kind.FOOTAGE: gettext_lazy("Footage"),
    Kind.TAKES: gettext_lazy("Takes"),
    Kind.VERSIONS: gettext_lazy("Versions"),
    Kind.EXPORTS: gettext_lazy("ZIPs"),
    Kind.ANALYSIS: gettext_lazy("Analyses"),
    Kind.BASES: gettext_lazy("Learnt models"),
    Kind.MOUTHS: gettext_lazy("Mouth models"),
    Kind.PREVIEWS: gettext_lazy("Previews and pictures"),
    Kind.UNUSED: pgettext_lazy("stored files", "No longer needed"),
    "uploads": gettext_lazy("Uploads under way"),
}
PARTS: dict[str, str | Promise] = {
    Part.VERSIONS: gettext_lazy("Superseded versions"),
    Part.EXPORTS: gettext_lazy("ZIPs"),
    Part.PREVIEWS: gettext_lazy("Previews of footage"),
    Part.ANALYSIS: gettext_lazy("Analyses of footage"),
    Part.MOUTHS: gettext_lazy("Mouth models"),
    Part.WORK: gettext_lazy("Work files"),
}


@register.filter
def kind_words(kind: str) -> str:
    return str(KINDS[kind])


@register.filter
def part_words(part: str) -> str:
    return str(PARTS[part])


@register.filter
def leaving_words(line: Line) -> str:
    """Why these things would go."""
    if line.why == Why.BUDGET:
        return _("least recently used, beyond the room for what can be made again")
    if line.why == Why.DISK:
        return _("least recently used, because the disk is nearly full")
    days = line.days or 0
    return ngettext("after %(n)d day", "after %(n)d days", days) % {"n": days}


@register.filter
def minutes(seconds: float) -> str:
    """150 -> ``2.5``, in the reader's spelling."""
    return formats.number_format(round(seconds / 60, 1), decimal_pos=1)


@register.filter
def forecast_words(forecast: Forecast) -> str:
    """When the disk will be full, or why nobody knows."""
    if forecast.per_day is None:
        return _("When it will be full is not known yet: that takes a few days of figures.")
    if forecast.per_day <= 0:
        return _("It has not grown in the last %(days)d days.") % {"days": forecast.window}
    growth = {"size": filesizeformat(forecast.per_day), "days": forecast.window}
    told = _("It has grown by %(size)s a day in the last %(days)d days.") % growth
    if forecast.full_in is None:
        for_long = _("At that rate it lasts for more than ten years.")
        return joined(told, for_long)
    full = ngettext("Full in about %(n)d day.", "Full in about %(n)d days.", forecast.full_in) % {"n": forecast.full_in}
    return joined(full, told)


@register.filter
def growth(per_day: float | None) -> str:
    """``+1.2 GB``, ``-300 KB``, or a dash for what is not known."""
    if per_day is None:
        return "–"
    return f"{'+' if per_day >= 0 else '−'}{filesizeformat(abs(per_day))}"


@register.filter
def full_state(percent: int | None) -> str:
    """The state of a bar that shows so many percent of a limit."""
    if percent is None or percent < WARN_PERCENT:
        return "done"
    return "held" if percent < 100 else "failed"


@register.inclusion_tag("rendering/_learning.html", takes_context=True)
def team_learning(context: Context, team: Team) -> dict[str, Any]:
    """Whether the team learns from its footage, and what came of it."""
    shown = learning(team)
    # A form needs the token of the page around it.
    return {"learning": shown, "mark": mark_of(shown.marks), "team": team, "csrf_token": context.get("csrf_token")}


@register.inclusion_tag("rendering/_usage.html")
def team_usage(team: Team) -> dict[str, Any]:
    """What a team uses, its limits, and how long its files are kept."""
    used = selectors.usage(team)
    rule = RetentionRule.objects.filter(team=team).first() or RetentionRule(team=team)
    kinds = [(kind.value, getattr(used, kind.value)) for kind in Kind] + [("uploads", used.uploads)]
    return {
        "usage": used,
        "kinds": [(kind, size) for kind, size in kinds if size],
        "warnings": warnings(used),
        "rule": [(part, getattr(rule, f"{part}_days")) for part in PARTS],
    }


@register.inclusion_tag("rendering/_usage_warnings.html")
def usage_warnings(team: Team) -> dict[str, Any]:
    """Notes for a page of the team, from 80 % of a limit on."""
    used = selectors.usage(team) if selectors.has_limits(team) else None
    return {"warnings": warnings(used) if used else []}


def warnings(used: Usage) -> list[dict[str, str]]:
    """Limits of which little or nothing is left, and what to do."""
    found = []
    limit = used.limits.storage_bytes
    if limit is not None and used.storage_percent is not None and used.storage_percent >= WARN_PERCENT:
        told = {"used": filesizeformat(used.bytes), "limit": filesizeformat(limit)}
        found.append(
            {
                "sentence": _("%(used)s of the team's %(limit)s of storage are used.") % told,
                "remedy": str(problems.get("team_storage_full").remedy),
                "level": "error" if used.storage_percent >= 100 else "warning",
            }
        )
    most = used.limits.render_minutes
    if most is not None and used.render_percent is not None and used.render_percent >= WARN_PERCENT:
        spent = {"used": minutes(used.render_seconds), "limit": most}
        sentence = _("%(used)s of the team's %(limit)s render minutes of this month are used or waiting.")
        found.append(
            {
                "sentence": sentence % spent,
                "remedy": _("They are renewed next month. Ask the operator if that is too late."),
                "level": "error" if used.render_percent >= 100 else "warning",
            }
        )
    return found
