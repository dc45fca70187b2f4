"""What the tests of claims at scale do, many at once, on a site's own database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection, connections, transaction

from benchmarks.crowds import Crowd, analyse, workers
from rendering import capabilities, queue, states
from rendering.models import JobState, RenderAttempt, RenderJob, TeamShare, WorkerNode
from tests.rendering.scenes import order


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def claim_all(claimers: int) -> list[str]:
    """``claimers`` threads claim until nothing is left; every claim that was granted."""
    granted: list[str] = []
    together = threading.Barrier(claimers)

    def claim(node: WorkerNode) -> None:
        together.wait()
        while (claim := queue.claim_next(node)) is not None:
            granted.append(claim.job.public_id)
        connections.close_all()

    in_threads([lambda node=node: claim(node) for node in workers(claimers)])
    return granted


def claim_within_limits(claimers: int, teams: int, jobs: int, limit: int) -> dict[str, Any]:
    """``claimers`` claim and end jobs of teams that may run ``limit`` at once. The most that ever ran, and how many."""
    crowd = Crowd([f"Limited {number}" for number in range(teams)], presenters=2)
    TeamShare.objects.update(max_running=limit)
    crowd.queue(jobs, "limited")
    running: dict[int, int] = {team.pk: 0 for team in crowd.teams}
    most, ended, lock = [0], [0], threading.Lock()

    def work(node: WorkerNode) -> None:
        until = time.monotonic() + 60
        while RenderJob.objects.filter(state=JobState.QUEUED).exists() and time.monotonic() < until:
            claim = queue.claim_next(node)
            if claim is None:
                continue
            with lock:
                running[claim.job.team_id] += 1
                most[0] = max(most[0], running[claim.job.team_id])
            time.sleep(0.002)
            with lock:  # before it is ended: afterwards another may start at any moment
                running[claim.job.team_id] -= 1
            states.fail(claim.job, claim.token, "no_face")
            ended[0] += 1
        connections.close_all()

    in_threads([lambda node=node: work(node) for node in workers(claimers)])
    return {"most": most[0], "attempts": RenderAttempt.objects.count(), "ended": ended[0]}


def explain_claim(teams: int, waiting: int, finished: int) -> dict[str, str]:
    """How the database finds the next team and its next jobs, among many that wait and many that are done."""
    crowd = Crowd([f"Team {number}" for number in range(teams)])
    crowd.queue(finished, "finished")
    RenderJob.objects.update(state=JobState.CANCELLED)
    crowd.queue(waiting, "waiting")
    (node,) = workers(1)
    for _ in range(10):
        assert queue.claim_next(node)
    if connection.vendor == "postgresql":
        analyse()
    else:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    able = capabilities.of(node).fits()
    with transaction.atomic():
        turn = queue.teams_in_turn(able).select_for_update(skip_locked=True, of=("self",))
        heads = queue.heads_of(crowd.teams[0].pk, able)
        return {"turn": turn[:1].explain(), "heads": heads.explain()}


def spread(jobs: int, seconds: float) -> list[str]:
    """One batch of one team, for several machines."""
    return order("one", [f"ok:{seconds}"] * jobs)


def heard(worker: str, within_s: float) -> dict[str, Any]:
    """What an idle worker's row says once it has been heard of, and whether it is heard of again."""
    until = time.monotonic() + within_s
    node = None
    while time.monotonic() < until:
        now = WorkerNode.objects.filter(name=worker).exclude(figures={}).first()
        if node is not None and now is not None and now.last_seen_at > node.last_seen_at:
            return {"version": now.version, "engine": now.engine, **now.figures, "again": True}
        node = node or now
        time.sleep(0.3)
    return {"again": False}
