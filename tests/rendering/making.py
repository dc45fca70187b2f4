"""Jobs carried through their life in tests, by the same functions that workers call."""

from __future__ import annotations

import itertools
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from projects.models import Presenter, Project, Script, Team
from rendering import queue, states
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import Deliverable, RenderJob, RenderVersion, WorkerNode
from tests import factories

_numbers = itertools.count(1)


def ready_project(team: Team, *, rows: int = 2, columns: int = 2, **fields: Any) -> Project:
    """A board whose cells can all be rendered."""
    presenters = [factories.presenter(team, f"Presenter {number}") for number in range(rows)]
    scripts = [factories.script(team, f"Script {number}") for number in range(columns)]
    for presenter in presenters:
        factories.footage(presenter, blob=factories.blob(team, f"footage {presenter.pk}".encode()))
    for script in scripts:
        factories.take(script, blob=factories.blob(team, f"take {script.pk}".encode(), "audio/wav"))
    return factories.project(team, presenters=presenters, scripts=scripts, **fields)


def worker(name: str = "box/gpu") -> WorkerNode:
    node, _ = WorkerNode.objects.update_or_create(
        name=name, defaults={"host": "box", "cluster": "gpu", "last_seen_at": timezone.now()}
    )
    return node


def finished(team: Team, content: bytes | None = None, **fields: Any) -> states.Finished:
    """What a worker hands in. The video's bytes are really stored."""
    defaults: dict[str, Any] = {
        "video": factories.blob(team, content or f"video {next(_numbers)}".encode()),
        "poster": None,
        "engine": ENGINE_VERSION,
        "tier": "A",
        "width": 320,
        "height": 320,
        "fps": 25.0,
        "duration_s": 8.0,
        "quality": {"sync": 0.61},
        "seconds": {"compose": 2.0},
    }
    return states.Finished(**(defaults | fields))


def claim_next() -> queue.Claim:
    claim = queue.claim_next(worker())
    assert claim is not None, "nothing could be claimed"
    return claim


def succeed_next(content: bytes | None = None, **fields: Any) -> RenderVersion:
    """Claim the next job and hand in a video for it."""
    claim = claim_next()
    return states.succeed(claim.job, claim.token, finished(claim.job.team, content, **fields))


def succeed_all() -> list[RenderVersion]:
    made = []
    while (claim := queue.claim_next(worker())) is not None:
        made.append(states.succeed(claim.job, claim.token, finished(claim.job.team)))
    return made


def fail_next(code: str = "no_face") -> RenderJob:
    claim = claim_next()
    states.fail(claim.job, claim.token, code)
    claim.job.refresh_from_db()
    return claim.job


def version(
    project: Project, presenter: Presenter, script: Script, *, maker: User | None = None, **fields: Any
) -> RenderVersion:
    """A version without a job behind it."""
    cell, _ = Deliverable.objects.get_or_create(project=project, presenter=presenter, script=script, language="en")
    content = finished(project.team, fields.pop("content", None))
    given = {name: getattr(content, name) for name in states.Finished.__dataclass_fields__}
    given |= {"number": cell.versions.count() + 1, "created_by": maker, "fingerprint": "0" * 64}
    made = RenderVersion.objects.create(deliverable=cell, **(given | fields))
    Deliverable.objects.filter(pk=cell.pk, published=None).update(published=made)
    return made
