"""How long people wait for pages when very much is kept, and 50 of them are there at once.

    python -m benchmarks.bench_web [--teams 100] [--people 50] [--seconds 120] [--json FILE]

A PostgreSQL server of its own and gunicorn as in the Procfile, twice: on an almost empty database (one team with one
project, its board as large as every board of the other) and on one with 100,000 versions (100 teams of ten projects of
50 cells with two versions each, their jobs, attempts, stored files and audit events). Each person is signed in, asks
for a page, reads for two to six seconds, asks for the next, in an order of their own; the times are until the last
byte. The ratio is the 95th percentile on the full database over that on the almost empty one, of the same page in the
same run.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import shlex
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks import crowds
from benchmarks.library import Size

READING_S = (2.0, 6.0)
WARM_UP_S = 15.0
Pages = dict[str, list[float]]
"""Seconds by page."""
KEY = "a key for benchmarks alone: " + "0123456789abcdef" * 3


def prepare(teams: int, projects: int, people: int) -> None:
    """In a process of its own: fill the database of ``DATABASE_URL`` and print each person's cookie and addresses."""
    crowds.settings_for(os.environ["DATABASE_URL"])
    crowds.migrate()
    from django.contrib.auth.models import User
    from django.db import connection

    from benchmarks import library

    persons = User.objects.bulk_create(
        User(username=f"person{number}", email=f"person{number}@example.com", is_staff=number % 10 == 0)
        for number in range(people)
    )
    size = Size(teams=teams, projects=projects)
    began = time.monotonic()
    by_team = dict(library.fill(size, persons))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    told = [_walk_of(person, team, by_team[team]) for person, team in zip(persons, _again(list(by_team)), strict=False)]
    about = {"versions": size.made, "seconds": round(time.monotonic() - began), "machine": crowds.machine()}
    print(json.dumps({"walks": told, **about}))


def _again(things: list[Any]) -> list[Any]:
    return things * 100


def _walk_of(person: Any, team: Any, projects: list[Any]) -> dict[str, Any]:
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.urls import reverse

    from rendering.models import Deliverable

    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[1]
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.save()
    project = projects[-1]
    cell = Deliverable.objects.filter(project=project).order_by("-pk")[0]

    def at(name: str, *words: str) -> str:
        return reverse(name, args=words)

    own = (team.public_id,)
    pages = {
        "front page": at("rendering:home"),
        "board": at("rendering:board", project.public_id),
        "board, what changed": at("rendering:board_changes", project.public_id) + "?since=999",
        "cell with its history": at("rendering:cell", cell.public_id),
        "presenters": at("projects:presenters", *own),
        "presenter": at("projects:presenter", cell.presenter.public_id),
        "scripts": at("projects:scripts", *own),
        "script": at("projects:script", cell.script.public_id),
        "exports": at("rendering:exports", *own),
        "team settings": at("projects:team_settings", *own),
        "members": at("projects:members", *own),
        **{f"API: {name}": f"/api/v1/{name}/" for name in ("projects", "presenters", "batches", "jobs", "versions")},
        "API: one project's versions": f"/api/v1/versions/?project={project.public_id}",
        "API: board": f"/api/v1/projects/{project.public_id}/board/",
        "API: usage": f"/api/v1/teams/{team.public_id}/usage/",
    }
    if person.is_staff:
        pages |= {
            "farm": at("rendering:farm"),
            "farm, now": at("rendering:farm_now"),
            "farm, throughput": at("rendering:farm_rates"),
            "farm, jobs": at("rendering:farm_jobs"),
            "farm, storage": at("rendering:farm_storage"),
            "farm, audit": at("rendering:farm_audit"),
            "metrics": "/metrics",
        }
    return {"cookie": f"{settings.SESSION_COOKIE_NAME}={session.session_key}", "pages": pages}


class Reader(threading.Thread):
    """One person, who reads until it is over."""

    def __init__(self, walk: dict[str, Any], port: int, until: float, number: int) -> None:
        super().__init__(daemon=True)
        self.walk, self.port, self.until = walk, port, until
        self.chance = random.Random(number)  # noqa: S311 - an order of pages
        self.times: list[tuple[float, str, float, int]] = []
        """When, which page, seconds, status."""

    def run(self) -> None:
        time.sleep(self.chance.uniform(0, READING_S[1]))
        while True:
            for name in self.chance.sample(sorted(self.walk["pages"]), len(self.walk["pages"])):
                if time.monotonic() > self.until:
                    return
                began = time.monotonic()
                line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
                line.request("GET", self.walk["pages"][name], headers={"Cookie": self.walk["cookie"]})
                answer = line.getresponse()
                answer.read()
                line.close()
                self.times.append((began, name, time.monotonic() - began, answer.status))
                time.sleep(self.chance.uniform(*READING_S))


def serve(url: str, port: int) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        **{"DATABASE_URL": url, "SECRET_KEY": KEY, "LOG_LEVEL": "ERROR", "API_REQUESTS_A_MINUTE": "100000"},
        **{"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": os.environ.get("WEB_CONCURRENCY", "2")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    line = next(line for line in (crowds.ROOT / "Procfile").read_text().splitlines() if line.startswith("web:"))
    words = re.sub(r"\$(\w+)", lambda match: env[match[1]], line.partition(":")[2])
    return subprocess.Popen(shlex.split(words), cwd=crowds.ROOT, env=env)


def walk(prepared: dict[str, Any], port: int, seconds: float) -> Pages:
    """Seconds of each page. Ends the program when a page is refused."""
    begin = time.monotonic()
    people = [Reader(told, port, begin + WARM_UP_S + seconds, number) for number, told in enumerate(prepared["walks"])]
    for person in people:
        person.start()
    for person in people:
        person.join()
    pages: Pages = defaultdict(list)
    for began, name, took, status in (time_ for person in people for time_ in person.times):
        if status != 200:
            sys.exit(f"{name} was answered with {status}")
        if began - begin > WARM_UP_S:
            pages[name].append(took)
    return pages


def p95(times: list[float]) -> float:
    """Milliseconds."""
    return statistics.quantiles(times, n=20, method="inclusive")[-1] * 1000 if len(times) > 1 else times[0] * 1000


def measure(
    server: Any, name: str, options: argparse.Namespace, *, full: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    from tests.postgres import free_port

    url = server.new_database(name)
    teams, projects = (options.teams, options.projects) if full else (1, 1)
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_web", "--prepare", f"{teams},{projects},{options.people}"],
        env={**os.environ, "DATABASE_URL": url},
        cwd=crowds.ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    prepared = json.loads(made.stdout.splitlines()[-1])
    print(f"{name}: {prepared['versions']} versions, filled in {prepared['seconds']} s", file=sys.stderr)
    port = free_port()
    with serve(url, port) as web:
        try:
            _wait_for(port)
            pages = walk(prepared, port, options.seconds)
        finally:
            web.terminate()
    return prepared, pages


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            line.request("GET", "/healthz")
            line.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("the site does not answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teams", type=int, default=100)
    parser.add_argument("--projects", type=int, default=10)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        prepare(*(int(number) for number in options.prepare.split(",")))
        return
    from tests.postgres import binaries, running

    found = binaries()
    if found is None:
        sys.exit("PostgreSQL's server binaries are not on this machine (Debian: postgresql)")
    with running(found) as server:
        few, small = measure(server, "almost_empty", options, full=False)
        many, large = measure(server, "full", options, full=True)
    report = {
        "machine": many["machine"],
        "people": options.people,
        "versions": {"almost empty": few["versions"], "full": many["versions"]},
        "requests": sum(len(times) for times in large.values()),
        "pages": {
            page: {
                "empty_p50_ms": round(statistics.median(small[page]) * 1000),
                "empty_p95_ms": round(p95(small[page])),
                "full_p50_ms": round(statistics.median(large[page]) * 1000),
                "full_p95_ms": round(p95(large[page])),
                "ratio": round(p95(large[page]) / p95(small[page]), 2),
                "asked": len(large[page]),
            }
            for page in large
            if page in small
        },
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))


def table(report: dict[str, Any]) -> str:
    lines = ["| Page | p95, almost empty | p95, full | ratio | asked |", "|---|---|---|---|---|"]
    lines += [
        f"| {page} | {row['empty_p95_ms']} ms | {row['full_p95_ms']} ms | {row['ratio']} | {row['asked']} |"
        for page, row in report["pages"].items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
