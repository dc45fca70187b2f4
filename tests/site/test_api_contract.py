"""The API keeps what its description promises, whoever asks and whatever they send."""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models

from projects.models import Role, Team
from projects.services import tokens, uploads, webhooks
from rendering.cells import CellKey
from rendering.models import Deliverable, Export, Preset, RenderJob, RenderVersion
from rendering.services import batches
from tests import factories
from tests.rendering import making, teaching
from tests.site.fuzz import Asker, fuzz

EXAMPLES = int(os.environ.get("API_FUZZ_EXAMPLES", "2"))
"""Made-up requests of each kind for each operation. The long run: ``API_FUZZ_EXAMPLES=60``, also with
``TEST_DATABASE_URL`` naming a PostgreSQL database, and with another ``API_FUZZ_SEED``."""
THOROUGH = EXAMPLES > 2
"""Else bad data is sent by the owner alone, who gets furthest with it."""
SEED = int(os.environ.get("API_FUZZ_SEED", "20261121"))


@pytest.fixture
def quiet() -> Any:
    """Thousands of refusals need no lines of log."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def world(team: Team, owner: User) -> dict[str, str]:
    """One of everything, by the words under which requests name it."""
    project = making.ready_project(team)
    rows, columns = list(project.presenters.all()), list(project.scripts.all())
    cells = [CellKey(row.public_id, column.public_id, "en") for row in rows for column in columns][:3]
    batch = batches.start_batch(actor=owner, project=project, cells=cells)
    version = making.succeed_next()
    making.fail_next()
    footage, take = rows[0].footage.get(), columns[0].versions.get().takes.get()
    things = {
        "team": team,
        "project": project,
        "presenter": rows[0],
        "script": columns[0],
        "footage": footage,
        "take": take,
        "batch": batch,
        "job": batch.jobs.filter(state="queued").first(),
        "version": version,
        "export": Export.objects.create(team=team, project=project, created_by=owner, name="a.zip"),
        "preset": Preset.objects.create(team=team, name="Extra"),
        "mouths": teaching.model(footage, state="waiting", blob=None),
    }
    by_word = {}
    for word, thing in things.items():
        by_word[word] = thing.public_id
        by_word[{"batch": "batches", "footage": "footage", "mouths": "mouths"}.get(word, f"{word}s")] = thing.public_id
    upload = uploads.start(actor=owner, team=team, purpose="footage", name="a.mp4", size=9, target={})
    hook, _secret = webhooks.create_webhook(actor=owner, team=team, url="https://example.com/", events=webhooks.EVENTS)
    return by_word | {
        "teams": team.public_id,
        "workers": str(making.worker().pk),
        "cells": str(cells[0]),
        "uploads": upload.public_id,
        "webhooks": hook.public_id,
        "deliveries": webhooks.ping(actor=owner, webhook=hook).public_id,
    }


def asker(user: User, things: dict[str, str], scope: str = "write", **more: Any) -> Asker:
    _token, secret = tokens.create_token(actor=user, name="Fuzz", scope=scope)
    return Asker(headers={"Authorization": f"Bearer {secret}"}, things=things, **more)


def secrets_of(team: Team) -> frozenset[str]:
    """Ids, names and hashes of what the team keeps, as far as they are unmistakable."""
    found: set[str] = {team.public_id, team.name}
    kept: list[models.QuerySet[Any]] = [
        *(team.presenters.all(), team.scripts.all(), team.projects.all(), team.blobs.all(), team.batches.all()),
        *(
            Preset.objects.filter(team=team, is_default=False),
            Export.objects.filter(team=team),
            RenderJob.objects.filter(team=team),
        ),
        Deliverable.objects.filter(project__team=team),
        RenderVersion.objects.filter(deliverable__project__team=team),
    ]
    for rows in kept:
        for row in rows:
            found |= {str(getattr(row, name, "")) for name in ("public_id", "name", "title", "sha256", "fingerprint")}
    return frozenset(word for word in found if len(word) > 6)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["owner", "viewer", "stranger", "operator"])
def test_whatever_is_asked_the_answer_is_one_that_is_described(who: str, quiet: None, settings: Any) -> None:
    settings.ANALYSIS_TASK = "rendering.tasks.analyse"
    alice = factories.user("alice")
    team = factories.team("Alice's own team", owner=alice)
    things = world(team, alice)
    people = {"owner": alice, "viewer": factories.member(team, Role.VIEWER, "victor"), "stranger": factories.user()}
    people["operator"] = factories.user("olga", is_staff=True)
    if who == "stranger":
        factories.team("Another team", owner=people[who])
    secrets = secrets_of(team) if who == "stranger" else frozenset()
    scope, tag = ("operate", "farm") if who == "operator" else ("write", "")
    tally = fuzz(
        asker(people[who], things, scope, secrets=secrets),
        examples=EXAMPLES,
        seed=SEED,
        tag=tag,
        wrongly=who == "owner" or THOROUGH,
    )
    print(f"{who}: {len(tally.operations)} operations, {tally.cases} requests, {dict(tally.statuses)}")  # noqa: T201
    assert tally.cases > len(tally.operations) > (10 if tag else 80)
    assert not tally.findings, f"{len(tally.findings)} findings\n" + "\n\n".join(tally.findings[:300])
