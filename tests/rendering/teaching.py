"""Mouth models for tests: footage that can teach, and models as if a machine had learnt them."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from projects.models import AnalysisState, Footage, MouthModel, Presenter, Project, Team
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import RenderVersion, WorkerNode
from rendering.services.batches import start_batch
from tests import factories
from tests.rendering import making

CARD = "fake"
"""The device of a worker whose engine takes the processor for a card."""


def film(presenter: Presenter, mode: str = "ok", *, seconds: float = 0.1, **fields: Any) -> Footage:
    """Analysed footage. ``mode`` and ``seconds`` are what a fake engine is told of learning from it."""
    stored = fields.pop("blob", None) or factories.blob(
        presenter.team, f"fake:{mode}:{seconds}\n{presenter.pk}".encode()
    )
    known = {"analysis_engine": ENGINE_VERSION, "figures": {"tracked": 1.0}}
    return factories.footage(presenter, **(known | fields), blob=stored)


def packed(identity: str, **said: Any) -> bytes:
    """The archive of a model that the fake engine knows as its own."""
    report = {"engine": ENGINE_VERSION, "passed": True, "identity": identity} | said
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("neural.pt", f"fake network {identity}")
        archive.writestr("neural.json", json.dumps(report))
    return made.getvalue()


def model(footage: Footage, identity: str = "feed", **fields: Any) -> MouthModel:
    """A good model of ``footage``, with its bytes stored."""
    known: dict[str, Any] = {
        "state": AnalysisState.READY,
        "engine": ENGINE_VERSION,
        "identity": identity,
        "size": 128,
        "analysed_at": timezone.now(),
        "face": footage.chosen_face,
        "tracker": footage.analysis_tracker,
    }
    if "blob" not in fields:
        known["blob"] = factories.blob(footage.presenter.team, packed(identity), "application/zip")
    return MouthModel.objects.create(footage=footage, **(known | fields))


def board(team: Team, footage: Footage, *, seconds: float = 0.05) -> Project:
    """A board of one cell that is rendered from ``footage``."""
    script = factories.script(team)
    factories.take(script, blob=factories.blob(team, f"fake:ok:{seconds}\n{script.pk}".encode(), "audio/wav"))
    return factories.project(team, presenters=[footage.presenter], scripts=[script])


def used(team: Team, footage: Footage) -> RenderVersion:
    """A video that was made from ``footage``."""
    project = board(team, footage)
    script = project.scripts.get()
    return making.version(project, footage.presenter, script, footage=footage)


def card(name: str = "box", **fields: Any) -> WorkerNode:
    """A worker with a graphics card that has had nothing to do for a while."""
    now = timezone.now()
    known: dict[str, Any] = {
        "host": name,
        "cluster": "gpu",
        "engine": ENGINE_VERSION,
        "backends": ["exemplar", "neural"],
        "device": CARD,
        "last_seen_at": now,
        "idle_since": now - timezone.timedelta(minutes=5),
    }
    return WorkerNode.objects.create(name=f"{name}/gpu", **(known | fields))


def processor(name: str = "box", **fields: Any) -> WorkerNode:
    """A worker without one."""
    return card(name, **({"device": "cpu"} | fields))


def order(actor: User, project: Project, **fields: Any) -> Any:
    """The only job of a new batch."""
    return start_batch(actor=actor, project=project, **fields).jobs.get()
