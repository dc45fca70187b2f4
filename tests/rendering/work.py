"""Jobs for tests of the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from projects.models import Team
from rendering import states
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import Deliverable, Preset, RenderBatch, RenderJob, WorkerNode
from tests import factories


def new_job(team: Team, *, cell: Deliverable | None = None, **fields: Any) -> RenderJob:
    """A queued job of ``team``, in a cell of its own unless one is given."""
    project = cell.project if cell else factories.project(team)
    presenter = cell.presenter if cell else factories.presenter(team)
    script = cell.script if cell else factories.script(team)
    if cell is None:
        cell = Deliverable.objects.create(project=project, presenter=presenter, script=script, language="en")
    preset = Preset(team=team, name="-").snapshot()
    batch = RenderBatch.objects.create(team=team, project=project, preset_name="-", preset=preset)
    footage = fields.pop("footage", None) or factories.footage(presenter)
    take = fields.pop("take", None) or factories.take(script)
    job = states.enqueue(batch=batch, deliverable=cell, footage=footage, take=take, fingerprint=f"f{cell.pk}", **fields)
    assert job is not None
    return job


def claimed(job: RenderJob, worker: WorkerNode) -> UUID:
    """Start an attempt at ``job``, which is read anew."""
    token = states.claim(job, worker)
    assert token is not None
    job.refresh_from_db()
    return token


def finished(job: RenderJob, **changes: Any) -> states.Finished:
    made = states.Finished(
        video=factories.blob(job.team),
        poster=None,
        engine=ENGINE_VERSION,
        tier="A",
        width=320,
        height=320,
        fps=25.0,
        duration_s=4.0,
        quality={"sync": 0.6},
        seconds={"compose": 1.0},
    )
    return replace(made, **changes)
