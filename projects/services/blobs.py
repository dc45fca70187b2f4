"""Bytes on disk: stored once per team by what they are, moved into place whole, and removed when nothing needs them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, ForeignObjectRel, OuterRef, QuerySet
from django.db.models.deletion import ProtectedError
from django.utils import timezone

from projects.models import MediaBlob, Team, new_public_id
from projects.problems import HeyGemError

CHUNK = 1 << 20
"""Bytes read at a time."""


def media_root() -> Path:
    return Path(settings.MEDIA_ROOT)


def local_path(blob: MediaBlob) -> Path:
    """Where the bytes lie on this machine."""
    return media_root() / blob.path


def store(team: Team, source: Path | str | IO[bytes], content_type: str, *, move: bool = False) -> MediaBlob:
    """Keep the bytes of ``source`` (a path or a file open for reading) and return their blob.

    The same bytes twice in one team are one blob. The file appears whole or not at all. ``move`` gives the file at
    ``source`` away, which saves a copy. Raises ``HeyGemError('empty_upload')`` for nothing at all.
    """
    staging = media_root() / "blobs" / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    if move and isinstance(source, Path | str):
        held = Path(source)
        sha256, size = _hash(held)
    else:
        held, sha256, size = _copy(source, staging)
    try:
        if size == 0:
            raise HeyGemError("empty_upload", name=Path(source).name if isinstance(source, Path | str) else "-")
        return _keep(team, held, sha256, size, content_type)
    finally:
        held.unlink(missing_ok=True)


def _hash(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size


def _copy(source: Path | str | IO[bytes], folder: Path) -> tuple[Path, str, int]:
    """Copy into a temporary file of ``folder``: its path, SHA-256 and size."""
    if isinstance(source, Path | str):
        with Path(source).open("rb") as file:
            return _copy(file, folder)
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
    return Path(target.name), digest.hexdigest(), size


def _keep(team: Team, held: Path, sha256: str, size: int, content_type: str) -> MediaBlob:
    known = MediaBlob.objects.filter(team=team, sha256=sha256).first()
    if known is not None:
        if not local_path(known).exists():  # the disk lost it; here it is again
            _move(held, local_path(known))
        return known
    blob = MediaBlob(team=team, sha256=sha256, size=size, content_type=content_type, public_id=new_public_id())
    # Named by the id, not the hash: removing an old blob can never take away a new one with the same bytes.
    blob.path = f"blobs/{team.public_id}/{blob.public_id}"
    _move(held, local_path(blob))
    try:
        with transaction.atomic():
            blob.save()
    except IntegrityError:  # the same file arrived twice at once
        local_path(blob).unlink(missing_ok=True)
        return MediaBlob.objects.get(team=team, sha256=sha256)
    return blob


def _move(held: Path, place: Path) -> None:
    """Rename when both lie on one disk; otherwise copy beside ``place`` and rename that."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        held.replace(place)
    except OSError:
        beside = place.with_name(f"{place.name}.part")
        shutil.copyfile(held, beside)
        beside.replace(place)
    place.chmod(0o644)


def unreferenced(*, older_than: timedelta = timedelta(days=1)) -> QuerySet[MediaBlob]:
    """Blobs that no row of any app points at. The age leaves time for a service between storing and pointing."""
    blobs = MediaBlob.objects.filter(created_at__lt=timezone.now() - older_than)
    for relation in MediaBlob._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel):
            pointing = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            blobs = blobs.exclude(Exists(pointing))
    return blobs


def delete_unreferenced(*, older_than: timedelta = timedelta(days=1)) -> int:
    """Remove what nothing points at, from the database and then from the disk. Returns how many."""
    removed = 0
    for blob in unreferenced(older_than=older_than).iterator():
        path = local_path(blob)
        try:
            blob.delete()
        except (ProtectedError, IntegrityError):  # somebody began to use it just now
            continue
        path.unlink(missing_ok=True)
        removed += 1
    return removed
