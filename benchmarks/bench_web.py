"""How long people wait for pages when very much is kept, and 50 of them are there at once.

    python -m benchmarks.bench_web [--teams 100] [--people 50] [--seconds 120] [--json FILE]

A PostgreSQL server of its own, and gunicorn as in the Procfile, twice and at the same time: on an almost empty database
(one team with one project, its board as large as every board of the other) and on one with 100,000 versions (100 teams
of ten projects of 50 cells with two versions each, their jobs, attempts, stored files and audit events, over a year).
Each person is signed in on both, asks for a page on one of them and, after reading for two to six seconds, for the same
page on the other, then for the next, in an order of their own: what else the machine does at a moment meets both alike.
The times are until the last byte; the ratio is the 95th percentile on the full one over that on the almost empty one.
"""

from __future__ import annotations

import argparse
import contextlib
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
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Place:
    """One of the two sites, as one person knows it."""

    port: int
    cookie: str
    pages: dict[str, str]

    def ask(self, name: str) -> tuple[float, int]:
        """Seconds until the last byte of the page, and its status."""
        began = time.monotonic()
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        line.request("GET", self.pages[name], headers={"Cookie": self.cookie})
        answer = line.getresponse()
        answer.read()
        line.close()
        return time.monotonic() - began, answer.status


class Reader(threading.Thread):
    """One person, who reads until it is over: each page on both sites, now on this one first and now on that."""

    def __init__(self, places: dict[str, Place], begin: float, seconds: float, number: int) -> None:
        super().__init__(daemon=True)
        self.places, self.begin, self.until = places, begin + WARM_UP_S, begin + WARM_UP_S + seconds
        self.chance = random.Random(number)  # noqa: S311 - an order of pages
        self.times: list[tuple[str, str, float]] = []
        """Which page, on which site, seconds."""
        self.refused = ""

    def run(self) -> None:
        time.sleep(self.chance.uniform(0, READING_S[1]))
        names = sorted(self.places["full"].pages)
        while True:
            for name in self.chance.sample(names, len(names)):
                for site in self.chance.sample(sorted(self.places), len(self.places)):
                    now = time.monotonic()
                    if now > self.until:
                        return
                    took, status = self.places[site].ask(name)
                    if status not in (200, 204):
                        self.refused = f"{name} was answered with {status}"
                        return
                    if now > self.begin:
                        self.times.append((name, site, took))
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


def walk(prepared: dict[str, dict[str, Any]], ports: dict[str, int], seconds: float) -> dict[str, Pages]:
    """Seconds of each page on each site."""
    begin = time.monotonic()
    people = [
        Reader({site: Place(ports[site], **told) for site, told in zip(prepared, both, strict=True)}, begin, seconds, n)
        for n, both in enumerate(zip(*(prepared[site]["walks"] for site in prepared), strict=True))
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    if refused := {person.refused for person in people if person.refused}:
        sys.exit("; ".join(sorted(refused)))
    found: dict[str, Pages] = {site: defaultdict(list) for site in prepared}
    for name, site, took in (time_ for person in people for time_ in person.times):
        found[site][name].append(took)
    return found


def p95(times: list[float]) -> float:
    """Milliseconds."""
    return statistics.quantiles(times, n=20, method="inclusive")[-1] * 1000 if len(times) > 1 else times[0] * 1000


def fill(server: Any, name: str, teams: int, projects: int, people: int) -> tuple[str, dict[str, Any]]:
    """A database, and what each person does on it."""
    url = server.new_database(name)
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_web", "--prepare", f"{teams},{projects},{people}"],
        env={**os.environ, "DATABASE_URL": url},
        cwd=crowds.ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    prepared = json.loads(made.stdout.splitlines()[-1])
    print(f"{name}: {prepared['versions']} versions, filled in {prepared['seconds']} s", file=sys.stderr)
    return url, prepared


def measure(sites: dict[str, tuple[str, dict[str, Any]]], seconds: float) -> dict[str, Any]:
    """``sites``: the database's address and what was prepared on it, of ``empty`` and of ``full``."""
    from tests.postgres import free_port

    ports = {site: free_port() for site in sites}
    prepared = {site: told for site, (_url, told) in sites.items()}
    with contextlib.ExitStack() as stack:
        for site, (url, _told) in sites.items():
            web = stack.enter_context(serve(url, ports[site]))
            stack.callback(web.terminate)
        for port in ports.values():
            _wait_for(port)
        pages = walk(prepared, ports, seconds)
    return report_of(prepared, pages)


def report_of(prepared: dict[str, dict[str, Any]], pages: dict[str, Pages]) -> dict[str, Any]:
    def told(page: str) -> dict[str, float]:
        small, large = pages["empty"][page], pages["full"][page]
        return {
            "empty_p50_ms": round(statistics.median(small) * 1000),
            "empty_p95_ms": round(p95(small)),
            "full_p50_ms": round(statistics.median(large) * 1000),
            "full_p95_ms": round(p95(large)),
            "ratio": round(p95(large) / p95(small), 2),
            "asked": len(large),
        }

    return {
        "machine": prepared["full"].get("machine"),
        "people": len(prepared["full"]["walks"]),
        "versions": {site: told_["versions"] for site, told_ in prepared.items()},
        "requests": sum(len(times) for site in pages.values() for times in site.values()),
        "pages": {page: told(page) for page in sorted(pages["full"]) if pages["empty"][page]},
    }


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
        sites = {
            "empty": fill(server, "almost_empty", 1, 1, options.people),
            "full": fill(server, "full", options.teams, options.projects, options.people),
        }
        report = measure(sites, options.seconds)
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
