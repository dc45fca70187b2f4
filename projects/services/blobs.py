"""Stored bytes: once per team by what they are, in place whole or not at all, removed when nothing needs them.

The only place (with ``incoming``, for what is on its way) that talks to the storage, so a folder and a bucket are the
same to everybody else. Everything here may raise ``HeyGemError('storage_unavailable')``: the storage is away, and the
same thing may succeed a little later.
"""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, cast

from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import Exists, ForeignObjectRel, OuterRef, QuerySet
from django.db.models.deletion import ProtectedError
from django.utils import timezone
from django.utils.http import content_disposition_header

from projects.models import MediaBlob, Team, new_public_id
from projects.problems import HeyGemError
from projects.services import cache, media_hold, work
from projects.storage import CHUNK, Damaged, Hear, StorageUnavailable, Store, StoredFile, silent

ROOT = "blobs"
"""Keys of stored files are ``blobs/<team>/<blob>``."""
UNREAD = "upload:"
"""Begins the ``sha256`` of a blob whose bytes nobody has read yet (:func:`settle`)."""
ASKED_AT_ONCE = 16
USE_NOTED_EVERY = timedelta(hours=1)
ANSWERS_FOR_S = 3.0


def storage() -> Store:
    return cast(Store, storages["default"])


def key_of(team: Team, public_id: str) -> str:
    # Named by the id, not the hash: removing an old blob can never take away a new one with the same bytes.
    return f"{ROOT}/{team.public_id}/{public_id}"


# Keeping


def store(
    team: Team, source: Path | str | IO[bytes], content_type: str, *, move: bool = False, hear: Hear = silent
) -> MediaBlob:
    """Keep the bytes of ``source`` (a path or a file open for reading) and return their blob.

    The same bytes twice in one team are one blob. The file appears whole or not at all. ``move`` gives the file at
    ``source`` away once it is stored, which saves a copy. Raises ``HeyGemError('empty_upload')`` for nothing at all.
    """
    if move and isinstance(source, Path | str):
        return _store(team, Path(source), digest(Path(source)), content_type, hear)
    with work.folder() as folder:
        held = folder / "held"
        return _store(team, held, _copy(source, held), content_type, hear)


def _store(team: Team, held: Path, sha256: str, content_type: str, hear: Hear) -> MediaBlob:
    size = held.stat().st_size
    if size == 0:
        raise HeyGemError("empty_upload", name=held.name)
    known = MediaBlob.objects.filter(team=team, sha256=sha256).first()
    if known is not None:
        if not is_stored(known):  # the storage lost it; here it is again
            storage().put(held, known.path, known.content_type, hear)
        held.unlink(missing_ok=True)
        return known
    public_id = new_public_id()
    key = key_of(team, public_id)
    storage().put(held, key, content_type, hear)
    held.unlink(missing_ok=True)
    try:
        with transaction.atomic():
            return MediaBlob.objects.create(
                team=team, public_id=public_id, sha256=sha256, size=size, content_type=content_type, path=key
            )
    except IntegrityError:  # the same file arrived twice at once
        storage().remove(key)
        return MediaBlob.objects.get(team=team, sha256=sha256)


def adopt(team: Team, public_id: str, size: int, content_type: str) -> MediaBlob:
    """The blob of what has arrived in the storage by itself, as ``key_of(team, public_id)``. Nobody has read it yet."""
    about = {"team": team, "sha256": UNREAD + public_id, "size": size, "content_type": content_type}
    return MediaBlob.objects.get_or_create(public_id=public_id, defaults={**about, "path": key_of(team, public_id)})[0]


def is_unread(blob: MediaBlob) -> bool:
    """Whether its bytes came into the storage by themselves, and nobody has looked at them yet."""
    return blob.sha256.startswith(UNREAD)


def settle(blob: MediaBlob) -> MediaBlob:
    """Keep the ``sha256`` that an unread blob turned out to have. The team's other blob, if these bytes were known."""
    try:
        with transaction.atomic():
            blob.save(update_fields=["sha256"])
    except IntegrityError:  # kept already: nothing will point at this one, and it goes with the daily cleaning
        return MediaBlob.objects.get(team=blob.team_id, sha256=blob.sha256)
    return blob


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path | str | IO[bytes], to: Path) -> str:
    """Returns the SHA-256."""
    if isinstance(source, Path | str):
        with Path(source).open("rb") as file:
            return _copy(file, to)
    seen = hashlib.sha256()
    with to.open("wb") as target:
        while chunk := source.read(CHUNK):
            seen.update(chunk)
            target.write(chunk)
    return seen.hexdigest()


# Reading


def is_stored(blob: MediaBlob) -> bool:
    """Whether the bytes are there, all of them."""
    return storage().length(blob.path) == blob.size


def missing(blobs: Iterable[MediaBlob]) -> set[int]:
    """Primary keys of those whose bytes are not there. Many are asked for at once."""
    asked = list(blobs)
    if len(asked) < 2:
        return {blob.pk for blob in asked if not is_stored(blob)}
    with ThreadPoolExecutor(min(ASKED_AT_ONCE, len(asked))) as pool:
        return {blob.pk for blob, there in zip(asked, pool.map(is_stored, asked), strict=True) if not there}


def read(blob: MediaBlob, first: int = 0, last: int | None = None) -> Iterator[bytes]:
    """The bytes from ``first`` to ``last`` (included; None: to the end), in chunks. Raises ``FileNotFoundError``."""
    return storage().stream(blob.path, first, blob.size - 1 if last is None else last)


def signed_url(blob: MediaBlob, name: str, *, save: bool) -> str | None:
    """An address that works for an hour without signing in; None when the site has to send the file itself."""
    disposition = content_disposition_header(save, name) or "inline"
    return storage().signed_url(blob.path, content_type=blob.content_type, disposition=disposition)


@contextmanager
def on_disk(blob: MediaBlob, *, hear: Hear = silent) -> Iterator[Path]:
    """The blob as a file of this machine, which stays while this context is open.

    What lies elsewhere is fetched once, checked, and kept in the bounded cache. Raises ``FileNotFoundError``, and
    :class:`Damaged` for bytes that are not those that were stored.
    """
    if (place := storage().place(blob.path)) is None:
        with cache.kept(blob.public_id, blob.size, lambda part: _fetch(blob, part, hear), hear=hear) as path:
            yield path
    elif place.is_file():
        yield place
    else:
        storage().check()
        raise FileNotFoundError(errno.ENOENT, "not stored", blob.path)


def _fetch(blob: MediaBlob, part: Path, hear: Hear) -> None:
    seen = hashlib.sha256()
    with part.open("wb") as file:
        for chunk in read(blob):
            seen.update(chunk)
            file.write(chunk)
            hear(file.tell(), blob.size)
        size = file.tell()
    if size != blob.size or not (is_unread(blob) or seen.hexdigest() == blob.sha256):
        raise Damaged(errno.EIO, "these are not the bytes that were stored", blob.path)


def note_use(blob: MediaBlob) -> None:
    """What can be made again stays the longer, the later it was used. Written once an hour at the most."""
    now = timezone.now()
    if blob.used_at is None or now - blob.used_at > USE_NOTED_EVERY:
        MediaBlob.objects.filter(pk=blob.pk).update(used_at=now)
        blob.used_at = now


# Folders, packed

UNREADABLE = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, zlib.error, struct.error)
"""What reading an archive raises that is none or was changed: also one that claims to be encrypted or packed otherwise.
"""


def pack(folder: Path, to: Path) -> None:
    """Write the files of ``folder`` into the archive ``to``; the same files always give the same bytes."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)


@contextmanager
def unpacked(blob: MediaBlob, *, hear: Hear = silent) -> Iterator[Path]:
    """The folder that :func:`pack` made ``blob`` of, unpacked once into the cache; it stays while this is open."""
    with cache.kept(f"{blob.public_id}.d", blob.size, lambda part: unpack(blob, part, hear), hear=hear) as folder:
        yield folder


def unpack(blob: MediaBlob, part: Path, hear: Hear = silent) -> None:
    """The files that :func:`pack` made ``blob`` of, into the folder ``part``. Raises as :func:`on_disk` does, and
    :class:`Damaged` for what no such archive can be read from."""
    with work.folder() as around:
        archive = storage().place(blob.path)
        if archive is None:  # not by way of the cache: it would be kept twice
            archive = around / "archive"
            _fetch(blob, archive, hear)
        try:
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(part)
        except UNREADABLE as error:
            raise Damaged(errno.EIO, f"a damaged archive: {error}", blob.path) from error


def take_out(blob: MediaBlob, name: str, to: Path) -> bool:
    """Write one file of the archive that :func:`pack` made ``blob`` of to ``to``. False: it holds none of that name.

    Of an archive that lies elsewhere only that file's part is fetched. Raises ``FileNotFoundError``.
    """
    source = storage().place(blob.path)
    if source is not None and not source.is_file():
        storage().check()
        raise FileNotFoundError(errno.ENOENT, "not stored", blob.path)
    try:
        with zipfile.ZipFile(source or io.BufferedReader(_Ranged(blob))) as packed:
            if name not in packed.namelist():
                return False
            with packed.open(name) as inside, to.open("wb") as target:
                shutil.copyfileobj(inside, target)
    except UNREADABLE as error:
        raise Damaged(errno.EIO, f"a damaged archive: {error}", blob.path) from error
    return True


class _Ranged(io.RawIOBase):
    """A stored file as one to read here and there; every read is asked of the storage."""

    def __init__(self, blob: MediaBlob) -> None:
        self.blob, self.at = blob, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.blob.size}[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        last = min(self.at + len(buffer), self.blob.size) - 1
        if last < self.at:
            return 0
        part = b"".join(read(self.blob, self.at, last))
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)


# Removing


def unreferenced(*, older_than: timedelta = timedelta(days=1)) -> QuerySet[MediaBlob]:
    """Blobs that no row of any app points at. The age leaves time for a service between storing and pointing."""
    blobs = MediaBlob.objects.filter(created_at__lt=timezone.now() - older_than)
    for relation in MediaBlob._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel):
            pointing = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            blobs = blobs.exclude(Exists(pointing))
    return blobs


def delete_unreferenced(*, older_than: timedelta = timedelta(days=1)) -> int:
    """Remove what nothing points at, from the database and then from the storage. Returns how many."""
    removed = 0
    for blob in unreferenced(older_than=older_than).iterator():
        try:
            with transaction.atomic():
                if media_hold.is_held():  # a backup still copies
                    break
                blob.delete()
        except (ProtectedError, IntegrityError):  # somebody began to use it just now
            continue
        delete_key(blob.path)
        removed += 1
    return removed


def discard(blob: MediaBlob) -> bool:
    """Remove what has just been replaced, unless something else points at it or a backup copies: then cleaning does."""
    try:
        with transaction.atomic():
            if media_hold.is_held():
                return False
            MediaBlob.objects.get(pk=blob.pk).delete()
    except (MediaBlob.DoesNotExist, ProtectedError, IntegrityError):
        return False
    delete_key(blob.path)
    return True


def delete_key(key: str) -> None:
    """Remove bytes that no row knows (any more)."""
    storage().remove(key)


def all_keys() -> Iterator[StoredFile]:
    """Everything that is stored: key (a blob's ``path``), bytes and when it was stored. To compare with the rows."""
    return storage().walk(ROOT)


# Whether the storage is there

_heard = threading.local()


def check() -> None:
    """Raises ``HeyGemError('storage_unavailable')``, with what is wrong as its text."""
    storage().check()


def answers() -> bool:
    """The same as a yes or no, asked at most every few seconds: cheap enough to ask before every piece of work."""
    now, asked = time.monotonic(), storage()
    said = getattr(_heard, "said", None)
    if said is None or said[0] is not asked or now - said[1] > ANSWERS_FOR_S:
        try:
            check()
        except StorageUnavailable:
            said = (asked, now, False)
        else:
            said = (asked, now, True)
        _heard.said = said
    return bool(said[2])
