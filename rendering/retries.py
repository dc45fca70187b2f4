"""How often a job is tried and how long it rests between: as its team's policy says, else the installation's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from rendering.models import TeamShare

LONGEST_REST_S = 600


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    max_attempts: int
    backoff_seconds: int

    def rest(self, attempts: int) -> timedelta:
        """How long a job waits before its next try after ``attempts`` tries: doubled each time, ten minutes at most."""
        return timedelta(seconds=min(self.backoff_seconds * 2 ** max(attempts - 1, 0), LONGEST_REST_S))


def policy_of(team_id: int) -> RetryPolicy:
    own = TeamShare.objects.filter(team=team_id).values_list("max_attempts", "backoff_seconds").first() or (None, None)
    return RetryPolicy(
        max_attempts=settings.MAX_ATTEMPTS if own[0] is None else own[0],
        backoff_seconds=settings.BACKOFF_SECONDS if own[1] is None else own[1],
    )
