"""The farm in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.template.defaultfilters import filesizeformat
from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from projects import problems
from projects.models import ApiToken, AudioTake, AuditEvent, Role
from projects.sentences import named
from rendering.models import Preset, RenderAttempt, WorkerNode
from rendering.problems import remedy_for_operators
from rendering.selectors import stage_label
from rendering.selectors.farm import Word
from rendering.selectors.waiting import WaitingJob, Why
from rendering.services.presets import OPTIONS

register = template.Library()

WORDS: dict[str, str | Promise] = {
    Word.ACTIVE: pgettext_lazy("farm", "Active"),
    Word.IDLE: pgettext_lazy("farm", "Idle"),
    Word.WAITING: pgettext_lazy("farm", "Waiting"),
    Word.BROKEN: pgettext_lazy("farm", "Broken"),
}
REASONS: dict[str, str | Promise] = {
    "running": gettext_lazy("Videos are being made."),
    "learning": gettext_lazy("Mouth models are being learnt; no video waits."),
    "nothing_waits": gettext_lazy("There is nothing to do."),
    "workers_paused": gettext_lazy("Work waits, but every worker that could do it is paused or draining."),
    "no_worker": gettext_lazy("Work waits, but no worker is active. Start one, or release one from quarantine."),
    "no_room": gettext_lazy("Work waits, but the workers' disks are nearly full. Make room; it goes on by itself."),
    "nothing_startable": gettext_lazy("Nothing that waits may start yet; each job says why."),
    "nobody_comes": gettext_lazy("Work could start, but no worker takes it. Look at the log of the gpu process."),
    "about_to_start": gettext_lazy("The next job starts in a moment."),
}
DETAILS: dict[str, str | Promise] = {
    "was": gettext_lazy("before"),
    "at_once": gettext_lazy("at once"),
    "given_back": gettext_lazy("jobs given back"),
    "jobs": gettext_lazy("jobs"),
    "trainings": gettext_lazy("trainings"),
    "worker": gettext_lazy("worker"),
    "of": gettext_lazy("instead of"),
    "priority": gettext_lazy("priority"),
    "weight": gettext_lazy("weight"),
    "max_running": gettext_lazy("jobs at once"),
    "max_attempts": gettext_lazy("tries"),
    "backoff_seconds": gettext_lazy("seconds of rest"),
    "cells": gettext_lazy("cells"),
    "event": gettext_lazy("event"),
    "events": gettext_lazy("events"),
    "face": gettext_lazy("face"),
    "files": gettext_lazy("files"),
    "language": gettext_lazy("language"),
    "number": gettext_lazy("number"),
    "preset": gettext_lazy("preset"),
    "project": gettext_lazy("project"),
    "role": gettext_lazy("role"),
    "scope": gettext_lazy("scope"),
    "size": gettext_lazy("size"),
    "source": gettext_lazy("source"),
    "teams": gettext_lazy("teams"),
    "template": gettext_lazy("file names"),
    "what_label": gettext_lazy("which"),
    "storage_bytes": gettext_lazy("storage"),
    "render_minutes": gettext_lazy("minutes of video a month"),
    "file_bytes": gettext_lazy("largest file"),
    "take_seconds": gettext_lazy("seconds of one take"),
    "work_days": gettext_lazy("days of work files"),
    "preview_days": gettext_lazy("days of previews"),
    "analysis_days": gettext_lazy("days of analyses"),
    "mouth_days": gettext_lazy("days of mouth models"),
    "export_days": gettext_lazy("days of ZIPs"),
    "version_days": gettext_lazy("days of superseded versions"),
    "options": gettext_lazy("options"),
    **{field.name: field.verbose_name for field in Preset._meta.fields if field.name in OPTIONS},
}
"""What acts note in the audit log; what is not listed is shown as it is."""
STATES: dict[str, str | Promise] = {state.value: state.label for state in WorkerNode.State}
ROLES: dict[str, str | Promise] = {role.value: role.label for role in Role}
VALUES: dict[str, dict[str, str | Promise]] = {
    "role": ROLES,
    "scope": {scope.value: scope.label for scope in ApiToken.Scope},
    "source": {source.value: source.label for source in AudioTake.Source},
    "teams": {"all": gettext_lazy("all")},
    "backend": dict(Preset.Backend.choices),
    "when_shorter": dict(Preset.WhenShorter.choices),
    "speed": dict(Preset.Speed.choices),
    "normalize_loudness": {"True": gettext_lazy("yes"), "False": gettext_lazy("no")},
}
"""Words for what is noted under a name."""
SIZES = {"size", "storage_bytes", "file_bytes"}
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
def operator_remedy(code: str) -> str:
    """What the operator, who reads the farm's pages, is to do."""
    return remedy_for_operators(code)


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
        Why.NO_ROOM: _("The disks of the workers that could do it are nearly full."),
        Why.NO_CAPABLE_WORKER: _("No active worker has its back end, the memory it needs, or its footage's analysis."),
    }[item.why]


# Workers


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    is_unknown: bool = False


def _fact(label: str, value: str) -> Fact:
    return Fact(label, value or _("unknown"), is_unknown=not value)


def _of(used_mb: float | None, whole_mb: float | None) -> str:
    """Megabytes, told in gigabytes."""
    if whole_mb is None:
        return ""
    return f"{whole_mb / 1024:.1f} GB" if used_mb is None else f"{used_mb / 1024:.1f} / {whole_mb / 1024:.1f} GB"


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.0f} {unit}"


@register.filter
def worker_facts(node: WorkerNode) -> list[Fact]:
    """What the machine said of itself; what it did not say is unknown, not nought."""
    said: dict[str, Any] = node.figures or {}
    device_memory = said.get("device_memory_mb") or node.device_memory_mb
    machine = [
        _fact(_("Memory"), _of(said.get("memory_used_mb"), said.get("memory_total_mb"))),
        _fact(_("Processor"), _with_unit(said.get("cpu_percent"), "%")),
        _fact(_("Engine"), node.engine),
        *([] if node.cluster == "gpu" else [_fact(_("Follows faces with"), node.tracker)]),
        _fact(_("Site version"), node.version),
    ]
    if node.cluster != "gpu":
        return machine
    device = _fact(_("Device"), node.device)
    if node.device == "cpu":  # which has no memory, temperature or use but the machine's
        return [device, *machine]
    return [
        device,
        _fact(_("Device memory"), _of(said.get("device_memory_used_mb"), device_memory)),
        _fact(_("Temperature"), _with_unit(said.get("temperature_c"), "°C")),
        _fact(_("Use"), _with_unit(said.get("device_use_percent"), "%")),
        *machine,
    ]


@register.filter
def way_words(ability: str) -> str:
    """A way of making the mouth that a worker's engine has, as presets call it."""
    way, _plus, enhanced = ability.partition("+")
    words = str(VALUES["backend"].get(way, way))
    return _("%(way)s, enhanced") % {"way": words} if enhanced else words


@register.filter
def asked_words(asked: str) -> str:
    return {
        WorkerNode.Asked.HAND_BACK: _("Gives its work back"),
        WorkerNode.Asked.RESTART: _("Restarts after its job"),
        WorkerNode.Asked.RESTART_NOW: _("Restarts now"),
    }.get(WorkerNode.Asked(asked), "")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Something that may be done to a worker."""

    name: str
    words: str
    means: str
    waits: bool = True
    """It may be done after the job that runs, or at once."""
    is_open: bool = True
    """Not done already."""

    @property
    def name_now(self) -> str:
        return f"{self.name}_now"

    @property
    def confirm(self) -> str:
        return _("What it works on is given back and waits again. That try does not count.")


@register.filter
def worker_choices(node: WorkerNode) -> list[Choice]:
    state = WorkerNode.State
    choices = []
    if node.state != state.ACTIVE:
        means = _("It gets jobs again, and what it has failed is forgiven.")
        choices.append(Choice(name="activate", words=_("Release"), means=means, waits=False))
    for name, asked, words, means in (
        ("pause", state.PAUSED, _("Pause"), _("It gets no new jobs until you release it.")),
        ("drain", state.DRAINING, _("Drain"), _("The same, because it leaves: before an upgrade or for good.")),
        ("quarantine", state.QUARANTINED, _("Quarantine"), _("The same, because it is doubted: somebody should look.")),
        ("stop", state.STOPPED, _("Stop"), _("The same, and its engine ends: the device is free for other things.")),
    ):
        if node.state != asked or node.busy_since is not None:
            choices.append(Choice(name=name, words=words, means=means, is_open=node.state != asked))
    means = _("A new process and a new engine. Its state stays as it is.")
    choices.append(Choice(name="restart", words=_("Restart"), means=means))
    return choices


# Jobs and the audit log


@register.filter
def took(attempt: RenderAttempt) -> str:
    """How long a try took."""
    if attempt.ended_at is None:
        return ""
    seconds = int((attempt.ended_at - attempt.started_at).total_seconds())
    return f"{seconds // 60}:{seconds % 60:02d}" if seconds >= 60 else _("%(n)d s") % {"n": seconds}


@register.filter
def detail_words(event: AuditEvent) -> str:
    """What the log notes besides the reason."""
    noted = {name: value for name, value in event.detail.items() if name != "reason"}
    if "what_label" in noted:
        noted.pop("what", None)  # its id
    was = ROLES if "role" in noted else STATES
    return " · ".join(_noted(name, value, was) for name, value in noted.items())


def _noted(name: str, value: object, was: dict[str, str | Promise] = STATES) -> str:
    label = str(DETAILS.get(name, name))
    if value is True:
        return label
    if name in SIZES and isinstance(value, int):
        return named(label, filesizeformat(value))
    return named(label, _plain(value, VALUES.get(name, was)))


def _plain(value: object, words: dict[str, str | Promise]) -> str:
    if isinstance(value, dict):
        return ", ".join(_noted(str(name), inner, words) for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(item, words) for item in value)
    return "–" if value is None else str(words.get(str(value), value))
