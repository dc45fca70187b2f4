"""What has arrived of an upload, kept where the next web host that gets a piece of it finds it.

``Upload.offset`` counts the bytes that are safely kept. In a folder they are one growing file, ``incoming/<upload>``;
bytes beyond the offset (a process that died while writing) are cut off before the next ones are added. In a bucket they
are parts of a multipart upload under the key that the file will have for good, so nothing is copied in the end; what is
less than a part lies beside them as an object of its own, named by the offset that it leads to.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from django.conf import settings
from django.template.defaultfilters import filesizeformat

from projects.models import MediaBlob, Upload
from projects.problems import HeyGemError
from projects.services import blobs, disk
from projects.storage import CHUNK, StorageUnavailable

if TYPE_CHECKING:
    from projects.storage.bucket import Bucket

ROOT = "incoming"
PART = 8 << 20
"""Bytes of a part, where 10,000 of them hold the file: a phone sends one again without despair."""
PARTS_AT_ONCE = 50
"""Addresses given out at a time."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def begin(upload: Upload, content_type: str) -> None:
    """Make the place for a new upload's bytes."""
    (InBucket if settings.S3_BUCKET else InFolder)(upload).begin(content_type)


def of(upload: Upload) -> InFolder | InBucket:
    """Where this upload's bytes go; one that was begun in a folder goes on there. Raises ``upload_gone``."""
    if upload.multipart and not settings.S3_BUCKET:
        raise HeyGemError("upload_gone")
    return InBucket(upload) if upload.multipart else InFolder(upload)


def _too_large(upload: Upload) -> HeyGemError:
    return HeyGemError("file_too_large", name=upload.name, limit=filesizeformat(upload.size))


class InFolder:
    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self.path = _folder() / upload.public_id

    def begin(self, content_type: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()

    @contextmanager
    def _held(self) -> Iterator[IO[bytes]]:
        """The partial file, held by this request alone. Raises ``upload_gone`` or ``upload_conflict``."""
        try:
            file = self.path.open("r+b")
        except FileNotFoundError as error:
            raise HeyGemError("upload_gone") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:  # the same upload is being sent twice at once
                raise HeyGemError("upload_conflict") from error
            yield file

    def append(self, offset: int, source: Readable) -> None:
        upload = self.upload
        with self._held() as file:
            upload.refresh_from_db(fields=["offset"])
            if offset != upload.offset:
                raise HeyGemError("upload_conflict")
            file.truncate(offset)
            file.seek(offset)
            try:
                while chunk := source.read(CHUNK):
                    if not disk.has_room():
                        raise HeyGemError("storage_full", name=upload.name)
                    if offset + len(chunk) > upload.size:
                        raise _too_large(upload)
                    file.write(chunk)
                    offset += len(chunk)
            finally:
                file.flush()
                Upload.objects.filter(pk=upload.pk).update(offset=offset)
                upload.offset = offset

    @contextmanager
    def complete(self, content_type: str) -> Iterator[MediaBlob]:
        """The blob of all that has arrived; nobody else completes it meanwhile."""
        with self._held():
            self.upload.refresh_from_db()
            if self.upload.offset != self.upload.size:
                raise HeyGemError("upload_conflict")
            yield blobs.store(self.upload.team, self.path, content_type, move=True)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of the file that is to be ``PUT`` to ``url``."""

    number: int
    offset: int
    """Bytes before it."""
    size: int
    url: str


class InBucket:
    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self.key = blobs.key_of(upload.team, upload.public_id)
        self.bucket = cast("Bucket", blobs.storage())

    @property
    def part_size(self) -> int:
        from projects.storage.bucket import part_size  # its libraries are large, and needed with a bucket only

        return part_size(self.upload.size, PART)

    def begin(self, content_type: str) -> None:
        self.upload.multipart = self.bucket.begin(self.key, content_type)
        self.upload.save(update_fields=["multipart"])

    def _rest(self, offset: int) -> str:
        return f"{ROOT}/{self.upload.public_id}/{offset}"

    def append(self, offset: int, source: Readable) -> None:
        upload, size = self.upload, self.part_size
        upload.refresh_from_db(fields=["offset"])
        if offset != upload.offset:
            raise HeyGemError("upload_conflict")
        if offset == upload.size:  # only its end was not heard
            return
        held = bytearray(b"".join(self.bucket.stream(self._rest(offset))) if offset % size else b"")
        try:
            while chunk := source.read(CHUNK):
                if offset + len(chunk) > upload.size:
                    raise _too_large(upload)
                held += chunk
                offset += len(chunk)
                if len(held) >= size or offset == upload.size:
                    self._put_part(held, offset)
        finally:
            if offset % size and offset != upload.size and offset != upload.offset:
                self.bucket.put_bytes(self._rest(offset), bytes(held))
                self._advance(offset)

    def _put_part(self, held: bytearray, offset: int) -> None:
        """Send the full part at the beginning of ``held``, or what is left at the end of the file."""
        size, end = self.part_size, self.upload.size
        while len(held) >= size or (held and offset == end):
            number = (offset - len(held)) // size + 1
            part = bytes(held[:size])
            self.bucket.put_part(self.key, self.upload.multipart, number, part)
            del held[:size]
            self._advance(offset - len(held))

    def _advance(self, offset: int) -> None:
        """``offset`` bytes are safe now. Two who send the same file at once send the same parts: the later one hears
        ``upload_conflict`` and asks where the upload stands."""
        before = self.upload.offset
        if not Upload.objects.filter(pk=self.upload.pk, offset=before).update(offset=offset):
            raise HeyGemError("upload_conflict")
        self.upload.offset = offset
        if before % self.part_size:
            self.bucket.remove(self._rest(before))

    def _sizes(self) -> dict[int, int]:
        """Number and bytes of every part of the whole file."""
        size, total = self.part_size, self.upload.size
        return {at // size + 1: min(size, total - at) for at in range(0, total, size)}

    def missing(self) -> tuple[list[Part], int]:
        """The next parts that a client is to send straight to the storage, and the bytes that are missing in all."""
        try:
            there = self.bucket.parts(self.key, self.upload.multipart)
        except FileNotFoundError as error:
            if self.bucket.length(self.key) == self.upload.size:  # completed, and its answer was lost
                return [], 0
            raise HeyGemError("upload_gone") from error
        wanted = {number: size for number, size in self._sizes().items() if there.get(number) != size}
        parts = [
            Part(
                number=number,
                offset=(number - 1) * self.part_size,
                size=size,
                url=self.bucket.part_url(self.key, self.upload.multipart, number, size),
            )
            for number, size in list(wanted.items())[:PARTS_AT_ONCE]
        ]
        return parts, sum(wanted.values())

    @contextmanager
    def complete(self, content_type: str) -> Iterator[MediaBlob]:
        """The blob of all that has arrived. Its bytes are not read here: the worker that looks at it does
        (``blobs.settle``)."""
        if self.missing()[1]:
            raise HeyGemError("upload_conflict")
        self.bucket.complete(self.key, self.upload.multipart)
        Upload.objects.filter(pk=self.upload.pk).update(offset=self.upload.size)
        yield blobs.adopt(self.upload.team, self.upload.public_id, self.upload.size, content_type)

    def forget(self) -> None:
        """What cannot be removed now, the daily cleaning and the orphan check find."""
        self.bucket.abort(self.key, self.upload.multipart)
        with suppress(StorageUnavailable):
            if not MediaBlob.objects.filter(path=self.key).exists():  # completed, and then put to no use
                self.bucket.remove(self.key)
            for left in self.bucket.walk(f"{ROOT}/{self.upload.public_id}"):
                self.bucket.remove(left.key)


def _folder() -> Path:
    return Path(settings.MEDIA_ROOT) / ROOT


def clean(before: datetime) -> int:
    """Remove what uploads left that nobody went on with since ``before`` (in a bucket: that began before). How many."""
    removed = 0
    for path in _folder().iterdir() if _folder().is_dir() else ():
        if path.stat().st_mtime < before.timestamp():
            path.unlink(missing_ok=True)
            removed += 1
    if not settings.S3_BUCKET:
        return removed
    bucket = cast("Bucket", blobs.storage())
    going_on = set(Upload.objects.filter(created_at__gte=before, finished_at=None).values_list("multipart", flat=True))
    for key, multipart, began in bucket.unfinished(blobs.ROOT):
        if began < before and multipart not in going_on:
            bucket.abort(key, multipart)
            removed += 1
    for left in bucket.walk(ROOT):
        if left.modified < before:
            bucket.remove(left.key)
    return removed


def is_known(upload: Upload) -> bool:
    """Whether anything of an old upload is left to go on with."""
    return not upload.multipart and (_folder() / upload.public_id).exists()
