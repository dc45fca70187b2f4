"""What may be done with footage. A machine looks at each before it can be used (``projects.services.analysis``)."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects.access import require
from projects.models import Footage, MediaBlob, Presenter, Role
from projects.problems import HeyGemError
from projects.services import analysis, audit, names
from projects.services.waking import wake_analysers


@transaction.atomic
def add_footage(*, actor: User, presenter: Presenter, blob: MediaBlob, name: str) -> Footage:
    """New footage of ``presenter``, waiting for its analysis. The presenter's newest footage again is that one."""
    require(actor, presenter.team, Role.CREATOR)
    newest = presenter.footage.filter(archived_at=None).order_by("-pk").first()
    if newest is not None and newest.blob_id == blob.pk:
        return newest
    footage = Footage.objects.create(presenter=presenter, blob=blob, name=names.clean_file_name(name))
    audit.record(action="footage.uploaded", actor=actor, team=presenter.team, subject=footage, size=blob.size)
    wake_analysers()
    return footage


@transaction.atomic
def archive_footage(*, actor: User, footage: Footage) -> Footage:
    """Put away: not used for new work; :func:`restore_footage` brings it back."""
    require(actor, footage.presenter.team, Role.CREATOR)
    if footage.archived_at is None:
        footage.archived_at = timezone.now()
        footage.save(update_fields=["archived_at"])
        audit.record(action="footage.archived", actor=actor, team=footage.presenter.team, subject=footage)
    return footage


@transaction.atomic
def restore_footage(*, actor: User, footage: Footage) -> Footage:
    require(actor, footage.presenter.team, Role.CREATOR)
    if footage.archived_at is not None:
        footage.archived_at = None
        footage.save(update_fields=["archived_at"])
        audit.record(action="footage.restored", actor=actor, team=footage.presenter.team, subject=footage)
    return footage


@transaction.atomic
def reanalyse_footage(*, actor: User, footage: Footage) -> Footage:
    """Look at settled footage again. Raises ``HeyGemError('still_analysing')`` while it is being looked at."""
    require(actor, footage.presenter.team, Role.CREATOR)
    analysis.look_again(footage)
    audit.record(action="footage.reanalysed", actor=actor, team=footage.presenter.team, subject=footage)
    return footage


@transaction.atomic
def choose_face(*, actor: User, footage: Footage, number: int) -> Footage:
    """Of the faces that the analysis saw, ``number`` (from 0) is the presenter's: look again, at that one.

    The one that is followed already stays as it is, and so does the one that is being looked for already. Raises
    ``HeyGemError``: ``no_such_face``, and ``still_analysing`` while the footage is being looked at.
    """
    require(actor, footage.presenter.team, Role.CREATOR)
    # Locked: boxes and choice must be of the same analysis.
    seen = Footage.objects.select_for_update().get(pk=footage.pk)
    faces = seen.faces or []
    if not 0 <= number < len(faces):
        raise HeyGemError("no_such_face", name=footage.name)
    if number == seen.presenter_face and seen.is_settled:
        return footage
    x, y, width, height = faces[number]
    chosen = [round(x + width / 2, 4), round(y + height / 2, 4)]
    if chosen == seen.chosen_face and not seen.is_settled:
        return footage
    analysis.look_again(footage, chosen_face=chosen)
    audit.record(
        action="footage.face_chosen", actor=actor, team=footage.presenter.team, subject=footage, face=number + 1
    )
    return footage
