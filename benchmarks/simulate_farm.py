"""A day of a large farm in some minutes: the real claim, the real states and the real reaping, with a clock of its own.

    python -m benchmarks.simulate_farm [--workers 1000] [--hours 24] [--jobs 4000] [--json FILE]

What is real: ``rendering.queue``, ``rendering.states``, ``rendering.tickets`` and ``rendering.workers``, on PostgreSQL
(a server of its own, or that of ``DATABASE_URL``). What is played: people who order batches (more by day than by
night; the largest team a hundred times as much as the smallest), machines that render for a while, fail, die and come
back, operators who pause teams and workers. ``django.utils.timezone.now`` tells the played time.

Jobs are fewer and longer than in life, so that a day can be played in minutes: their mean length is what keeps the farm
as busy as ``--load`` says, and a lease is a third of it.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import crowds

if TYPE_CHECKING:
    from rendering.models import WorkerNode
    from rendering.queue import Claim

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is played."""

    workers: int = 1000
    hours: float = 24.0
    jobs: int = 4000
    teams: int = 200
    load: float = 0.8
    """Hours of rendering that are ordered, of the workers' hours."""
    transient: float = 0.03
    """Of the attempts: fail, and are tried again."""
    permanent: float = 0.005
    """Of the attempts: fail for good."""
    lives_s: float = 48 * HOUR
    """Mean time until a worker dies."""
    seed: int = 1

    @property
    def job_s(self) -> float:
        """Mean length of a job."""
        return self.workers * self.hours * HOUR * self.load / self.jobs

    @property
    def lease_s(self) -> int:
        return int(self.job_s / 3)


class Clock:
    """The played time, in seconds since the start."""

    def __init__(self) -> None:
        self.began = datetime.now(UTC)
        self.at = 0.0

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.at)

    def seconds(self, moment: datetime) -> float:
        return (moment - self.began).total_seconds()

    @contextlib.contextmanager
    def told_by_django(self) -> Iterator[None]:
        from django.utils import timezone

        real, timezone.now = timezone.now, self.now
        try:
            yield
        finally:
            timezone.now = real


@dataclass(kw_only=True)
class Machine:
    node: WorkerNode
    is_away: bool = False
    """Dead, or cut off and working on."""
    claim: Claim | None = None


@dataclass(kw_only=True)
class Seen:
    """What only who watches all the time can know."""

    claims: int = 0
    claim_s: list[float] = field(default_factory=list)
    busy_s: float = 0.0
    wasted_s: float = 0.0
    """Of work that had to be done again."""
    deaths: int = 0
    refused_late: int = 0
    too_many: int = 0
    """Claims after which a team ran more than it may."""
    paused: int = 0
    """Claims for a team, or by a worker, that was paused."""
    most_waiting: int = 0


class Farm:
    """Everything that happens, one thing after another."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        from rendering.models import TeamShare

        self.plan, self.clock, self.chance = plan, clock, random.Random(plan.seed)  # noqa: S311 - a game
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.seen = Seen()
        self.machines = [Machine(node=node) for node in crowds.workers(plan.workers)]
        self.idle = list(self.machines)
        self.crowd = crowds.Crowd([f"Team {number}" for number in range(plan.teams)])
        sizes = [1 / (1 + number) for number in range(plan.teams)]
        self.size = {team.pk: max(size, 0.01) for team, size in zip(self.crowd.teams, sizes, strict=True)}
        self.limit: dict[int, int] = {}
        for number, team in enumerate(self.crowd.teams):
            if number % 5 == 1:
                self.limit[team.pk] = max(2, plan.workers // 50)
            shares = TeamShare.objects.filter(team=team)
            shares.update(weight=1 + number % 3, max_running=self.limit.get(team.pk))
        self.paused_teams: set[int] = set()
        self.paused_workers: set[int] = set()
        self.cells: dict[int, list[tuple[Any, Any, Any]]] = {team.pk: [] for team in self.crowd.teams}
        self.ordered = 0

    # Time

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self.at(self.clock.at + seconds, what)

    def play(self) -> None:
        end = self.plan.hours * HOUR
        self.order_all(end)
        self.every(MINUTE, self.minute)
        for machine in self.machines:
            self.after(self.chance.expovariate(1 / self.plan.lives_s), lambda m=machine: self.die(m))
        self.every(HOUR / 2, self.operators)
        while self.events and self.events[0][0] <= end:
            self.clock.at, _, what = heapq.heappop(self.events)
            what()
        self.clock.at = end

    def every(self, seconds: float, what: Callable[[], None]) -> None:
        def again() -> None:
            what()
            self.after(seconds, again)

        self.after(seconds, again)

    # People

    def order_all(self, end: float) -> None:
        """Batches over the day: most at noon, a fifth of that at midnight."""
        teams = list(self.size)
        left = self.plan.jobs
        needed: Counter[int] = Counter()
        while left > 0:
            when = self.chance.uniform(0, end)
            if self.chance.random() > 0.6 - 0.4 * math.cos(2 * math.pi * when / (24 * HOUR)):
                continue
            (team,) = self.chance.choices(teams, [self.size[team] for team in teams])
            jobs = min(left, self.chance.choice([1, 2, 5, 10, 20, 50]))
            left -= jobs
            needed[team] += jobs
            self.at(when, lambda team=team, jobs=jobs: self.order(team, jobs))
        for team, number in needed.items():
            self.cells[team] = self.crowd.cells(number, f"cells {team}", of=team)

    def order(self, team: int, jobs: int) -> None:
        from rendering import states

        priority = 5 if self.chance.random() < 0.02 else 0
        for _ in range(jobs):
            cell, footage, take = self.cells[team].pop()
            mark = f"farm {cell.pk}"
            made = states.enqueue(
                batch=self.crowd.batch[team],
                deliverable=cell,
                footage=footage,
                take=take,
                fingerprint=mark,
                priority=priority,
            )
            assert made is not None
            self.ordered += 1
        self.dispatch()

    def operators(self) -> None:
        """Teams and workers are paused for half an hour; who was put in quarantine is released."""
        from rendering import queue
        from rendering.models import TeamShare, WorkerNode

        TeamShare.objects.update(paused_at=None)
        WorkerNode.objects.exclude(state="active").update(state="active", failures_in_row=0)
        self.paused_teams = set(self.chance.sample(list(self.size), max(1, self.plan.teams // 50)))
        TeamShare.objects.filter(team__in=self.paused_teams).update(paused_at=self.clock.now())
        some = self.chance.sample(self.machines, max(1, self.plan.workers // 50))
        self.paused_workers = {machine.node.pk for machine in some}
        WorkerNode.objects.filter(pk__in=self.paused_workers).update(state="paused")
        queue.top_up()
        self.dispatch()

    # Machines

    def minute(self) -> None:
        from rendering import queue
        from rendering.models import JobState, RenderJob, WorkerNode

        if round(self.clock.at / MINUTE) % 4 == 0:  # seen recently enough
            living = [machine.node.pk for machine in self.machines if not machine.is_away]
            WorkerNode.objects.filter(pk__in=living).update(last_seen_at=self.clock.now())
            waiting = RenderJob.objects.filter(state=JobState.QUEUED).count()
            self.seen.most_waiting = max(self.seen.most_waiting, waiting)
            queue.tidy()
        queue.reap()
        self.dispatch()

    def dispatch(self) -> None:
        """Idle workers take tickets, in any order, until there are none; one of those that are paused passes one on."""
        self.chance.shuffle(self.idle)
        waiting = [machine for machine in self.idle if machine.node.pk not in self.paused_workers]
        waiting += [machine for machine in self.idle if machine.node.pk in self.paused_workers][:1]
        while waiting and self.take_ticket():
            self.run_ticket(waiting.pop())

    def take_ticket(self) -> bool:
        from django_q.models import OrmQ

        ticket = OrmQ.objects.filter(key="gpu", lock__lte=self.clock.now()).first()
        return ticket is not None and bool(OrmQ.objects.filter(pk=ticket.pk).delete()[0])

    def run_ticket(self, machine: Machine) -> None:
        """As ``rendering.execution.render.run_ticket`` does it."""
        from rendering import queue, tickets, workers

        if not workers.may_work(machine.node):
            tickets.pass_on()
            return
        began = time.monotonic()
        claim = queue.claim_next(machine.node)
        self.seen.claim_s.append(time.monotonic() - began)
        if claim is None:
            return
        queue.top_up()
        self.begin(machine, claim)

    def begin(self, machine: Machine, claim: Claim) -> None:
        self.idle.remove(machine)
        machine.claim = claim
        team = claim.job.team_id
        self.seen.claims += 1
        self.watch(machine, team)
        length = self.chance.lognormvariate(0, 0.6) / math.exp(0.18) * self.plan.job_s
        luck = self.chance.random()
        if luck < self.plan.transient + self.plan.permanent:
            length *= self.chance.random()
            kind = "permanent" if luck < self.plan.permanent else "suspect"
            self.after(length, lambda: self.fail(machine, claim, kind))
        else:
            self.after(length, lambda: self.succeed(machine, claim))
        step = 0.8 * self.plan.lease_s
        for number in range(1, int(length / step) + 1):
            self.after(number * step, lambda n=number: self.report(machine, claim, n))

    def watch(self, machine: Machine, team: int) -> None:
        from rendering.models import JobState, RenderJob

        if team in self.limit:
            running = RenderJob.objects.filter(state=JobState.RUNNING, team=team).count()
            self.seen.too_many += running > self.limit[team]
        self.seen.paused += team in self.paused_teams or machine.node.pk in self.paused_workers

    def report(self, machine: Machine, claim: Claim, number: int) -> None:
        from rendering import states

        if machine.claim is claim and not machine.is_away:
            with contextlib.suppress(states.LeaseLost):
                states.report(claim.job, claim.token, "compose", min(99, 10 * number))

    def succeed(self, machine: Machine, claim: Claim) -> None:
        from rendering import states, workers

        video = claim.job.footage.blob
        made = {"engine": "1.0", "tier": "A", "width": 2, "height": 2, "fps": 25.0, "duration_s": 1.0}
        finished = states.Finished(video=video, poster=None, quality={}, seconds={}, **made)
        if machine.is_away and machine.claim is claim:  # cut off: it hands in when it is back
            self.after(MINUTE, lambda: self.succeed(machine, claim))
        elif self.end(machine, claim, lambda: states.succeed(claim.job, claim.token, finished)):
            workers.note_success(machine.node, claim.job)
            self.free(machine)

    def fail(self, machine: Machine, claim: Claim, kind: Any) -> None:
        from rendering import states, workers

        code = "no_face" if kind == "permanent" else "engine_crashed"
        if self.end(machine, claim, lambda: states.fail(claim.job, claim.token, code, kind=kind)):
            workers.note_failure(machine.node, claim.job)
            self.after(MINUTE, self.dispatch)  # its back-off is over by then
            self.free(machine)

    def end(self, machine: Machine, claim: Claim, how: Callable[[], object]) -> bool:
        """False: the machine has died since, or hands in too late."""
        from rendering import states

        if machine.claim is not claim:
            return False
        machine.claim = None
        try:
            how()
        except states.LeaseLost:
            self.seen.refused_late += 1
            self.free(machine)
            return False
        return True

    def free(self, machine: Machine) -> None:
        from rendering import queue

        self.idle.append(machine)
        queue.reap()
        self.dispatch()

    def die(self, machine: Machine) -> None:
        """Now, without a word; it comes back after a while, before or after its lease is over.

        Every second one was only cut off, and works on what it believes to be its job.
        """
        self.after(self.chance.expovariate(1 / self.plan.lives_s), lambda: self.die(machine))
        if machine.is_away:
            return
        self.seen.deaths += 1
        if machine in self.idle:
            self.idle.remove(machine)
        machine.is_away = True
        if self.seen.deaths % 2:
            machine.claim = None
        self.after(self.chance.expovariate(1 / self.plan.lease_s), lambda: self.come_back(machine))

    def come_back(self, machine: Machine) -> None:
        from rendering import queue

        machine.is_away = False
        if machine.claim is None:
            queue.forget_predecessor(machine.node)
            self.free(machine)


def told(farm: Farm) -> dict[str, Any]:
    """What became of the day, from the tables."""
    from django.db.models import Count, F, Min, Q

    from rendering.models import JobState, RenderAttempt, RenderJob, RenderVersion

    plan, clock, seen = farm.plan, farm.clock, farm.seen
    first = RenderJob.objects.annotate(begun=Min("tries__started_at")).exclude(begun=None)
    rows = list(first.values_list("team", "created_at", "begun"))
    waits = [(team, (begun - created).total_seconds()) for team, created, begun in rows]
    for started, ended, outcome in RenderAttempt.objects.values_list("started_at", "ended_at", "outcome"):
        spent = (clock.seconds(ended) if ended else clock.at) - clock.seconds(started)
        seen.busy_s += spent
        seen.wasted_s += spent * (outcome not in ("succeeded", "running"))
    states = Counter(RenderJob.objects.values_list("state", flat=True))
    again = Q(tries__outcome="succeeded")
    doubles = RenderJob.objects.annotate(done=Count("tries", filter=again)).filter(done__gt=1).count()
    untold = RenderJob.objects.annotate(told=Count("tries")).filter(told__lt=F("attempts")).count()
    over = clock.now() - timedelta(minutes=2)
    leaseless = RenderJob.objects.filter(state=JobState.RUNNING, lease_expires_at__lt=over)
    return {
        "workers": plan.workers,
        "hours": plan.hours,
        "teams": plan.teams,
        "jobs": farm.ordered,
        "mean_job_minutes": round(plan.job_s / MINUTE, 1),
        "lease_minutes": round(plan.lease_s / MINUTE, 1),
        "utilisation": round(seen.busy_s / (plan.workers * plan.hours * HOUR), 3),
        "lost_work": round(seen.wasted_s / max(seen.busy_s, 1), 4),
        "deaths": seen.deaths,
        "late_and_refused": seen.refused_late,
        "attempts": dict(Counter(RenderAttempt.objects.values_list("outcome", flat=True))),
        "states": dict(states),
        "most_waiting": seen.most_waiting,
        "claims": seen.claims,
        "claim_ms": {f"p{p}": round(1000 * crowds.percentile(seen.claim_s, p), 1) for p in (50, 95, 99)},
        "waiting_minutes": waiting(farm, waits),
        "waiting_minutes_by_team": [_spread([team], waits) for team in _by_size(farm)],
        "broken": {
            "doubles": doubles + RenderVersion.objects.count() - states["succeeded"],
            "jobs_lost": farm.ordered - sum(states.values()) + leaseless.count(),
            "more_than_a_team_may": seen.too_many,
            "started_while_paused": seen.paused,
            "attempts_not_told": untold,
        },
    }


def waiting(farm: Farm, waits: list[tuple[int, float]]) -> dict[str, Any]:
    """From the order to the first start, in minutes: of all jobs, and of teams by how much they order."""
    ranked = _by_size(farm)
    groups = {
        "all": ranked,
        "largest_team": ranked[:1],
        "next_ten": ranked[1:11],
        "next_fifty": ranked[11:61],
        "all_smaller": ranked[61:],
        "with_a_limit": list(farm.limit),
    }
    return {name: _spread(teams, waits) for name, teams in groups.items()}


def _by_size(farm: Farm) -> list[int]:
    """Teams, the one that orders most first."""
    return sorted(farm.size, key=lambda team: -farm.size[team])


def _spread(teams: Iterable[int], waits: list[tuple[int, float]]) -> dict[str, float]:
    """How many jobs of these teams began, and for how many minutes they had waited."""
    wanted = set(teams)
    minutes = [seconds / MINUTE for team, seconds in waits if team in wanted]
    return {"jobs": len(minutes), **{f"p{p}": round(crowds.percentile(minutes, p), 1) for p in (50, 95)}}


def simulate(plan: Plan) -> dict[str, Any]:
    """Play it on the database that Django is set up with, whose tables are empty."""
    from django.conf import settings

    clock = Clock()
    before, settings.LEASE_SECONDS = settings.LEASE_SECONDS, plan.lease_s
    try:
        with clock.told_by_django():
            farm = Farm(plan, clock)
            farm.play()
            return told(farm)
    finally:
        settings.LEASE_SECONDS = before


def table(report: dict[str, Any]) -> str:
    lines = ["| Jobs of | number | waiting, median | waiting, p95 |", "| --- | --- | --- | --- |"]
    for name, row in report["waiting_minutes"].items():
        lines.append(f"| {name.replace('_', ' ')} | {row['jobs']} | {row['p50']} min | {row['p95']} min |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("workers", "hours", "jobs", "teams", "load", "seed"):
        default = getattr(Plan, name)
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--json", type=Path, help="write the report there too")
    options = vars(parser.parse_args())
    out = options.pop("json")
    began = time.monotonic()
    with crowds.database(connections=20) as url:
        crowds.settings_for(url)
        crowds.migrate()
        report = simulate(Plan(**options))
        report |= {"machine": crowds.machine(), "played_in_s": round(time.monotonic() - began)}
    print(json.dumps(report, indent=1))
    print(table(report))
    if out:
        out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
