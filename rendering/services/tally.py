"""Adds up what has ended, so that totals can be told at once and outlive the rows they were counted from."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from rendering.models import RenderAttempt, Tally
from rendering.models.tallies import BOUNDS

CHUNK = 1000
"""Attempts in one transaction."""
MOST = 50
"""Chunks of one call: what an old installation has from before is caught up with bit by bit."""
LONGEST = 40
"""Letters of a label, as in ``Tally``."""

Line = tuple[str, str, str]


@dataclass
class _Sum:
    number: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))


def advance() -> int:
    """Count every attempt that has ended since the last time, exactly once. Returns how many."""
    counted = 0
    for _ in range(MOST):
        counted += (done := _advance_by_one())
        if done < CHUNK:
            break
    return counted


@transaction.atomic
def _advance_by_one() -> int:
    ended = RenderAttempt.objects.filter(tallied=False, ended_at__isnull=False).order_by("pk")
    # What another process is counting at this moment is skipped, not waited for.
    rows = list(
        ended.select_for_update(skip_locked=True, of=("self",)).values_list(
            *("pk", "outcome", "error_code"),
            *("job__version__seconds", "job__version__preset", "job__version__drawn_by"),
        )[:CHUNK]
    )
    if rows:
        _add(_sums(row[1:] for row in rows))
        RenderAttempt.objects.filter(pk__in=[row[0] for row in rows]).update(tallied=True)
    return len(rows)


def _sums(rows: Any) -> dict[Line, _Sum]:
    """Lines of ``Tally`` from outcome, code, the version's seconds by stage, its preset and who drew it."""
    sums: dict[Line, _Sum] = defaultdict(_Sum)
    for outcome, code, seconds, preset, drawn_by in rows:
        sums[Tally.Kind.ATTEMPT, outcome, code[:LONGEST]].number += 1
        if outcome != RenderAttempt.Outcome.SUCCEEDED:
            continue  # the version, if there is one, is a later attempt's
        backend = str(drawn_by or (preset or {}).get("backend", ""))[:LONGEST]
        for stage, took in (seconds or {}).items():
            line = sums[Tally.Kind.STAGE, str(stage)[:LONGEST], backend]
            line.number += 1
            line.seconds += float(took)
            line.buckets = [count + (took <= bound) for count, bound in zip(line.buckets, BOUNDS, strict=True)]
    return sums


def _add(sums: dict[Line, _Sum]) -> None:
    new = [Tally(kind=kind, first=first, second=second) for kind, first, second in sums]
    Tally.objects.bulk_create(new, ignore_conflicts=True)
    lines = list(Tally.objects.select_for_update().order_by("pk"))
    for line in lines:
        if (more := sums.get((line.kind, line.first, line.second))) is None:
            continue
        line.number += more.number
        line.seconds += more.seconds
        known = [*line.buckets, *[0] * (len(BOUNDS) - len(line.buckets))]
        line.buckets = [had + got for had, got in zip(known, more.buckets, strict=True)]
    Tally.objects.bulk_update(lines, ["number", "seconds", "buckets"])
