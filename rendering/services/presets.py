"""What may be done with presets. A batch keeps a snapshot: changing one never changes what was made with it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from projects.access import require
from projects.models import Role, Team
from projects.problems import HeyGemError
from projects.sentences import joined
from projects.services import audit, names
from rendering import capabilities
from rendering.models import Preset, ability

OPTIONS = ("backend", "enhance", "amplitude", "when_shorter", "crf", "speed", "normalize_loudness")


def default_preset(team: Team) -> Preset:
    """The team's default preset; the first time it is asked for, the engine's own defaults become it."""
    preset = Preset.objects.filter(team=team, is_default=True).first()
    if preset is not None:
        return preset
    try:
        with transaction.atomic():
            preset, _new = Preset.objects.update_or_create(
                team=team, name=_("Standard"), defaults={"is_default": True}, create_defaults={"is_default": True}
            )
            return preset
    except IntegrityError:  # another request made it just now
        return Preset.objects.get(team=team, is_default=True)


def create_preset(*, actor: User, team: Team, name: str, **options: object) -> Preset:
    """``options`` are fields of :data:`OPTIONS`. Raises ``preset_name_taken``, ``bad_preset``, or one of
    ``CHECKPOINT_CODES`` or ``ENHANCER_CODES``: no machine can render that way."""
    require(actor, team, Role.CREATOR)
    default_preset(team)
    preset = Preset(team=team, name=names.clean(name, limit=80))
    with transaction.atomic():
        _set(preset, options)
        preset.save()
        audit.record(action="preset.created", actor=actor, team=team, subject=preset, options=preset.snapshot())
    return preset


def update_preset(*, actor: User, preset: Preset, name: str | None = None, **options: object) -> Preset:
    """Change the name, unless it is None, and any of :data:`OPTIONS`. Raises as :func:`create_preset` does."""
    require(actor, preset.team, Role.CREATOR)
    if name is not None:
        preset.name = names.clean(name, limit=80)
    with transaction.atomic():
        _set(preset, options)
        preset.save(update_fields=["name", *OPTIONS])
        audit.record(action="preset.changed", actor=actor, team=preset.team, subject=preset, options=preset.snapshot())
    return preset


@transaction.atomic
def make_default(*, actor: User, preset: Preset) -> Preset:
    require(actor, preset.team, Role.CREATOR)
    Preset.objects.filter(team=preset.team, is_default=True).exclude(pk=preset.pk).update(is_default=False)
    preset.is_default = True
    preset.save(update_fields=["is_default"])
    audit.record(action="preset.made_default", actor=actor, team=preset.team, subject=preset)
    return preset


@transaction.atomic
def delete_preset(*, actor: User, preset: Preset) -> None:
    """What was rendered with it keeps its snapshot. Raises ``HeyGemError('default_preset')``."""
    require(actor, preset.team, Role.CREATOR)
    if not Preset.objects.filter(pk=preset.pk, is_default=False).delete()[0]:
        raise HeyGemError("default_preset")
    audit.record(action="preset.deleted", actor=actor, team=preset.team, subject=preset.public_id, label=preset.name)


def _set(preset: Preset, options: dict[str, object]) -> None:
    unknown = set(options) - set(OPTIONS)
    if unknown:
        raise ValueError(f"not an option of a preset: {sorted(unknown)}")
    before = "" if preset.pk is None else ability(preset.snapshot())
    for field, value in options.items():
        setattr(preset, field, value)
    if Preset.objects.filter(team=preset.team, name=preset.name).exclude(pk=preset.pk).exists():
        raise HeyGemError("preset_name_taken")
    try:
        preset.clean_fields(exclude=["team"])
    except ValidationError as error:
        raise HeyGemError("bad_preset", why=joined(*error.messages)) from error
    asked = preset.snapshot()
    if ability(asked) != before and (lacking := capabilities.weights_for(asked).lacking):
        raise HeyGemError(lacking)
