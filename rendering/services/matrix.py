"""Every presenter says every script in every language: one call that fills a board and starts the batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from projects import languages as tags
from projects.models import Presenter, Project, Script
from projects.services.projects import add_presenters, add_scripts
from rendering.cells import CellKey
from rendering.layout import load_layout
from rendering.models import Preset, RenderBatch
from rendering.services.batches import Skipped, plan_batch, start_batch


@dataclass(frozen=True, kw_only=True)
class Started:
    batch: RenderBatch
    skipped: tuple[Skipped, ...]
    """Cells that were asked for and cannot be rendered now."""


@transaction.atomic
def render_cells(
    *, actor: User, project: Project, cells: Sequence[CellKey] | None = None, preset: Preset | None = None
) -> Started:
    """:func:`start_batch`, and what it left out. ``cells=None``: all that nothing was made for yet."""
    skipped = plan_batch(actor=actor, project=project, cells=cells, preset=preset).skipped
    return Started(batch=start_batch(actor=actor, project=project, cells=cells, preset=preset), skipped=skipped)


@transaction.atomic
def render_matrix(
    *,
    actor: User,
    project: Project,
    presenters: Collection[Presenter] | None = None,
    scripts: Collection[Script] | None = None,
    languages: Collection[str] | None = None,
    preset: Preset | None = None,
) -> Started:
    """Render where these meet; None means all that are on the board, or every language a script has words in.

    Presenters and scripts that are not on the board yet are put there. Raises as :func:`start_batch`, and
    ``HeyGemError('bad_language')``.
    """
    add_presenters(actor=actor, project=project, presenters=presenters or ())
    add_scripts(actor=actor, project=project, scripts=scripts or ())
    wanted = None if languages is None else {tags.normalize(tag) for tag in languages}
    layout = load_layout(project)
    rows = [row for row in layout.presenters if presenters is None or row in presenters]
    columns = [
        (script, language)
        for script, language in layout.columns
        if (scripts is None or script in scripts) and (wanted is None or language in wanted)
    ]
    asked = {script for script, _language in layout.columns if scripts is None or script in scripts}
    absent = {(script, tag) for script in asked for tag in wanted or ()} - set(columns)
    cells = [CellKey(row.public_id, script.public_id, language) for row in rows for script, language in columns]
    started = render_cells(actor=actor, project=project, cells=cells, preset=preset)
    unspoken = [
        Skipped(key=CellKey(row.public_id, script.public_id, tag), code="no_take")
        for row in rows
        for script, tag in absent
    ]
    return Started(batch=started.batch, skipped=(*started.skipped, *sorted(unspoken, key=lambda skip: skip.key)))
