"""What may be done with projects: their names, and which presenters and scripts stand on their boards."""

from __future__ import annotations

import string
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from projects.access import require
from projects.models import Presenter, Project, ProjectPresenter, ProjectScript, Role, Script, Team
from projects.problems import HeyGemError
from projects.services import audit, names

TEMPLATE_FIELDS = frozenset({"project", "presenter", "script", "language", "version", "date"})


@transaction.atomic
def create_project(
    *, actor: User, team: Team, name: str, presenters: Iterable[Presenter] = (), scripts: Iterable[Script] = ()
) -> Project:
    require(actor, team, Role.CREATOR)
    project = Project.objects.create(team=team, name=names.clean(name, limit=120))
    audit.record(action="project.created", actor=actor, team=team, subject=project)
    add_presenters(actor=actor, project=project, presenters=presenters)
    add_scripts(actor=actor, project=project, scripts=scripts)
    return project


@transaction.atomic
def rename_project(*, actor: User, project: Project, name: str) -> Project:
    require(actor, project.team, Role.CREATOR)
    was, project.name = project.name, names.clean(name, limit=120)
    project.save(update_fields=["name"])
    audit.record(action="project.renamed", actor=actor, team=project.team, subject=project, was=was)
    return project


@transaction.atomic
def set_file_name_template(*, actor: User, project: Project, template: str) -> Project:
    """How the files of this project's ZIPs are called. Raises ``HeyGemError('bad_template')`` for unknown words."""
    require(actor, project.team, Role.CREATOR)
    template = names.clean(template, limit=200)
    check_file_name_template(template)
    project.file_name_template = template
    project.save(update_fields=["file_name_template"])
    audit.record(action="project.template_set", actor=actor, team=project.team, subject=project, template=template)
    return project


def check_file_name_template(template: str) -> None:
    """Only the known words in braces, bare: no attributes, no indexes, no format specifications."""
    known = ", ".join(f"{{{field}}}" for field in sorted(TEMPLATE_FIELDS))
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise HeyGemError("bad_template", known=known) from error
    for _, field, specification, conversion in parts:
        if field is not None and (field not in TEMPLATE_FIELDS or specification or conversion):
            raise HeyGemError("bad_template", known=known)


@transaction.atomic
def add_presenters(*, actor: User, project: Project, presenters: Iterable[Presenter]) -> None:
    """Put presenters of the project's team on its board as rows; those already there stay where they are."""
    require(actor, project.team, Role.CREATOR)
    position = _next(ProjectPresenter.objects.filter(project=project).aggregate(last=Max("position"))["last"])
    for presenter in presenters:
        _same_team(presenter.team_id, project)
        _row, new = ProjectPresenter.objects.get_or_create(
            project=project, presenter=presenter, defaults={"position": position}
        )
        if new:
            position += 1
            _record(actor, project, "project.presenter_added", presenter)


@transaction.atomic
def add_scripts(*, actor: User, project: Project, scripts: Iterable[Script]) -> None:
    """Put scripts of the project's team on its board; each of their languages is a column."""
    require(actor, project.team, Role.CREATOR)
    position = _next(ProjectScript.objects.filter(project=project).aggregate(last=Max("position"))["last"])
    for script in scripts:
        _same_team(script.team_id, project)
        _column, new = ProjectScript.objects.get_or_create(
            project=project, script=script, defaults={"position": position}
        )
        if new:
            position += 1
            _record(actor, project, "project.script_added", script)


@transaction.atomic
def remove_presenter(*, actor: User, project: Project, presenter: Presenter) -> None:
    """Take a row off the board. What was rendered stays and is there again when the row comes back."""
    require(actor, project.team, Role.CREATOR)
    removed, _ = ProjectPresenter.objects.filter(project=project, presenter=presenter).delete()
    if removed:
        _record(actor, project, "project.presenter_removed", presenter)


@transaction.atomic
def remove_script(*, actor: User, project: Project, script: Script) -> None:
    """Take a script's columns off the board. What was rendered stays."""
    require(actor, project.team, Role.CREATOR)
    removed, _ = ProjectScript.objects.filter(project=project, script=script).delete()
    if removed:
        _record(actor, project, "project.script_removed", script)


@transaction.atomic
def archive_project(*, actor: User, project: Project) -> Project:
    require(actor, project.team, Role.CREATOR)
    if project.archived_at is None:
        project.archived_at = timezone.now()
        project.save(update_fields=["archived_at"])
        audit.record(action="project.archived", actor=actor, team=project.team, subject=project)
    return project


@transaction.atomic
def restore_project(*, actor: User, project: Project) -> Project:
    require(actor, project.team, Role.CREATOR)
    if project.archived_at is not None:
        project.archived_at = None
        project.save(update_fields=["archived_at"])
        audit.record(action="project.restored", actor=actor, team=project.team, subject=project)
    return project


def _next(last: int | None) -> int:
    return 0 if last is None else last + 1


def _same_team(team_id: int, project: Project) -> None:
    if team_id != project.team_id:
        raise ValueError("a board holds only what belongs to its own team")


def _record(actor: User, project: Project, action: str, what: Presenter | Script) -> None:
    audit.record(
        action=action, actor=actor, team=project.team, subject=project, what=what.public_id, what_label=str(what)
    )
