"""``./heygem restore``: all of it or nothing. What is there now goes only when the rest has succeeded."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import SuspiciousFileOperation
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from heygem_site.backup import BackupError, database
from heygem_site.backup.archive import LISTING, PIECE, Reader
from heygem_site.backup.make import Stored, listed
from heygem_site.backup.progress import Progress, in_words
from heygem_site.version import VERSION
from projects.models import Team
from projects.problems import HeyGemError
from projects.services import blobs, disk, work
from projects.storage import StorageUnavailable
from rendering.models import WorkerNode
from rendering.services import restored
from rendering.workers import is_alive

AT_WORK = timedelta(minutes=5)
"""A worker's process of this machine that was heard of so lately is one that works."""


@dataclass
class Restored:
    about: dict[str, Any]
    resumed: restored.Resumed
    rows: int = 0
    files: int = 0
    """Stored files written; those that were there already are left."""
    missing: int = 0
    kept_as: str = ""
    """Where the database of before lies, if it was a file."""


def restore(path: Path, *, replace: bool = False, without_media: bool = False, progress: Progress) -> Restored:
    """Make this installation what the backup at ``path`` says. Raises :class:`BackupError`, having changed nothing.

    An installation with people or teams in it is replaced only when ``replace`` says so. ``without_media``: stored
    files that are neither in the backup nor in the storage are not asked for.
    """
    size = path.stat().st_size if path.is_file() else 0
    with Reader(path, lambda done: progress.tell(f"checking: {in_words(done)} of {in_words(size)}")) as reader:
        progress.end(f"checked: {in_words(size)} are what was written on {reader.about['made_at']}")
        _refuse_the_newer(reader.about)
        try:
            if not replace and not is_empty():
                raise BackupError(
                    "This installation is not empty. To put the backup in its place, for good: "
                    "make a backup of it first, then add --replace."
                )
            _refuse_a_running_site()
            missing = 0 if without_media else _look_for_media(reader)
            files = _put_media(reader, progress)
            with _in_place() as kept_as:
                rows, resumed = _put_rows(reader, progress)
        except (StorageUnavailable, HeyGemError) as error:
            raise BackupError(f"The storage cannot be used ({error}). The database is as it was.") from error
        except DatabaseError as error:
            raise BackupError(f"The database refuses: {str(error).splitlines()[0]}. It is as it was.") from error
        except SuspiciousFileOperation as error:
            raise BackupError(
                "The backup names a file outside of the storage: HeyGem did not make it. The database is as it was."
            ) from error
        except OSError as error:
            raise BackupError(f"{error.strerror or error}. The database is as it was.") from error
        return Restored(reader.about, resumed, rows=rows, files=files, missing=missing, kept_as=kept_as)


def is_empty() -> bool:
    """Whether nobody has used this installation yet."""
    there = set(connection.introspection.table_names())
    return not any(model._meta.db_table in there and model.objects.exists() for model in (User, Team))


def _refuse_the_newer(about: dict[str, Any]) -> None:
    known = MigrationExecutor(connection).loader.disk_migrations if _can_be_asked() else {}
    strange = [name for name in about["migrations"] if tuple(name.split(".", 1)) not in known]
    if strange:
        raise BackupError(
            f"The backup was made by HeyGem {about['version']}, which is newer than this one ({VERSION}): "
            f"it knows {strange[0]}. Install that version first."
        )


def _can_be_asked() -> bool:
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        raise BackupError(f"The database does not answer: {str(error).splitlines()[0]}. See DATABASE_URL.") from error
    return True


def _refuse_a_running_site() -> None:
    """Web processes and workers must not write while everything is exchanged under them."""
    if _up_runs(settings.VAR_DIR / "up.lock"):
        raise BackupError("The site runs here. Stop it first (Ctrl-C where ./heygem up runs), then try again.")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            others = cursor.fetchone()[0]
        if others:
            raise BackupError(
                f"{others} other connections to this database are open. Stop the web processes and the workers on "
                "every machine, then try again."
            )
        return
    if WorkerNode._meta.db_table not in connection.introspection.table_names():
        return
    since = timezone.now() - AT_WORK
    for name, pid in _workers_here(since):
        if is_alive(pid):
            raise BackupError(f"The worker {name} (process {pid}) is at work. Stop it first, then try again.")


def _workers_here(since: Any) -> list[tuple[str, int]]:
    here = WorkerNode.objects.filter(host=settings.WORKER_NAME, last_seen_at__gte=since)
    with suppress(DatabaseError):  # of an older version: its site cannot run this code
        return list(here.values_list("name", "pid"))
    return []


def _up_runs(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


# Stored files


def _look_for_media(reader: Reader) -> int:
    """Files that the backup lists and does not hold must be in the storage. How many were missing already then."""
    lost = set(reader.manifest.get("missing", []))
    held = set(reader.names("media"))
    absent = [
        item.path
        for item in listed(reader.open(LISTING))
        if f"media/{item.path}" not in held and item.path not in lost and blobs.storage().length(item.path) != item.size
    ]
    if absent:
        raise BackupError(
            f"{len(absent)} stored files are neither in the backup nor in this installation's storage "
            f"({absent[0]} is one). Bring them back first, or add --without-media to go on without them."
        )
    return len(lost)


def _put_media(reader: Reader, progress: Progress) -> int:
    """Add the files that are not there yet; nothing is overwritten. How many."""
    held = set(reader.names("media"))
    wanted = [item for item in listed(reader.open(LISTING)) if f"media/{item.path}" in held]
    settings.MEDIA_ROOT.mkdir(parents=True, exist_ok=True)
    needed = sum(item.size for item in wanted if blobs.storage().length(item.path) != item.size)
    if blobs.storage().place("any") is not None and not disk.has_room(needed):
        raise BackupError(f"The stored files need {in_words(needed)}, and the disk has {in_words(disk.space().free)}.")
    written = done = 0
    for item in wanted:
        if blobs.storage().length(item.path) != item.size:
            _put_file(reader, item)
            written += 1
        done += item.size
        progress.tell(f"media: {written} files written, {in_words(done)}")
    progress.end(f"media: {written} files written, {len(wanted) - written} were there")
    return written


def _put_file(reader: Reader, item: Stored) -> None:
    with work.folder() as folder:
        held = folder / "held"
        with reader.open(f"media/{item.path}") as source, held.open("wb") as sink:
            shutil.copyfileobj(source, sink, PIECE)
        blobs.storage().put(held, item.path, item.content_type, lambda _done, _total: None)


# Rows


@contextmanager
def _in_place() -> Iterator[str]:
    """Within the block the database may be made anew; it is exchanged when the block has ended well."""
    if connection.vendor == "sqlite":
        with _beside() as kept_as:
            yield kept_as
        return
    with transaction.atomic():  # the tables too: PostgreSQL takes back everything
        with connection.cursor() as cursor:
            for table in _own_tables():
                cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)} CASCADE")
        yield ""


def _own_tables() -> list[str]:
    there = set(connection.introspection.table_names())
    own = {model._meta.db_table for model in database.tables().values()} | database.LEFT_OUT
    return sorted(own & there)


@contextmanager
def _beside() -> Iterator[str]:
    """SQLite: a new file is filled, then takes the old one's place, which is kept under another name."""
    place = Path(connection.settings_dict["NAME"])
    new = place.with_name(f"{place.name}.restoring")
    kept = place.with_name(f"{place.name}.before-{timezone.now():%Y%m%d-%H%M%S}") if place.exists() else None
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove(new)
    if kept is not None:  # all of it into the one file
        connection.close()
        with sqlite3.connect(place) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        old.close()
    connection.close()
    connection.settings_dict["NAME"] = str(new)
    try:
        yield str(kept or "")
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        if kept is not None:
            _remove(place, but_itself=True)
            place.rename(kept)
        new.replace(place)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = str(place)
        _remove(new)


def _remove(path: Path, *, but_itself: bool = False) -> None:
    for name in (f"{path.name}-wal", f"{path.name}-shm", *([] if but_itself else [path.name])):
        path.with_name(name).unlink(missing_ok=True)


def _newest(executor: MigrationExecutor, about: dict[str, Any]) -> list[tuple[str, str]]:
    """The last migration of each app that the backup's database had."""
    applied = {(app, name) for app, _, name in (step.partition(".") for step in about["migrations"])}
    nodes = executor.loader.graph.node_map

    def is_last(step: tuple[str, str]) -> bool:
        return not any(child.key in applied and child.key[0] == step[0] for child in nodes[step].children)

    return sorted(step for step in applied if is_last(step))


def _put_rows(reader: Reader, progress: Progress) -> tuple[int, restored.Resumed]:
    """An empty database as it was when the backup was made, its rows, and then the way to today."""
    executor = MigrationExecutor(connection)
    then = _newest(executor, reader.about)
    executor.migrate(then)
    apps = executor.loader.project_state(then).apps
    rows = 0
    with transaction.atomic():
        if connection.vendor == "postgresql":  # migrations of this same transaction have left some of them immediate
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for name in reader.names("database"):
            table = name.removeprefix("database/").removesuffix(".jsonl.gz")
            with reader.open(name) as source:
                rows += database.load(
                    apps, table, source, lambda table, done: progress.tell(f"database: {table}, {done} rows")
                )
        database.settle(apps)
    call_command("migrate", interactive=False, verbosity=0)
    resumed = restored.resume()
    progress.end(f"database: {rows} rows, brought from {reader.about['version']} to {VERSION}")
    return rows, resumed
