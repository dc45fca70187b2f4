"""What may be done with scripts and the takes that speak them."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from projects import languages
from projects.access import require
from projects.models import AudioTake, MediaBlob, Role, Script, ScriptVersion, Team
from projects.problems import HeyGemError
from projects.services import analysis, audit, names
from projects.services.waking import wake_analysers

MAX_TEXT = 100_000
"""Characters: far beyond an hour of speech."""


@transaction.atomic
def create_script(*, actor: User, team: Team, title: str) -> Script:
    require(actor, team, Role.CREATOR)
    script = Script.objects.create(team=team, title=names.clean(title, limit=200))
    audit.record(action="script.created", actor=actor, team=team, subject=script)
    return script


@transaction.atomic
def rename_script(*, actor: User, script: Script, title: str) -> Script:
    require(actor, script.team, Role.CREATOR)
    was, script.title = script.title, names.clean(title, limit=200)
    script.save(update_fields=["title"])
    audit.record(action="script.renamed", actor=actor, team=script.team, subject=script, was=was)
    return script


@transaction.atomic
def archive_script(*, actor: User, script: Script) -> Script:
    """Put away: no longer offered for new work; :func:`restore_script` brings it back."""
    require(actor, script.team, Role.CREATOR)
    if script.archived_at is None:
        script.archived_at = timezone.now()
        script.save(update_fields=["archived_at"])
        audit.record(action="script.archived", actor=actor, team=script.team, subject=script)
    return script


@transaction.atomic
def restore_script(*, actor: User, script: Script) -> Script:
    require(actor, script.team, Role.CREATOR)
    if script.archived_at is not None:
        script.archived_at = None
        script.save(update_fields=["archived_at"])
        audit.record(action="script.restored", actor=actor, team=script.team, subject=script)
    return script


def _newest_version(script: Script, language: str) -> ScriptVersion | None:
    return script.versions.filter(language=language).order_by("-number").first()


@transaction.atomic
def write_version(*, actor: User, script: Script, language: str, text: str) -> ScriptVersion:
    """The next version of the script's words in ``language``; the same words again are the version that stands.

    Recordings that came before any words were written down are recordings of these.
    """
    require(actor, script.team, Role.CREATOR)
    Script.objects.select_for_update().get(pk=script.pk)  # numbers are given out one at a time
    language = languages.normalize(language)
    text = text.replace("\r\n", "\n").replace("\x00", "").strip()
    if len(text) > MAX_TEXT:
        raise HeyGemError("text_too_long", limit=MAX_TEXT)
    newest = _newest_version(script, language)
    if newest is not None and newest.text == text:
        return newest
    number = newest.number + 1 if newest is not None else 1
    version = ScriptVersion.objects.create(script=script, language=language, number=number, text=text)
    if newest is not None and not newest.text:
        newest.takes.update(script_version=version)
    audit.record(
        action="script.written", actor=actor, team=script.team, subject=script, language=language, number=number
    )
    return version


@transaction.atomic
def add_take(
    *,
    actor: User,
    script: Script,
    language: str,
    blob: MediaBlob,
    name: str,
    source: str = AudioTake.Source.UPLOADED,
) -> AudioTake:
    """A recording of the newest words in ``language`` (wordless when none are written yet), waiting for its analysis.

    The newest take again is that take.
    """
    require(actor, script.team, Role.CREATOR)
    Script.objects.select_for_update().get(pk=script.pk)
    language = languages.normalize(language)
    version = _newest_version(script, language)
    if version is None:
        version = ScriptVersion.objects.create(script=script, language=language, number=1)
    newest = version.takes.filter(archived_at=None).order_by("-pk").first()
    if newest is not None and newest.blob_id == blob.pk:
        return newest
    take = AudioTake.objects.create(
        script_version=version, blob=blob, name=names.clean_file_name(name), source=AudioTake.Source(source)
    )
    audit.record(action="take.added", actor=actor, team=script.team, subject=take, language=language, source=source)
    wake_analysers()
    return take


@transaction.atomic
def archive_take(*, actor: User, take: AudioTake) -> AudioTake:
    """Put away: the take before it is rendered again; :func:`restore_take` brings it back."""
    team = take.script_version.script.team
    require(actor, team, Role.CREATOR)
    if take.archived_at is None:
        take.archived_at = timezone.now()
        take.save(update_fields=["archived_at"])
        audit.record(action="take.archived", actor=actor, team=team, subject=take)
    return take


@transaction.atomic
def restore_take(*, actor: User, take: AudioTake) -> AudioTake:
    team = take.script_version.script.team
    require(actor, team, Role.CREATOR)
    if take.archived_at is not None:
        take.archived_at = None
        take.save(update_fields=["archived_at"])
        audit.record(action="take.restored", actor=actor, team=team, subject=take)
    return take


@transaction.atomic
def reanalyse_take(*, actor: User, take: AudioTake) -> AudioTake:
    """Listen to a settled take again. Raises ``HeyGemError('still_analysing')`` while it is being listened to."""
    team = take.script_version.script.team
    require(actor, team, Role.CREATOR)
    analysis.look_again(take)
    audit.record(action="take.reanalysed", actor=actor, team=team, subject=take)
    return take


@transaction.atomic
def take_says_newest(*, actor: User, take: AudioTake) -> AudioTake:
    """The recording says the newest words of its language: they were only written down better since then."""
    script = take.script_version.script
    require(actor, script.team, Role.CREATOR)
    Script.objects.select_for_update().get(pk=script.pk)
    was, newest = take.script_version, _newest_version(script, take.script_version.language)
    if newest is not None and newest.pk != was.pk:
        take.script_version = newest
        take.save(update_fields=["script_version"])
        audit.record(
            action="take.words_chosen",
            actor=actor,
            team=script.team,
            subject=take,
            language=newest.language,
            number=newest.number,
            was=was.number,
        )
    return take
