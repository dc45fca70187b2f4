"""What the tests do on a site with real clusters. Runs in a process that has that site's settings."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.db import OperationalError, connections, transaction
from django.utils import timezone
from django_q.models import OrmQ

from projects.models import AnalysisState, Footage, MouthModel, Team, Webhook, WebhookDelivery
from projects.services import analysis, deliveries, webhook_secrets
from projects.services.waking import wake_analysers
from projects.services.webhooks import EVENTS
from rendering import queue, states, workers
from rendering.models import (
    UNFINISHED,
    Deliverable,
    Preset,
    RenderAttempt,
    RenderBatch,
    RenderJob,
    RenderVersion,
    TeamShare,
    WorkerNode,
)
from rendering.services import farm, mouths
from tests import factories
from tests.rendering import making, teaching


def order(team: str, modes: list[str], **job: Any) -> list[str]:
    """One batch of ``team`` with a job per mode (``ok:0.2`` takes .2 s); their public ids."""
    with transaction.atomic():
        made = Team.objects.filter(name=team).first() or factories.team(team)
        owner = User.objects.first() or factories.user("owner")
        project = factories.project(made)
        footage = factories.footage(
            factories.presenter(made), blob=factories.blob(made, f"footage of {project.pk}".encode())
        )
        preset = Preset(team=made, name="-").snapshot()
        batch = RenderBatch.objects.create(team=made, project=project, created_by=owner, preset_name="-", preset=preset)
        return [_job(batch, footage, mode, **job) for mode in modes]


def _job(batch: RenderBatch, footage: Any, mode: str, **job: Any) -> str:
    script = factories.script(batch.team)
    content = f"fake:{mode}\n{script.pk}".encode()
    take = factories.take(script, blob=factories.blob(batch.team, content, "audio/wav"))
    cell = Deliverable.objects.create(project=batch.project, presenter=footage.presenter, script=script, language="en")
    made = states.enqueue(batch=batch, deliverable=cell, footage=footage, take=take, fingerprint=f"f{cell.pk}", **job)
    assert made is not None
    return made.public_id


def jobs() -> dict[str, dict[str, Any]]:
    """Everything known about every job, by public id."""
    rows = list(RenderJob.objects.select_related("worker"))  # first: what ended by now has its version below
    tries: dict[int, list[str]] = {}
    for attempt in RenderAttempt.objects.order_by("number"):
        tries.setdefault(attempt.job_id, []).append(f"{attempt.outcome} {attempt.error_code}".strip())
    versions = list(RenderVersion.objects.values_list("job_id", "number"))
    return {
        job.public_id: {
            "state": job.state,
            "attempts": job.attempts,
            "code": job.error_code,
            "stage": job.stage,
            "progress": job.progress,
            "worker": job.worker.name if job.worker else "",
            "token": str(job.lease_token),
            "tries": tries.get(job.pk, []),
            "versions": [number for owner, number in versions if owner == job.pk],
        }
        for job in rows
    }


def starts() -> str:
    """Teams' names in the order in which their jobs were started."""
    rows = RenderAttempt.objects.order_by("started_at", "pk").values_list("job__team__name", flat=True)
    return " ".join(rows)


def nodes() -> dict[str, dict[str, Any]]:
    return {
        node.name: {
            "pid": node.pid,
            "state": node.state,
            "failures": node.failures_in_row,
            "busy": bool(node.busy_since),
            "asked": node.asked,
        }
        for node in WorkerNode.objects.all()
    }


def cancel(job: str) -> bool:
    return states.request_cancel(RenderJob.objects.get(public_id=job))


def finish_late(job: str, token: str) -> str:
    """A worker that lost its lease hands in its video."""
    late = RenderJob.objects.get(public_id=job)
    blob = factories.blob(late.team)
    finished = states.Finished(
        video=blob, poster=None, engine="1", tier="A", width=2, height=2, fps=25, duration_s=1, quality={}, seconds={}
    )
    try:
        states.succeed(late, token, finished)  # type: ignore[arg-type]
    except states.LeaseLost:
        return "refused"
    return "accepted"


def reap() -> int:
    """What opening a board does."""
    return queue.reap()


def stuck(after_s: float) -> list[str]:
    workers.STUCK_AFTER = timezone.timedelta(seconds=after_s)  # type: ignore[attr-defined]
    return workers.stuck_clusters()


def deliver_again() -> int:
    """What django-q2 does with tickets that it believes lost: all that anybody holds are there once more."""
    return OrmQ.objects.filter(lock__gt=timezone.now()).update(lock=timezone.now())


def write_for(seconds: float, threads: int) -> dict[str, int]:
    """What busy web processes do: start work, hold, release, cancel, look. Counts writes, and locks and deadlocks."""
    counts = {"writes": 0, "locked": 0}
    until = time.monotonic() + seconds

    def write(number: int) -> None:
        while time.monotonic() < until:
            try:
                ids = order(f"web {number}", ["ok:0.01"] * 3)
                made = list(RenderJob.objects.filter(public_id__in=ids))
                states.hold(made[0])
                states.release(made[0])
                queue.reap()
                with transaction.atomic():
                    for job in made[1:]:
                        states.request_cancel(job)
                counts["writes"] += 6
            except OperationalError:
                counts["locked"] += 1
            time.sleep(0.05)
        connections.close_all()

    _in_threads([lambda number=number: write(number) for number in range(threads)])
    return counts


def _in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def footage_waits() -> str:
    """Unanalysed footage, and a job that waits for it."""
    (job,) = order("waits", ["ok"])
    row = RenderJob.objects.get(public_id=job)
    type(row.footage).objects.filter(pk=row.footage_id).update(state=AnalysisState.WAITING)
    analysis.wake_analysers()
    return job


def steer(worker: str, act: str, at_once: bool = False) -> None:
    """What an operator does to a worker on the farm page: ``restart``, or the state it shall be in."""
    olga = User.objects.filter(is_staff=True).first() or factories.user("olga", is_staff=True)
    node = WorkerNode.objects.get(name=worker)
    if act == "restart":
        farm.restart_worker(actor=olga, worker=node, at_once=at_once)
    else:
        farm.set_worker_state(actor=olga, worker=node, state=WorkerNode.State(act), at_once=at_once)


def hold_waiting() -> int:
    """An operator holds every job that waits. How many."""
    olga = User.objects.filter(is_staff=True).first() or factories.user("olga", is_staff=True)
    waiting = list(RenderJob.objects.filter(state="queued"))
    for job in waiting:
        farm.hold_job(actor=olga, job=job)
    return len(waiting)


def release_held() -> None:
    olga = User.objects.get(is_staff=True)
    for job in RenderJob.objects.filter(state="held"):
        farm.release_job(actor=olga, job=job)


def requeue(job: str) -> bool:
    return states.requeue(RenderJob.objects.get(public_id=job))


def footage(mode: str) -> str:
    """Footage that waits for its analysis; its public id."""
    made = Team.objects.first() or factories.team("A")
    blob = factories.blob(made, f"fake:{mode}\n".encode())
    row = factories.footage(factories.presenter(made), blob=blob, state=AnalysisState.WAITING)
    wake_analysers()
    return row.public_id


def teach(mode: str) -> str:
    """A mouth model that a person wants; its public id."""
    team = Team.objects.first() or factories.team("T")
    owner = User.objects.first() or factories.member(team)
    return mouths.start(actor=owner, footage=teaching.film(factories.presenter(team), mode)).public_id


def mouth_model(model: str) -> dict[str, Any]:
    row = MouthModel.objects.get(public_id=model)
    same = ("state", "stage", "step", "checkpoint_step", "attempts", "worker", "figures")
    return {"code": row.error_code, **{name: getattr(row, name) for name in same}}


def stop_teaching(model: str) -> None:
    row = MouthModel.objects.select_related("footage__presenter__team").get(public_id=model)
    owner = User.objects.first()
    assert owner is not None
    mouths.cancel(actor=owner, footage=row.footage)


def footage_state(footage: str) -> dict[str, Any]:
    row = Footage.objects.get(public_id=footage)
    return {"state": row.state, "attempts": row.attempts}


def log_of(job: str) -> dict[str, Any] | None:
    """The log of its newest attempt, if there is any."""
    attempt = RenderAttempt.objects.filter(job__public_id=job).exclude(log="").order_by("-number").first()
    return attempt and {"log": attempt.log, "end": attempt.log_end, "outcome": attempt.outcome}


def end_together(jobs: int) -> dict[str, int]:
    """A batch whose jobs all end at the same moment, in threads; what its team's webhook is told, and how often."""
    order("Heard", ["ok"] * jobs)
    team = Team.objects.get(name="Heard")
    seed = webhook_secrets.new_seed()
    Webhook.objects.create(team=team, url="https://example.com/", events=list(EVENTS), seed=seed, hint="x")
    node = WorkerNode.objects.create(name="box/gpu", host="box", cluster="gpu", last_seen_at=timezone.now())
    claims = [queue.claim_next(node) for _ in range(jobs)]
    videos = [making.finished(team) for _ in range(jobs)]
    together = threading.Barrier(jobs)

    def end(number: int) -> None:
        claim = claims[number]
        assert claim is not None
        together.wait()
        with transaction.atomic():
            if number % 2:
                states.fail(claim.job, claim.token, "no_face")
            else:
                states.succeed(claim.job, claim.token, videos[number])
            time.sleep(0.1)  # all have ended before the first of them is committed, unless they take turns
        connections.close_all()

    _in_threads([lambda number=number: end(number) for number in range(jobs)])
    return dict(Counter(WebhookDelivery.objects.values_list("event", flat=True)))


def material(footage: str) -> dict[str, Any]:
    row = Footage.objects.get(public_id=footage)
    return {"state": row.state, "progress": row.progress, "attempts": row.attempts, "engine": row.analysis_engine}


def clear() -> None:
    """No work, and every worker active: for the next walk."""
    for job in RenderJob.objects.filter(state__in=UNFINISHED):
        states.request_cancel(job)
    until = time.monotonic() + 20
    while RenderJob.objects.filter(state="running").exists() and time.monotonic() < until:
        time.sleep(0.1)
    RenderJob.objects.all().delete()
    TeamShare.objects.all().delete()
    WorkerNode.objects.update(state=WorkerNode.State.ACTIVE)


def claim_deliveries(claimers: int, webhooks: int, each: int) -> dict[str, int]:
    """``claimers`` threads deliver until nothing is left: how many were claimed, how many of them twice."""
    team = factories.team("Told")
    seed = webhook_secrets.new_seed()
    for number in range(webhooks):
        url = f"https://example.com/{number}"
        hook = Webhook.objects.create(team=team, url=url, events=list(EVENTS), seed=seed, hint="x")
        for event in range(each):
            WebhookDelivery.objects.create(webhook=hook, event="job.failed", event_id=f"evt{event}", body="{}")
    claimed: list[int] = []
    together = threading.Barrier(claimers)

    def carry() -> None:
        together.wait()
        while (delivery := deliveries.claim_next(leave_out=set())) is not None:
            claimed.append(delivery.pk)
            time.sleep(0.002)
            deliveries.settle(delivery, deliveries.Result(status=204))
        connections.close_all()

    _in_threads([carry] * claimers)
    while (late := deliveries.claim_next(leave_out=set())) is not None:  # what somebody held when the others left
        claimed.append(late.pk)
        deliveries.settle(late, deliveries.Result(status=204))
    states_now = Counter(WebhookDelivery.objects.values_list("state", flat=True))
    return {"claimed": len(claimed), "twice": len(claimed) - len(set(claimed)), **states_now}
