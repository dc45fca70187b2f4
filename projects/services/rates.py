"""How often somebody may ask: counted in the database, so that it holds for all web processes of all hosts together."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db import connection

from projects.models import RequestCount

WINDOW_S = 60

# One statement, so that no two processes count past each other. A host whose clock is behind counts into the newer
# window. No row comes back when the window is used up: who goes on asking then costs no write.
COUNT_ONE = """
INSERT INTO projects_requestcount (who, "window", count) VALUES (%(who)s, %(window)s, 1)
ON CONFLICT (who) DO UPDATE SET
    count = CASE WHEN projects_requestcount."window" < excluded."window" THEN 1
                 ELSE projects_requestcount.count + 1 END,
    "window" = CASE WHEN projects_requestcount."window" < excluded."window" THEN excluded."window"
                    ELSE projects_requestcount."window" END
WHERE projects_requestcount."window" < excluded."window" OR projects_requestcount.count < %(limit)s
RETURNING count
"""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What is left of somebody's ``limit`` requests in this window after the one that was counted."""

    name: str
    limit: int
    left: int
    """-1: this request is one too many."""
    reset_s: int
    """Seconds until the next window."""

    @property
    def is_spent(self) -> bool:
        return self.left < 0


def spend(*, name: str, who: str, limit: int) -> Allowance:
    """Count one request of ``who`` against the limit called ``name``."""
    now = time.time()
    window = int(now // WINDOW_S)
    with connection.cursor() as cursor:
        cursor.execute(COUNT_ONE, {"who": f"{name}:{who}"[:80], "window": window, "limit": limit})
        row = cursor.fetchone()
    left = limit - row[0] if row else -1
    return Allowance(name=name, limit=limit, left=left, reset_s=int((window + 1) * WINDOW_S - now) + 1)


def clean() -> int:
    """Forget who has not asked for an hour. Returns how many."""
    before = int(time.time() // WINDOW_S) - 60
    return RequestCount.objects.filter(window__lt=before).delete()[0]
