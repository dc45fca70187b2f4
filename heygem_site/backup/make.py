"""``./heygem backup``: a snapshot of the database, then the stored files that it knows."""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from heygem_site.backup import BackupError, database
from heygem_site.backup.archive import ABOUT, FORMAT, LISTING, Writer
from heygem_site.backup.progress import Progress, in_words
from heygem_site.health import waiting_migrations
from heygem_site.version import VERSION
from projects.models import MediaBlob
from projects.services import blobs, media_hold
from projects.storage import StorageUnavailable
from rendering.fingerprint import ENGINE_VERSION

STDOUT = "-"


@dataclass(frozen=True)
class Stored:
    """A stored file as the snapshot knows it."""

    path: str
    size: int
    sha256: str
    content_type: str

    @property
    def is_known(self) -> bool:
        """Whether somebody has read its bytes before."""
        return not self.sha256.startswith(blobs.UNREAD)


@dataclass
class Made:
    path: str
    rows: int = 0
    files: int = 0
    """Listed."""
    copied: int = 0
    size: int = 0
    """Bytes of stored files copied."""
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    """Other bytes than were stored."""


def lies_elsewhere() -> bool:
    """Whether stored files lie in object storage rather than in a folder."""
    return blobs.storage().place("any") is None


def backup(target: str, *, with_media: bool | None = None, progress: Progress) -> Made:
    """Write the backup to the file ``target``, into the folder ``target`` under a name with the time, or to ``-``.

    ``with_media`` None: stored files are copied when they lie in a folder, and only listed, with checksums, when they
    lie in object storage. Raises :class:`BackupError`; no half file is left.
    """
    copy = not lies_elsewhere() if with_media is None else with_media
    try:
        if waiting := waiting_migrations():
            raise BackupError(f"The database waits for {len(waiting)} migrations. First: ./heygem manage migrate")
        with media_hold.held(), _sink(target) as (sink, path):
            made = Made(path)
            _write(Writer(sink), made, copy=copy, progress=progress)
    except media_hold.HeldError as error:
        raise BackupError(
            f"Another backup is being made, or one died a moment ago: try again after {error.until:%H:%M:%S} UTC."
        ) from None
    except StorageUnavailable as error:
        raise BackupError(f"The storage does not answer ({error}), so nothing was kept. Try again later.") from error
    except DatabaseError as error:
        raise BackupError(f"The database cannot be read: {str(error).splitlines()[0]}.") from error
    except OSError as error:
        raise BackupError(f"The backup cannot be written: {error.strerror or error}.") from error
    return made


@contextmanager
def _sink(target: str) -> Iterator[tuple[IO[bytes], str]]:
    """Where to write, and how it is called in the end. The name appears when the file is whole."""
    if target == STDOUT:
        yield sys.stdout.buffer, STDOUT
        sys.stdout.buffer.flush()
        return
    path = Path(target).expanduser().absolute()
    if path.is_dir():
        path = path / f"heygem-{timezone.now():%Y-%m-%d-%H%M%S}.tar"
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it holds what people keep
    try:
        with os.fdopen(descriptor, "wb") as sink:
            yield sink, str(path)
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write(writer: Writer, made: Made, *, copy: bool, progress: Progress) -> None:
    from django.db.migrations.recorder import MigrationRecorder

    settings.MEDIA_ROOT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="heygem-backup-", dir=settings.VAR_DIR) as name:
        folder = Path(name)
        with database.snapshot():
            applied = sorted(f"{app}.{step}" for app, step in MigrationRecorder(connection).applied_migrations())
            rows = database.dump(folder, lambda table, done: progress.tell(f"database: {table}, {done} rows"))
            listing = _list(folder / LISTING)
        made.rows, made.files = sum(rows.values()), listing
        progress.end(f"database: {len(rows)} tables, {made.rows} rows")
        about = {
            "format": FORMAT,
            "version": VERSION,
            "engine": ENGINE_VERSION,
            "made_at": timezone.now().isoformat(timespec="seconds"),
            "database": connection.vendor,
            "migrations": applied,
            "rows": rows,
            "media": "copied" if copy else "listed",
            "media_files": listing,
        }
        writer.add_json(ABOUT, about)
        for table in sorted(rows):
            writer.add_file(f"database/{table}.jsonl.gz", folder / f"{table}.jsonl.gz")
        writer.add_file(LISTING, folder / LISTING)
        _media(writer, made, folder / LISTING, copy=copy, progress=progress)
    writer.close(missing=made.missing, damaged=made.damaged)


def _list(path: Path) -> int:
    """Write down every stored file. How many."""
    number = 0
    rows = MediaBlob.objects.order_by("pk").values_list("path", "size", "sha256", "content_type")
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as sink:
        for row in rows.iterator(database.CHUNK):
            sink.write(json.dumps(row) + "\n")
            number += 1
    return number


def listed(source: IO[bytes] | Path) -> Iterator[Stored]:
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield Stored(*json.loads(line))


def _media(writer: Writer, made: Made, listing: Path, *, copy: bool, progress: Progress) -> None:
    """Copy every stored file, or at least look whether each is there."""
    total = sum(item.size for item in listed(listing))
    for item in listed(listing):
        if copy:
            _copy(writer, made, item)
        elif blobs.storage().length(item.path) != item.size:
            made.missing.append(item.path)
        else:
            made.copied += 1
            made.size += item.size
        words = f"{made.copied} of {made.files} files, {in_words(made.size)} of {in_words(total)}"
        progress.tell(f"media: {words}")
    progress.end(f"media: {made.copied} files {'copied' if copy else 'are in the storage'}, {in_words(made.size)}")


def _copy(writer: Writer, made: Made, item: Stored) -> None:
    if blobs.storage().length(item.path) != item.size:
        made.missing.append(item.path)
        return
    pieces = blobs.storage().stream(item.path)
    first = next(pieces, b"")
    sha256 = writer.add(f"media/{item.path}", item.size, chain([first], pieces))
    made.copied += 1
    made.size += item.size
    if item.is_known and sha256 != item.sha256:
        made.damaged.append(item.path)
