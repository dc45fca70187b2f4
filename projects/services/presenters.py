"""What may be done with presenters."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects.access import require
from projects.models import Presenter, Role, Team
from projects.services import audit, names

NOTES_LIMIT = 10_000
"""Letters that are kept of notes: lists tell them for each presenter."""


def _kept(notes: str) -> str:
    return notes.strip()[:NOTES_LIMIT]


@transaction.atomic
def create_presenter(*, actor: User, team: Team, name: str, notes: str = "") -> Presenter:
    require(actor, team, Role.CREATOR)
    presenter = Presenter.objects.create(team=team, name=names.clean(name, limit=120), notes=_kept(notes))
    audit.record(action="presenter.created", actor=actor, team=team, subject=presenter)
    return presenter


@transaction.atomic
def rename_presenter(*, actor: User, presenter: Presenter, name: str, notes: str | None = None) -> Presenter:
    """Change the name, and the notes unless they are None."""
    require(actor, presenter.team, Role.CREATOR)
    was = presenter.name
    presenter.name = names.clean(name, limit=120)
    if notes is not None:
        presenter.notes = _kept(notes)
    presenter.save(update_fields=["name", "notes"])
    audit.record(action="presenter.renamed", actor=actor, team=presenter.team, subject=presenter, was=was)
    return presenter


@transaction.atomic
def archive_presenter(*, actor: User, presenter: Presenter) -> Presenter:
    """Put away: no longer offered for new work, nothing is lost, :func:`restore_presenter` brings it back."""
    require(actor, presenter.team, Role.CREATOR)
    if presenter.archived_at is None:
        presenter.archived_at = timezone.now()
        presenter.save(update_fields=["archived_at"])
        audit.record(action="presenter.archived", actor=actor, team=presenter.team, subject=presenter)
    return presenter


@transaction.atomic
def restore_presenter(*, actor: User, presenter: Presenter) -> Presenter:
    require(actor, presenter.team, Role.CREATOR)
    if presenter.archived_at is not None:
        presenter.archived_at = None
        presenter.save(update_fields=["archived_at"])
        audit.record(action="presenter.restored", actor=actor, team=presenter.team, subject=presenter)
    return presenter
