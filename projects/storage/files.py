"""A folder: a disk of this machine, or a share that all machines have mounted at the same place."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.core.files.storage import FileSystemStorage

from projects.storage import CHUNK, Hear, StorageUnavailable, StoredFile, silent

AWAY = {
    errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}  # fmt: skip
"""What a disk or share that has gone away answers with."""


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in AWAY:
            raise StorageUnavailable(f"{error.strerror}: {error.filename}") from error
        raise


class Files(FileSystemStorage):
    """The ``STORAGES`` back end for ``MEDIA_ROOT`` (see :class:`projects.storage.Store`)."""

    def place(self, key: str) -> Path:
        return Path(self.path(key))

    def put(self, held: Path, key: str, content_type: str = "", hear: Hear = silent) -> None:
        """Renamed when both lie on one disk; otherwise copied beside its place and renamed there."""
        with _telling():
            place = self.place(key)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                held.replace(place)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                beside = place.with_name(f"{place.name}.part")
                try:
                    _copy(held, beside, hear)
                    beside.replace(place)
                finally:
                    beside.unlink(missing_ok=True)
            place.chmod(0o644)
            os.utime(place)  # what was long on its way is new here

    def length(self, key: str) -> int | None:
        with _telling(), contextlib.suppress(FileNotFoundError):
            return self.place(key).stat().st_size
        return None

    def stream(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        with _telling(), self.place(key).open("rb") as file:
            file.seek(first)
            left = os.fstat(file.fileno()).st_size - first if last is None else last - first + 1
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk

    def remove(self, key: str) -> None:
        with _telling():
            self.place(key).unlink(missing_ok=True)

    def walk(self, folder: str) -> Iterator[StoredFile]:
        root = Path(self.location)
        with _telling():
            for around, folders, names in os.walk(self.place(folder)):
                at = Path(around).relative_to(root).as_posix()
                folders.sort()
                for name in sorted(names):
                    with contextlib.suppress(FileNotFoundError):
                        about = (root / at / name).stat()
                        yield StoredFile(f"{at}/{name}", about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))

    def signed_url(self, key: str, *, content_type: str, disposition: str) -> None:
        return None

    def check(self) -> None:
        if not os.access(self.location, os.W_OK | os.X_OK):
            raise StorageUnavailable(f"nothing can be written to {self.location}")


def _copy(held: Path, to: Path, hear: Hear) -> None:
    with held.open("rb") as source, to.open("wb") as target:
        total = os.fstat(source.fileno()).st_size
        while chunk := source.read(CHUNK):
            target.write(chunk)
            hear(target.tell(), total)
        shutil.copymode(held, to)
