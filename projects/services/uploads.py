"""Files on their way in: resumable (tus 1.0), checked by name before the first byte, put to use after the last.

Where the bytes go meanwhile is ``projects.services.incoming``'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Sum
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from projects import access, languages
from projects.models import AudioTake, Footage, Project, Role, Team, Upload
from projects.problems import HeyGemError
from projects.services import audit, blobs, disk, incoming, limits, names
from projects.services.footage import add_footage
from projects.services.presenters import create_presenter
from projects.services.projects import add_presenters, add_scripts
from projects.services.scripts import add_take, create_script

FOOTAGE_TYPES: dict[str, str] = {
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "avi": "video/x-msvideo",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "flv": "video/x-flv",
    "mpg": "video/mpeg",
    "mpeg": "video/mpeg",
}
TAKE_TYPES: dict[str, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "wma": "audio/x-ms-wma",
}
FORGOTTEN_AFTER = timedelta(days=3)
EXPECTED = timedelta(days=1)
"""Room is kept for what has been announced no longer ago than this."""


@dataclass(frozen=True)
class Kind:
    """What may arrive for one purpose."""

    types: Mapping[str, str]
    """Accepted endings (without the dot) and the content type each is served with."""
    limit: int
    """Bytes."""


def kind_of(purpose: str) -> Kind:
    if purpose == Upload.Purpose.FOOTAGE:
        return Kind(FOOTAGE_TYPES, settings.UPLOAD_MAX_FOOTAGE_BYTES)
    return Kind(TAKE_TYPES, settings.UPLOAD_MAX_TAKE_BYTES)


def content_type(name: str, purpose: str) -> str:
    """By the name's ending. Raises ``HeyGemError('bad_file_type')`` for one that is not accepted."""
    types = kind_of(purpose).types
    ending = PurePosixPath(name.lower()).suffix.removeprefix(".")
    if ending not in types:
        raise HeyGemError("bad_file_type", name=name, accepted=", ".join(types))
    return types[ending]


def start(*, actor: User, team: Team, purpose: str, name: str, size: int, target: Mapping[str, str]) -> Upload:
    """Begin an upload of ``size`` bytes. ``target`` may name (by public id) presenter, script, project; and language.

    Refused here, before a byte is sent: a kind of file that cannot be used, an empty or oversized one, no room.
    """
    access.require(actor, team, Role.CREATOR)
    name = names.clean_file_name(name)
    purpose = Upload.Purpose(purpose)
    kept_as = content_type(name, purpose)
    limit = kind_of(purpose).limit
    if size <= 0:
        raise HeyGemError("empty_upload", name=name)
    if size > limit:
        raise HeyGemError("file_too_large", name=name, limit=filesizeformat(limit))
    limits.check_file(team, name=name, size=size)
    if disk.holds_media() and not disk.has_room(size + _expected_bytes()):
        raise HeyGemError("storage_full", name=name)
    with transaction.atomic():
        limits.check_storage(team, name=name, size=size)
        upload = Upload.objects.create(
            team=team, user=actor, purpose=purpose, name=name, size=size, target=_checked(actor, team, purpose, target)
        )
    try:
        with disk.full_is("storage_full", name=name):
            incoming.begin(upload, kept_as)
    except (HeyGemError, OSError):
        upload.delete()
        raise
    return upload


def _expected_bytes() -> int:
    """What other uploads have still to bring."""
    arriving = Upload.objects.filter(finished_at=None, created_at__gte=timezone.now() - EXPECTED)
    return int(arriving.aggregate(left=Sum(F("size") - F("offset")))["left"] or 0)


def _checked(actor: User, team: Team, purpose: str, target: Mapping[str, str]) -> dict[str, str]:
    """Only what is known, and only things of this team."""
    kept: dict[str, str] = {}
    lookups = {"project": access.get_project_for_user}
    if purpose == Upload.Purpose.FOOTAGE:
        lookups |= {"presenter": access.get_presenter_for_user}  # type: ignore[dict-item]
    else:
        lookups |= {"script": access.get_script_for_user}  # type: ignore[dict-item]
        kept["language"] = languages.normalize(target.get("language") or "en")
    for key, lookup in lookups.items():
        if public_id := target.get(key):
            found = lookup(actor, public_id, need=Role.CREATOR)
            if found.team_id != team.pk:
                raise HeyGemError("not_allowed")
            kept[key] = found.public_id
    return kept


def append(*, upload: Upload, offset: int, source: incoming.Readable) -> Upload:
    """Add what ``source`` holds at ``offset``. Whatever arrived before a broken connection counts.

    Raises ``HeyGemError('upload_conflict')`` when ``offset`` is not where the upload stands, and
    ``HeyGemError('file_too_large')`` when more arrives than was announced, and ``HeyGemError('storage_full')`` when the
    disk has no room for it now: it can go on from where it stands when there is room again.
    """
    with disk.full_is("storage_full", name=upload.name):
        incoming.of(upload).append(offset, source)
    return upload


def missing_parts(*, upload: Upload) -> tuple[list[incoming.Part], int]:
    """What the sender is to put straight into the storage next, and the bytes still missing in all.

    Raises ``HeyGemError('no_direct_upload')`` where files come by way of the site.
    """
    arriving = incoming.of(upload)
    if isinstance(arriving, incoming.InFolder):
        raise HeyGemError("no_direct_upload")
    return arriving.missing() if upload.finished_at is None else ([], 0)


def finish(*, upload: Upload) -> Footage | AudioTake:
    """Store the complete file and make of it what was asked. Asked again, it answers with the same thing."""
    if upload.finished_at is not None:
        return _finished(upload)
    kept_as = content_type(upload.name, upload.purpose)
    with disk.full_is("storage_full", name=upload.name), incoming.of(upload).complete(kept_as) as blob:
        return _put_to_use(upload, blob)


@transaction.atomic
def _put_to_use(upload: Upload, blob: blobs.MediaBlob) -> Footage | AudioTake:
    locked = Upload.objects.select_for_update(of=("self",)).select_related("team", "user").filter(pk=upload.pk).first()
    if locked is None:
        raise HeyGemError("upload_gone")
    if locked.finished_at is not None:  # asked twice at once
        return _finished(locked)
    made = _make_footage(locked, blob) if locked.purpose == Upload.Purpose.FOOTAGE else _make_take(locked, blob)
    upload.target = {**locked.target, "created": made.public_id}
    upload.finished_at = timezone.now()
    upload.save(update_fields=["target", "finished_at"])
    return made


def _finished(upload: Upload) -> Footage | AudioTake:
    if (made := created(upload)) is None:  # deleted since
        raise HeyGemError("upload_gone")
    return made


def created(upload: Upload) -> Footage | AudioTake | None:
    """What a finished upload became."""
    public_id = upload.target.get("created", "")
    if upload.finished_at is None or not public_id:
        return None
    if upload.purpose == Upload.Purpose.FOOTAGE:
        return Footage.objects.select_related("presenter").filter(public_id=public_id).first()
    return AudioTake.objects.select_related("script_version__script").filter(public_id=public_id).first()


def _project(upload: Upload) -> Project | None:
    return upload.team.projects.filter(public_id=upload.target.get("project", "")).first()


def _make_footage(upload: Upload, blob: blobs.MediaBlob) -> Footage:
    presenter = upload.team.presenters.filter(public_id=upload.target.get("presenter", "")).first()
    if presenter is None:
        name = names.title_from_file(upload.name, limit=120)
        presenter = create_presenter(actor=upload.user, team=upload.team, name=name)
    footage = add_footage(actor=upload.user, presenter=presenter, blob=blob, name=upload.name)
    if (project := _project(upload)) is not None:
        add_presenters(actor=upload.user, project=project, presenters=[presenter])
    return footage


def _make_take(upload: Upload, blob: blobs.MediaBlob) -> AudioTake:
    script = upload.team.scripts.filter(public_id=upload.target.get("script", "")).first()
    if script is None:
        title = names.title_from_file(upload.name, limit=200)
        script = create_script(actor=upload.user, team=upload.team, title=title)
    take = add_take(actor=upload.user, script=script, language=upload.target["language"], blob=blob, name=upload.name)
    if (project := _project(upload)) is not None:
        add_scripts(actor=upload.user, project=project, scripts=[script])
    return take


@transaction.atomic
def abandon(*, upload: Upload) -> None:
    """Its sender does not go on with an upload."""
    if upload.finished_at is None:
        audit.record(action="upload.abandoned", actor=upload.user, team=upload.team, subject=upload)
    forget(upload=upload)


@transaction.atomic
def forget(*, upload: Upload) -> None:
    """Remove an upload's row and, if it is unfinished, what has arrived of it."""
    arrived = incoming.of(upload) if upload.finished_at is None else None
    upload.delete()
    if arrived is not None:
        transaction.on_commit(arrived.forget)


def clean_incoming(*, older_than: timedelta = FORGOTTEN_AFTER) -> int:
    """Remove uploads nobody went on with, and partial files nothing knows. Returns how many files went."""
    before = timezone.now() - older_than
    removed = incoming.clean(before)
    for upload in Upload.objects.filter(created_at__lt=before, finished_at=None):
        if not incoming.is_known(upload):
            upload.delete()
    Upload.objects.filter(finished_at__lt=before).delete()
    return removed
