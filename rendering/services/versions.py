"""Publishing, restoring and deleting versions. A version itself is never changed: the cell's pointer moves."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects.access import require
from projects.models import Role
from projects.problems import HeyGemError
from projects.services import audit
from rendering import events, states
from rendering.models import Deliverable, RenderVersion


@transaction.atomic
def publish(*, actor: User, version: RenderVersion) -> RenderVersion:
    """Make ``version`` the one that counts; restoring is publishing an older one."""
    cell = version.deliverable
    require(actor, cell.project.team, Role.REVIEWER)
    states.touch(cell.pk)  # the board's lock comes first, as everywhere
    if not RenderVersion.objects.filter(pk=version.pk, video__isnull=False).exists():
        raise HeyGemError("video_removed")
    was = Deliverable.objects.select_related("published").get(pk=cell.pk).published
    if was is not None and was.pk == version.pk:
        return version
    Deliverable.objects.filter(pk=cell.pk).update(published=version, published_at=timezone.now())
    events.version_published(version, team_id=cell.project.team_id)
    restored = was is not None and was.number > version.number
    audit.record(
        action="version.restored" if restored else "version.published",
        actor=actor,
        team=cell.project.team,
        subject=version,
        was=was.number if was else None,
    )
    return version


@transaction.atomic
def delete_version(*, actor: User, version: RenderVersion) -> None:
    """Forget a version for good; its file goes when nothing else needs it. Raises ``published_version``."""
    cell = version.deliverable
    require(actor, cell.project.team, Role.MANAGER)
    states.touch(cell.pk)
    if Deliverable.objects.filter(pk=cell.pk, published=version).exists():
        raise HeyGemError("published_version")
    audit.record(action="version.deleted", actor=actor, team=cell.project.team, subject=version, label=str(version))
    RenderVersion.objects.filter(pk=version.pk).delete()
