"""How fast and how fair jobs are claimed when very much waits.

    python -m benchmarks.bench_claim [--jobs 100000] [--teams 200] [--workers 200] [--starts 4000] [--json FILE]

Every simulated worker has a database connection of its own and does, without a pause: claim a job
(``rendering.queue.claim_next``), end it (``rendering.states.fail``), again. All of it is the real code on PostgreSQL:
a server of its own, or that of ``DATABASE_URL`` (an empty database). The same is measured with little waiting first.

The fairness error of a team is by how much its share of the starts differs from its weight's share, as a part of that
share; every team has work throughout. A double is a job that was started twice for the same attempt.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.managers import ValueProxy
from multiprocessing.synchronize import Barrier, Lock
from pathlib import Path
from typing import Any

from benchmarks import crowds

LITTLE = 1000
"""Jobs of the run that the ratio is taken against."""
WARM_UP = 200
"""Starts that are not counted: connections are made, caches filled."""


def work(url: str, nodes: list[int], together: Barrier, left: ValueProxy[int], lock: Lock, out: str) -> None:
    """One process with a thread for each of ``nodes``; writes [claim began, claim ended, job, team] for every start."""
    crowds.settings_for(url, MAX_ATTEMPTS=1)
    from django.db import connections

    from rendering import queue, states
    from rendering.models import WorkerNode

    started: list[tuple[float, float, int, int]] = []

    def turn(node: WorkerNode) -> None:
        together.wait()
        while _may_start(left, lock):
            began = time.monotonic()
            claim = queue.claim_next(node)
            ended = time.monotonic()
            if claim is None:
                break
            started.append((began, ended, claim.job.pk, claim.job.team_id))
            states.fail(claim.job, claim.token, "no_face")
        connections.close_all()

    _all_at_once([lambda node=node: turn(node) for node in WorkerNode.objects.filter(pk__in=nodes)])
    Path(out).write_text(json.dumps(started))


def _may_start(left: ValueProxy[int], lock: Lock) -> bool:
    with lock:
        left.value -= 1
        return left.value >= 0


def _all_at_once(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(url: str, nodes: list[int], starts: int, processes: int) -> dict[str, Any]:
    """Let all workers claim ``starts`` jobs together."""
    context = multiprocessing.get_context("spawn")
    parts = [nodes[number::processes] for number in range(processes)]
    together, lock = context.Barrier(len(nodes)), context.Lock()
    with context.Manager() as manager:
        left = manager.Value("i", starts + WARM_UP)
        outs = [f"/tmp/heygem-claims-{os.getpid()}-{number}" for number in range(processes)]  # noqa: S108 - our own
        running = [
            context.Process(target=work, args=(url, part, together, left, lock, out))
            for part, out in zip(parts, outs, strict=True)
        ]
        for process in running:
            process.start()
        for process in running:
            process.join()
    rows = sorted((row for out in outs for row in json.loads(Path(out).read_text())), key=lambda row: row[1])
    for out in outs:
        Path(out).unlink()
    return figures(rows)


def figures(rows: list[tuple[float, float, int, int]]) -> dict[str, Any]:
    counted = rows[WARM_UP:]
    seconds = counted[-1][1] - counted[0][1]
    latency = [1000 * (ended - began) for began, ended, _, _ in counted]
    starts = Counter(team for *_, team in rows)
    even = len(rows) / len(starts)
    errors = [abs(number - even) / even for number in starts.values()]
    return {
        "starts": len(counted),
        "claims_per_s": round(len(counted) / seconds, 1),
        "latency_ms": {f"p{p}": round(crowds.percentile(latency, p), 1) for p in (50, 95, 99)},
        "teams_served": len(starts),
        "fairness_error": {"mean": round(sum(errors) / len(errors), 4), "worst": round(max(errors), 4)},
        "doubles": len(rows) - len({job for _, _, job, _ in rows}),
    }


def one_claim_ms(node: int, times: int = 100) -> float:
    """The median of a claim by one worker alone: no other waits for the processor."""
    from rendering import queue, states
    from rendering.models import WorkerNode

    worker = WorkerNode.objects.get(pk=node)
    took = []
    for _ in range(times):
        began = time.monotonic()
        claim = queue.claim_next(worker)
        took.append(1000 * (time.monotonic() - began))
        assert claim is not None
        states.fail(claim.job, claim.token, "no_face")
    return round(crowds.percentile(took, 50), 2)


def twice_told() -> int:
    """Jobs with more attempts than the table of jobs knows of: none, unless two workers had the same one."""
    from django.db.models import Count, F

    from rendering.models import RenderJob

    return RenderJob.objects.annotate(told=Count("tries")).exclude(told=F("attempts")).count()


def table(report: dict[str, Any]) -> str:
    head = ["jobs waiting", "claims/s", "p50 ms", "p95 ms", "p99 ms", "alone ms", "fairness error", "doubles"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name in ("little", "much"):
        run = report[name]
        fair = f"{100 * run['fairness_error']['mean']:.1f} % (worst {100 * run['fairness_error']['worst']:.1f} %)"
        latency = run["latency_ms"].values()
        row = [f"{run['jobs']:,}", run["claims_per_s"], *latency, run["alone_ms"], fair, run["doubles"]]
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(
        [*lines, f"ratio much/little: claims/s {report['ratio']['claims_per_s']}, alone {report['ratio']['alone']}"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--teams", type=int, default=200)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--starts", type=int, default=4000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--json", type=Path, help="write the report there too")
    options = parser.parse_args()
    with crowds.database(connections=options.workers + 40) as url:
        report = run(url, options)
    print(json.dumps(report, indent=1))
    print(table(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


def run(url: str, options: argparse.Namespace) -> dict[str, Any]:
    crowds.settings_for(url, MAX_ATTEMPTS=1)
    crowds.migrate()
    from django.db import connections

    nodes = [node.pk for node in crowds.workers(options.workers)]
    crowd = crowds.Crowd([f"Team {number}" for number in range(options.teams)])
    report: dict[str, Any] = {"machine": crowds.machine(), **{k: getattr(options, k) for k in ("teams", "workers")}}
    for name, jobs in (("little", LITTLE), ("much", options.jobs)):
        each = -(-jobs // options.teams)
        # With little waiting, only as much is started as leaves every team something.
        starts = min(options.starts, max(each * options.teams - 2 * options.teams - WARM_UP, 100))
        queued = crowd.queue(each, name)
        crowds.analyse()
        connections.close_all()
        measured = measure(url, nodes, starts, options.processes)
        report[name] = {"jobs": queued, **measured, "alone_ms": one_claim_ms(nodes[0])}
    report["ratio"] = {
        "claims_per_s": round(report["much"]["claims_per_s"] / report["little"]["claims_per_s"], 2),
        "alone": round(report["much"]["alone_ms"] / report["little"]["alone_ms"], 2),
    }
    report["attempts_not_told_truly"] = twice_told()
    return report


if __name__ == "__main__":
    main()
