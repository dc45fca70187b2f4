"""The first thing a newcomer sees: one presenter, two scripts and a batch that is already queued."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from projects.models import AudioTake, AuditEvent, Project, Script, Team
from projects.services import audit, blobs
from projects.services.footage import add_footage
from projects.services.presenters import create_presenter
from projects.services.projects import create_project
from projects.services.scripts import add_take, create_script, write_version
from rendering.execution.demo import DemoFiles
from rendering.services.batches import start_batch

MADE = "demo.made"
PROJECT_NAME = "Demo"


def is_made() -> bool:
    """Whether this installation has had its demo; it does not come back after somebody removed it."""
    return AuditEvent.objects.filter(action=MADE).exists()


@transaction.atomic
def add_demo(*, actor: User, team: Team, files: DemoFiles) -> Project:
    """Everything or nothing, through the services that people's own uploads go through."""
    presenter = create_presenter(actor=actor, team=team, name=files.presenter)
    film = blobs.store(team, files.footage, "video/mp4")
    add_footage(actor=actor, presenter=presenter, blob=film, name=files.footage.name)
    scripts: list[Script] = []
    for take in files.takes:
        script = create_script(actor=actor, team=team, title=take.title)
        write_version(actor=actor, script=script, language=take.language, text=take.text)
        sound = blobs.store(team, take.file, "audio/wav")
        add_take(
            actor=actor,
            script=script,
            language=take.language,
            blob=sound,
            name=take.file.name,
            source=AudioTake.Source.SYNTHESISED,
        )
        scripts.append(script)
    project = create_project(actor=actor, team=team, name=PROJECT_NAME, presenters=[presenter], scripts=scripts)
    start_batch(actor=actor, project=project)
    audit.record(action=MADE, actor=actor, team=team, subject=project)
    return project
