"""Single mode: one video, one voice, one result. A 1 x 1 board, rendered the way every board is."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from projects.access import require
from projects.models import AudioTake, Footage, Role, Team
from projects.services.projects import create_project
from rendering.cells import CellKey
from rendering.models import Deliverable, Preset
from rendering.services.batches import start_batch
from rendering.services.deliverables import cell_of


@transaction.atomic
def try_it(*, actor: User, team: Team, footage: Footage, take: AudioTake, preset: Preset | None = None) -> Deliverable:
    """A project for these two alone, its one cell queued. Both may still be waiting for their analysis.

    Raises ``ValueError`` when either is another team's.
    """
    require(actor, team, Role.CREATOR)
    presenter, script = footage.presenter, take.script_version.script
    if {presenter.team_id, script.team_id} != {team.pk}:
        raise ValueError("footage and take must be the team's own")
    name = f"{presenter.name} - {script.title}"
    project = create_project(actor=actor, team=team, name=name[:120], presenters=[presenter], scripts=[script])
    key = CellKey(presenter.public_id, script.public_id, take.script_version.language)
    start_batch(actor=actor, project=project, cells=[key], preset=preset)
    return cell_of(project, presenter.pk, script.pk, key.language)
