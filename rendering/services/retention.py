"""Setting how long a team's files are kept, and removing what :func:`rendering.selectors.retention.plan` says.

``apply`` looks at every row once more, so that what was used, published or asked for since the plan was made stays.
Files themselves go when nothing else points at them, a day after they were made at the earliest.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects.models import Footage, MouthModel, Team
from projects.problems import HeyGemError
from projects.services import audit, blobs, uploads
from rendering import states
from rendering.access import require_operator
from rendering.models import RetentionRule
from rendering.selectors import retention as selectors
from rendering.selectors.retention import IN_USE, Leaving, Part, Plan, Why

DAYS = range(1, 3651)
REMOVED = "preview_removed"
"""Set among a footage's figures when its preview was removed; another analysis makes one and forgets this."""


@transaction.atomic
def set_rule(
    *,
    actor: User,
    team: Team,
    work_days: int | None,
    preview_days: int | None,
    analysis_days: int | None,
    mouth_days: int | None,
    export_days: int | None,
    version_days: int | None,
    reason: str = "",
) -> RetentionRule:
    """Days after which the team's files of a kind go; None: never. Nothing goes before tonight. Raises ``bad_days``."""
    require_operator(actor)
    wanted: dict[str, Any] = {
        "work_days": work_days,
        "preview_days": preview_days,
        "analysis_days": analysis_days,
        "mouth_days": mouth_days,
        "export_days": export_days,
        "version_days": version_days,
    }
    if any(value is not None and value not in DAYS for value in wanted.values()):
        raise HeyGemError("bad_days")
    rule, _ = RetentionRule.objects.select_for_update().get_or_create(team=team)
    was = {name: getattr(rule, name) for name in wanted}
    changed = {name: value for name, value in wanted.items() if value != was[name]}
    if changed:
        RetentionRule.objects.filter(pk=rule.pk).update(**changed)
        rule.refresh_from_db()
        told = {"was": {name: was[name] for name in changed}, **changed}
        why = {"reason": reason.strip()[:300]} if reason.strip() else {}
        audit.record(action="team.retention_changed", actor=actor, team=team, subject=team, **told, **why)
    return rule


def apply_now(*, actor: User, team: Team | None = None, most: int | None = None) -> tuple[Plan, int]:
    """What tonight's cleaning would do, done now by an operator. Returns what went, and how many things are left.

    ``most``: no more than so many at once; the rest is for tonight.
    """
    require_operator(actor)
    plan = selectors.plan(team)
    some = Plan(things=plan.things[:most], days=plan.days)
    gone = apply(some, actor=actor)
    blobs.delete_unreferenced()
    return gone, len(plan.things) - len(some.things)


def make_room() -> int:
    """When the disk is nearly full: let go of what can be made again, the least recently used first. Returns how many.

    Runs every minute; with room it looks at the disk and at nothing else.
    """
    if not selectors.is_disk_low():
        return 0
    gone = apply(selectors.room_plan())
    if gone.things:
        blobs.delete_unreferenced()
    return len(gone.things)


def apply(plan: Plan, *, actor: User | None = None) -> Plan:
    """Remove what the plan says and still holds. Returns what went; each team's audit log has a line for it."""
    gone = [thing for thing in plan.things if REMOVERS[thing.part](thing, _before(plan, thing))]
    done = Plan(things=tuple(gone), days=plan.days)
    teams = {thing.team.pk: thing.team for thing in gone}
    for pk, team in teams.items():
        counts: dict[str, int] = {}
        for line in done.lines:
            if line.team.pk == pk:
                counts[line.part.value] = counts.get(line.part.value, 0) + line.count
        size = Plan(things=tuple(thing for thing in gone if thing.team.pk == pk), days={}).size
        told: dict[str, Any] = {"bytes": size, **counts}
        audit.record(action="retention.applied", actor=actor, team=team, subject=team, **told)
    return done


def _before(plan: Plan, thing: Leaving) -> datetime:
    """What is older than this may go."""
    if thing.why != Why.AGE:
        return timezone.now() - IN_USE
    return timezone.now() - timedelta(days=plan.days[thing.team.pk, thing.part])


def _remove_work(thing: Leaving, before: datetime) -> bool:
    if thing.pk == 0:
        both = (selectors.logs(thing.team, before), selectors.logs_of_mouths(thing.team, before))
        return sum(each.update(log="") for each in both) > 0
    upload = selectors.uploads_left(thing.team, before).select_related("team", "user").filter(pk=thing.pk).first()
    if upload is None:
        return False
    uploads.forget(upload=upload)
    return True


@transaction.atomic
def _remove_preview(thing: Leaving, before: datetime) -> bool:
    footage = selectors.unused("preview", thing.team, before).filter(pk=thing.pk).first()
    if footage is None:
        return False
    figures = {**footage.figures, REMOVED: True}
    same = Footage.objects.filter(pk=footage.pk, preview=footage.preview_id, state=footage.state)
    return bool(same.update(preview=None, figures=figures))


@transaction.atomic
def _remove_analysis(thing: Leaving, before: datetime) -> bool:
    if not selectors.unused("analysis", thing.team, before).filter(pk=thing.pk).exists():
        return False
    return bool(Footage.objects.filter(pk=thing.pk, analysis=thing.blob).update(analysis=None))


@transaction.atomic
def _remove_mouths(thing: Leaving, before: datetime) -> bool:
    if not selectors.idle_mouths(thing.team, before).filter(pk=thing.pk).exists():
        return False
    return bool(MouthModel.objects.filter(pk=thing.pk).update(blob=None, archived_at=timezone.now()))


@transaction.atomic
def _remove_export(thing: Leaving, before: datetime) -> bool:
    return bool(selectors.old_exports(thing.team, before).filter(pk=thing.pk).delete()[0])


@transaction.atomic
def _remove_video(thing: Leaving, before: datetime) -> bool:
    version = selectors.superseded(thing.team, before).filter(pk=thing.pk).first()
    if version is None:
        return False
    states.touch(version.deliverable_id)  # from here on nobody publishes it; look once more
    still = selectors.superseded(thing.team, before).filter(pk=thing.pk)
    return bool(still.update(video=None, video_removed_at=timezone.now()))


REMOVERS: dict[Part, Callable[[Leaving, datetime], bool]] = {
    Part.WORK: _remove_work,
    Part.PREVIEWS: _remove_preview,
    Part.ANALYSIS: _remove_analysis,
    Part.MOUTHS: _remove_mouths,
    Part.EXPORTS: _remove_export,
    Part.VERSIONS: _remove_video,
}
