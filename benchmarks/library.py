"""Teams that have worked for a year: boards full of versions, with the jobs, attempts and notes that made them."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

STAGES = {"prepare": 0.2, "listen": 0.5, "lip-sync": 1.5, "compose": 14.0, "check": 0.8}
YEAR_DAYS = 365
"""What was made lies this far back, at most."""
CHUNK = 5000
"""Rows written at a time."""
_numbers = itertools.count()
chance = random.Random(7)  # noqa: S311 - when something was made


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything there is."""

    teams: int
    projects: int
    """For each team."""
    presenters: int = 10
    """Rows of a board; a team keeps twice as many."""
    scripts: int = 5
    """Columns of a board; a team keeps twice as many."""
    versions: int = 2
    """In each cell."""
    waiting: int = 10
    """Jobs of each team that wait."""

    @property
    def made(self) -> int:
        return self.teams * self.projects * self.presenters * self.scripts * self.versions


def blobs(owners: Iterable[Any], content_type: str) -> list[Any]:
    """A stored file's row for each team of ``owners``; there are no bytes behind it."""
    from projects.models import MediaBlob, new_public_id

    rows = (
        MediaBlob(
            team=team,
            sha256=hashlib.sha256(str(next(_numbers)).encode()).hexdigest(),
            size=4_000_000,
            path=f"blobs/{new_public_id()}",
            content_type=content_type,
        )
        for team in owners
    )
    return MediaBlob.objects.bulk_create(rows, batch_size=CHUNK)


def fill(size: Size, people: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Make it all; ``people`` are spread over the teams as managers. Each team with its projects."""
    from projects.models import Membership, Role, Team

    teams = Team.objects.bulk_create(Team(name=f"Team {number:04d}") for number in range(size.teams))
    Membership.objects.bulk_create(
        Membership(team=team, user=person, role=Role.MANAGER)
        for person, team in zip(people, itertools.cycle(teams), strict=False)
    )
    for team in teams:
        yield team, _team(team, size)


def _team(team: Any, size: Size) -> list[Any]:
    from projects.models import (
        AnalysisState,
        AudioTake,
        Footage,
        Presenter,
        Project,
        ProjectPresenter,
        ProjectScript,
        Script,
        ScriptVersion,
    )
    from rendering.models import Board

    faces = Presenter.objects.bulk_create(
        Presenter(team=team, name=f"Presenter {n}") for n in range(size.presenters * 2)
    )
    owners = [team] * len(faces)
    films, posters = blobs(owners, "video/mp4"), blobs(owners, "image/jpeg")
    ready = {"state": AnalysisState.READY, "duration_s": 20.0}
    known = {**ready, "width": 1080, "height": 1920, "fps": 25.0, "has_audio": True, "tier": "A"}
    footage = Footage.objects.bulk_create(
        Footage(presenter=face, blob=film, poster=poster, name="footage.mp4", speech_spans=[[0, 20]], **known)
        for face, film, poster in zip(faces, films, posters, strict=True)
    )
    scripts = Script.objects.bulk_create(Script(team=team, title=f"Script {n}") for n in range(size.scripts * 2))
    texts = ScriptVersion.objects.bulk_create(
        ScriptVersion(script=script, language="en", number=1, text="What is said. " * 20) for script in scripts
    )
    sounds = blobs([team] * len(texts), "audio/wav")
    takes = AudioTake.objects.bulk_create(
        AudioTake(script_version=text, blob=sound, name="take.wav", waveform=[0, 120, 255, 90] * 50, **ready)
        for text, sound in zip(texts, sounds, strict=True)
    )
    projects = Project.objects.bulk_create(Project(team=team, name=f"Project {n}") for n in range(size.projects))
    Board.objects.bulk_create(Board(project=project, revision=1000) for project in projects)
    ProjectPresenter.objects.bulk_create(
        ProjectPresenter(project=project, presenter=face, position=n)
        for project in projects
        for n, face in enumerate(faces[: size.presenters])
    )
    ProjectScript.objects.bulk_create(
        ProjectScript(project=project, script=script, position=n)
        for project in projects
        for n, script in enumerate(scripts[: size.scripts])
    )
    for project in projects:
        _project(project, footage[: size.presenters], takes[: size.scripts], size)
    _wait(team, projects[-1], size.waiting)
    return list(projects)


def _project(project: Any, footage: list[Any], takes: list[Any], size: Size) -> None:
    from django.utils import timezone

    from projects.models import AuditEvent
    from rendering.fingerprint import ENGINE_VERSION, fingerprint
    from rendering.models import Deliverable, JobState, Preset, RenderAttempt, RenderBatch, RenderJob, RenderVersion

    preset, now, team = Preset(name="-").snapshot(), timezone.now(), project.team
    material = [(film, take) for film in footage for take in takes]
    cells = Deliverable.objects.bulk_create(
        Deliverable(
            project=project, presenter=film.presenter, script=take.script_version.script, language="en", revision=n
        )
        for n, (film, take) in enumerate(material)
    )
    prints = [fingerprint(film, take, preset) for film, take in material]
    for number in range(1, size.versions + 1):
        batch = RenderBatch.objects.create(team=team, project=project, preset_name="Standard", preset=preset)
        rows = list(zip(cells, material, prints, strict=True))
        batch_at = now - timedelta(days=chance.uniform(0, YEAR_DAYS))
        jobs = RenderJob.objects.bulk_create(
            RenderJob(
                batch=batch,
                team=team,
                deliverable=cell,
                footage=film,
                take=take,
                fingerprint=print_,
                state=JobState.SUCCEEDED,
                attempts=1,
                progress=100,
                started_at=batch_at,
                finished_at=batch_at,
            )
            for cell, (film, take), print_ in rows
        )
        RenderAttempt.objects.bulk_create(
            RenderAttempt(
                job=job, number=1, outcome="succeeded", started_at=batch_at, ended_at=batch_at, log="made\n" * 100
            )
            for job in jobs
        )
        videos, posters = blobs([team] * len(cells), "video/mp4"), blobs([team] * len(cells), "image/jpeg")
        versions = RenderVersion.objects.bulk_create(
            RenderVersion(
                deliverable=cell,
                number=number,
                job=job,
                video=video,
                poster=poster,
                footage=film,
                take=take,
                preset=preset,
                engine=ENGINE_VERSION,
                tier="A",
                width=1080,
                height=1920,
                fps=25.0,
                duration_s=20.0,
                quality={"sync": 0.6, "strip": [0.6] * 40},
                seconds=STAGES,
                fingerprint=print_,
            )
            for (cell, (film, take), print_), job, video, poster in zip(rows, jobs, videos, posters, strict=True)
        )
        for cell, version in zip(cells, versions, strict=True):
            cell.published = version
        AuditEvent.objects.bulk_create(
            AuditEvent(team=team, action="version.published", subject=version.public_id, label=project.name)
            for version in versions
        )
    Deliverable.objects.bulk_update(cells, ["published"])
    _export(project, versions)


def _export(project: Any, versions: list[Any]) -> None:
    from django.utils import timezone

    from rendering.models import Export

    (blob,) = blobs([project.team], "application/zip")
    about = {"state": Export.State.READY, "done": len(versions), "total": len(versions), "finished_at": timezone.now()}
    export = Export.objects.create(team=project.team, project=project, name=f"{project.name}.zip", blob=blob, **about)
    export.versions.set(versions)


def _wait(team: Any, project: Any, number: int) -> None:
    """The first cells of the board are rendered again: they wait, with many others."""
    from rendering.models import Deliverable, RenderBatch, RenderJob

    batch = RenderBatch.objects.filter(project=project).latest("pk")
    known = {job.deliverable_id: job for job in RenderJob.objects.filter(batch=batch)}
    cells = Deliverable.objects.filter(project=project).order_by("pk")[:number]
    RenderJob.objects.bulk_create(
        RenderJob(
            batch=batch,
            team=team,
            deliverable=cell,
            footage_id=known[cell.pk].footage_id,
            take_id=known[cell.pk].take_id,
            fingerprint=known[cell.pk].fingerprint,
            not_before=batch.created_at - timedelta(seconds=1),
        )
        for cell in cells
    )
