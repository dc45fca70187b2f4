"""Lists for operators: jobs of all teams, what a worker has done, a batch in numbers, an attempt's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet

from projects.models import AuditEvent, Footage
from rendering.models import UNFINISHED, JobState, RenderAttempt, RenderBatch, RenderJob, WorkerNode
from rendering.selectors.waiting import RELATED, WAITING

EVENTS = 20
ATTEMPTS = 20
STATES: dict[str, tuple[JobState, ...]] = {
    "unfinished": UNFINISHED,
    "waiting": WAITING,
    "all": tuple(JobState),
    **{state.value: (state,) for state in JobState},
}
"""What a list of jobs may be narrowed to."""


def jobs(asked: Mapping[str, str]) -> QuerySet[RenderJob]:
    """``state`` (one of ``STATES``), ``team`` and ``batch`` (public ids), ``worker`` (its name), ``q`` (a name or id).

    Unfinished ones in the order of their priority and age, the others newest first.
    """
    states = STATES.get(asked.get("state", ""), UNFINISHED)
    found = RenderJob.objects.filter(state__in=states)
    narrow = {"team": "team__public_id", "batch": "batch__public_id", "worker": "worker__name"}
    found = found.filter(**{path: asked[name] for name, path in narrow.items() if asked.get(name)})
    if words := asked.get("q", "").strip():
        matches = Q(public_id=words) | Q(team__name__icontains=words)
        for name in ("project__name", "presenter__name", "script__title"):
            matches |= Q(**{f"deliverable__{name}__icontains": words})
        found = found.filter(matches)
    order = ("-priority", "pk") if set(states) <= set(UNFINISHED) else ("-pk",)
    return found.order_by(*order).select_related(*RELATED)


def batch_numbers(batch: RenderBatch) -> dict[str, int]:
    """Jobs of a batch by state; a retry takes the place of what it retries."""
    counted = RenderJob.objects.filter(batch=batch, retries=None).order_by().values_list("state")
    return dict(counted.annotate(number=Count("pk")))


@dataclass(frozen=True, kw_only=True)
class WorkerWork:
    """What a worker has done, and what it has at hand."""

    attempts: tuple[RenderAttempt, ...]
    warm: tuple[Footage, ...]
    events: tuple[AuditEvent, ...]

    def marks(self) -> str:
        tries = " ".join(f"{attempt.pk} {attempt.outcome}" for attempt in self.attempts)
        return f"{tries} {[footage.pk for footage in self.warm]} {[event.pk for event in self.events]}"


def work_of(worker: WorkerNode, *, subject: str) -> WorkerWork:
    """``subject``: what the audit log calls it. Three queries."""
    place = ("deliverable__presenter", "deliverable__script")
    attempts = RenderAttempt.objects.filter(worker=worker).select_related(
        "job__team", *(f"job__{name}" for name in place)
    )
    known = Footage.objects.select_related("presenter__team").in_bulk([pk for pk in worker.warm if isinstance(pk, int)])
    return WorkerWork(
        attempts=tuple(attempts.order_by("-pk")[:ATTEMPTS]),
        warm=tuple(known[pk] for pk in worker.warm if pk in known),
        events=tuple(events_of(subject)),
    )


def events_of(subject: str) -> list[AuditEvent]:
    """The newest lines of the audit log about it."""
    return list(AuditEvent.objects.filter(subject=subject).select_related("actor")[:EVENTS])


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """What is new in an attempt's log since a reader looked last."""

    attempt: RenderAttempt
    text: str
    is_cut: bool
    """``text`` does not follow what the reader has: it replaces it."""

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.attempt.number,
            "running": self.attempt.outcome == RenderAttempt.Outcome.RUNNING,
            "end": end_of(self.attempt),
            "text": self.text,
            "cut": self.is_cut,
        }


def end_of(attempt: RenderAttempt) -> int:
    """Characters written; attempts of older sites have not counted them."""
    return max(attempt.log_end, len(attempt.log))


def log_since(job: RenderJob, *, number: int = 0, seen: int = 0) -> LogPart | None:
    """The log of attempt ``number`` (0: the newest) from character ``seen`` on. None: there is no such attempt."""
    tries = job.tries.filter(number=number) if number else job.tries.order_by("-number")
    attempt = tries.select_related("worker").first()
    if attempt is None:
        return None
    new = end_of(attempt) - seen
    if 0 <= new <= len(attempt.log):
        return LogPart(attempt=attempt, text=attempt.log[len(attempt.log) - new :], is_cut=False)
    return LogPart(attempt=attempt, text=attempt.log, is_cut=True)
