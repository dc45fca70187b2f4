"""Many teams with much to render, on a PostgreSQL server: what the benchmarks of the queue begin with."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from projects.models import Team
    from rendering.models import RenderBatch, WorkerNode

ROOT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def database(connections: int) -> Iterator[str]:
    """The address of an empty database: of ``DATABASE_URL``, else of a PostgreSQL server for as long as this lasts."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    from tests.postgres import binaries, running

    found = binaries()
    if found is None:
        sys.exit("PostgreSQL's server binaries are not on this machine: set DATABASE_URL.")
    with running(found, connections=connections) as server:
        yield server.new_database("crowd")


def settings_for(url: str, **more: object) -> None:
    """Set Django up on the database at ``url``. Called once, before any model is imported."""
    folder = Path(tempfile.gettempdir()) / f"heygem-crowd-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    given = {"SECRET_KEY": "a key for benchmarks alone: " + "0123456789abcdef" * 3, "MEDIA_ROOT": str(folder)}
    os.environ.update(given | {"DATABASE_URL": url, "LOG_LEVEL": "ERROR"} | {k: str(v) for k, v in more.items()})
    os.environ["DJANGO_SETTINGS_MODULE"] = "heygem_site.settings"
    import django

    django.setup()


def migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


class Crowd:
    """Teams with footage, each with one project and one batch; :meth:`cells` gives them something to render."""

    def __init__(self, names: list[str], *, presenters: int = 5) -> None:
        from projects.models import AnalysisState, Footage, Presenter, Project, Team
        from rendering.models import Board, Preset, RenderBatch, TeamShare

        self.teams = Team.objects.bulk_create(Team(name=name) for name in names)
        TeamShare.objects.bulk_create(TeamShare(team=team) for team in self.teams)
        projects = Project.objects.bulk_create(Project(team=team, name=team.name) for team in self.teams)
        self.project = {project.team_id: project for project in projects}
        Board.objects.bulk_create(Board(project=project) for project in projects)
        preset = Preset(name="-").snapshot()
        batches = RenderBatch.objects.bulk_create(
            RenderBatch(team=team, project=self.project[team.pk], preset_name="-", preset=preset) for team in self.teams
        )
        self.batch: dict[int, RenderBatch] = {batch.team_id: batch for batch in batches}
        people = Presenter.objects.bulk_create(
            Presenter(team=team, name=f"Presenter {number}") for team in self.teams for number in range(presenters)
        )
        films, analyses = (self._blobs([person.team for person in people], kind) for kind in ("film", "analysis"))
        footage = Footage.objects.bulk_create(
            Footage(
                presenter=person, blob=film, analysis=found, name="-", state=AnalysisState.READY, duration_s=20, fps=25
            )
            for person, film, found in zip(people, films, analyses, strict=True)
        )
        self.footage: dict[int, list[Footage]] = {team.pk: [] for team in self.teams}
        for film in footage:
            self.footage[film.presenter.team_id].append(film)

    def _blobs(self, owners: list[Team], kind: str) -> list[Any]:
        from projects.models import MediaBlob, new_public_id

        return MediaBlob.objects.bulk_create(
            MediaBlob(
                team=team,
                sha256=hashlib.sha256(f"{kind} {number} {team.pk}".encode()).hexdigest(),
                size=1000,
                path=f"{kind}/{new_public_id()}",
                content_type="video/mp4",
            )
            for number, team in enumerate(owners)
        )

    def cells(self, number: int, name: str, *, of: int | None = None) -> list[tuple[Any, Any, Any]]:
        """For each team (or the one ``of`` this id) ``number`` empty cells: (deliverable, footage, take).

        ``name`` is new for every call.
        """
        from projects.models import AnalysisState, AudioTake, Script, ScriptVersion
        from rendering.models import Deliverable

        teams = [team for team in self.teams if of in (None, team.pk)]
        owners = [team for _ in range(-(-number // self._presenters)) for team in teams]
        scripts = Script.objects.bulk_create(Script(team=team, title=name) for team in owners)
        texts = ScriptVersion.objects.bulk_create(
            ScriptVersion(script=script, language="en", number=1) for script in scripts
        )
        takes = AudioTake.objects.bulk_create(
            AudioTake(script_version=text, blob=blob, name="-", state=AnalysisState.READY, duration_s=20)
            for text, blob in zip(texts, self._blobs(owners, name), strict=True)
        )

        def cell(team: Team, film: Any, script: Any) -> Deliverable:
            project = self.project[team.pk]
            return Deliverable(project=project, presenter=film.presenter, script=script, language="en")

        made = [
            (cell(team, film, script), film, take)
            for team, script, take in zip(owners, scripts, takes, strict=True)
            for film in self.footage[team.pk]
        ]
        Deliverable.objects.bulk_create((made_of for made_of, _, _ in made), batch_size=5000)
        return made

    @property
    def _presenters(self) -> int:
        return len(next(iter(self.footage.values())))

    def queue(self, number: int, name: str) -> int:
        """For each team ``number`` waiting jobs, written straight into the table. Returns how many."""
        from rendering.models import RenderJob

        jobs = RenderJob.objects.bulk_create(
            (
                RenderJob(
                    batch=self.batch[take.script_version.script.team_id],
                    team_id=take.script_version.script.team_id,
                    deliverable=cell,
                    footage=film,
                    take=take,
                    fingerprint=f"{name}{cell.pk}",
                    backend="exemplar",
                )
                for cell, film, take in self.cells(number, name)
            ),
            batch_size=5000,
        )
        return len(jobs)


def workers(number: int, *, hosts: int = 0, **fields: Any) -> list[WorkerNode]:
    """Workers that can render everything, on as many hosts (each on its own unless told)."""
    from django.utils import timezone

    from rendering.fingerprint import ENGINE_VERSION
    from rendering.models import WorkerNode

    known = {"cluster": "gpu", "engine": ENGINE_VERSION, "backends": ["exemplar"], "last_seen_at": timezone.now()}
    return WorkerNode.objects.bulk_create(
        WorkerNode(name=f"host{n % (hosts or number)}/gpu#{n}", host=f"host{n % (hosts or number)}", **(known | fields))
        for n in range(number)
    )


def analyse() -> None:
    """What autovacuum does now and then on a database that lives."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from django.db import connection

    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone()
        cursor.execute("SHOW fsync")
        (fsync,) = cursor.fetchone()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": model.partition(":")[2].strip() or platform.machine(),
        "memory_gib": round(int(memory.split()[1]) / 2**20, 1),
        "python": platform.python_version(),
        "postgresql": version,
        "fsync": fsync,
    }


def percentile(values: list[float], percent: float) -> float:
    """Of sorted or unsorted ``values``; 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] if ordered else 0.0
