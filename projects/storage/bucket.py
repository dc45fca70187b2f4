"""A bucket of S3-compatible object storage: django-storages' back end and what it lacks.

What it lacks: parts of an upload one by one, reading on after a broken answer, addresses for browsers that reach the
storage under another name, and telling an outage from everything else.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from projects.storage import CHUNK, Damaged, Hear, StorageUnavailable, StoredFile, silent

log = logging.getLogger("heygem.storage")

PART = 16 << 20
"""Bytes of a part when a worker stores a file: small enough to be progress on a slow line."""
MOST_PARTS = 10_000
SIGNED_S = 3600
"""How long a signed address works, in seconds."""
RESUMED = 3
"""How often in a row reading goes on after an answer that broke off without a byte."""


def _config(*, own: bool) -> Config:
    """``own``: an endpoint of one's own, which seldom has a name for each bucket. No request waits for ever: at worst
    for two tries."""
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if own else "virtual"},
        connect_timeout=4,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 2},
        # Newer checksums are unknown to many servers, and part of no address that we sign.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


@contextmanager
def telling(what: str) -> Iterator[None]:
    """An outage is :class:`StorageUnavailable`, a missing file ``FileNotFoundError``, less than was
    stored :class:`Damaged`."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        if told.get("Code") in {"NoSuchKey", "404", "NotFound", "NoSuchUpload"}:
            raise FileNotFoundError(errno.ENOENT, "not stored", what) from error
        if told.get("Code") == "InvalidRange":
            raise Damaged(errno.EIO, "less is stored than was", what) from error
        log.warning("object storage: %s of %s: %s", error.operation_name, what, told)
        raise StorageUnavailable(f"{error.operation_name}: {told.get('Code', '?')}") from error
    except (BotoCoreError, HTTPClientError, HTTPError, ConnectionError, TimeoutError) as error:
        log.warning("object storage: %s: %s", what, error)
        raise StorageUnavailable(f"{type(error).__name__}: {error}") from error


class Bucket(S3Storage):
    """The ``STORAGES`` back end for ``S3_BUCKET`` (see :class:`projects.storage.Store`)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(client_config=_config(own=bool(options.get("endpoint_url"))), **options)
        self._signing = threading.local()
        # A fork must not talk through its parent's connections.
        os.register_at_fork(after_in_child=self._forget_connections)

    def _forget_connections(self) -> None:
        self._connections, self._signing, self._bucket = threading.local(), threading.local(), None

    def get_default_settings(self) -> dict[str, Any]:
        return {**super().get_default_settings(), "public_endpoint": ""}

    @property
    def client(self) -> Any:
        return self.connection.meta.client

    @property
    def signing_client(self) -> Any:
        """Signs addresses under the name by which browsers reach the storage. Sends nothing."""
        if not self.public_endpoint:
            return self.client
        if not hasattr(self._signing, "client"):
            self._signing.client = boto3.session.Session(self.access_key, self.secret_key).client(
                "s3", region_name=self.region_name, endpoint_url=self.public_endpoint, config=self.client_config
            )
        return self._signing.client

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": self._normalize_name(key)}

    # Whole files

    def place(self, key: str) -> None:
        return None

    def put(self, held: Path, key: str, content_type: str, hear: Hear = silent) -> None:
        total = held.stat().st_size
        if total <= PART:
            with held.open("rb") as file, telling(key):
                self.client.put_object(**self._at(key), Body=file, ContentType=content_type)
            hear(total, total)
            return
        size = part_size(total, PART)
        upload = self.begin(key, content_type)
        try:
            with held.open("rb") as file:
                for number in range(1, math.ceil(total / size) + 1):
                    self.put_part(key, upload, number, file.read(size))
                    hear(min(number * size, total), total)
            self.complete(key, upload)
        except BaseException:
            self.abort(key, upload)
            raise

    def put_bytes(self, key: str, content: bytes) -> None:
        with telling(key):
            self.client.put_object(**self._at(key), Body=content, ContentType="application/octet-stream")

    def length(self, key: str) -> int | None:
        try:
            with telling(key):
                return int(self.client.head_object(**self._at(key))["ContentLength"])
        except FileNotFoundError:
            return None

    def stream(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """An answer that breaks off is asked for again from where it stopped."""
        barren = 0
        while last is None or first <= last:
            try:
                with telling(key):
                    answer = self.client.get_object(
                        **self._at(key), Range=f"bytes={first}-{'' if last is None else last}"
                    )
                    last = first + int(answer["ContentLength"]) - 1 if last is None else last
                for chunk in self._chunks(key, answer["Body"]):
                    first, barren = first + len(chunk), 0
                    yield chunk
            except StorageUnavailable:
                barren += 1
                if barren > RESUMED:
                    raise

    @staticmethod
    def _chunks(key: str, body: Any) -> Iterator[bytes]:
        with body:
            while True:
                with telling(key):
                    chunk = body.read(CHUNK)
                if not chunk:
                    return
                yield chunk

    def remove(self, key: str) -> None:
        with telling(key):
            self.client.delete_object(**self._at(key))

    def walk(self, folder: str) -> Iterator[StoredFile]:
        inside = len(self._normalize_name("-")) - 1  # the configured prefix is nobody else's business
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name, Prefix=self._normalize_name(folder) + "/"
        )
        with telling(folder):
            for page in pages:
                for found in page.get("Contents", ()):
                    yield StoredFile(found["Key"][inside:], found["Size"], found["LastModified"])

    def signed_url(self, key: str, *, content_type: str, disposition: str) -> str:
        answer = {
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": "private, max-age=31536000, immutable",
        }
        return str(
            self.signing_client.generate_presigned_url("get_object", Params=self._at(key) | answer, ExpiresIn=SIGNED_S)
        )

    def check(self) -> None:
        try:
            with telling(self.bucket_name):
                self.client.head_bucket(Bucket=self.bucket_name)
        except FileNotFoundError as error:
            raise StorageUnavailable(f"there is no bucket {self.bucket_name}") from error

    # Parts of an upload

    def begin(self, key: str, content_type: str) -> str:
        """The id of a new multipart upload."""
        with telling(key):
            return str(self.client.create_multipart_upload(**self._at(key), ContentType=content_type)["UploadId"])

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> None:
        with telling(key):
            self.client.upload_part(**self._at(key), UploadId=upload, PartNumber=number, Body=content)

    def part_url(self, key: str, upload: str, number: int, size: int) -> str:
        """Where anybody may ``PUT`` this one part, of exactly ``size`` bytes, for an hour."""
        part = {"UploadId": upload, "PartNumber": number, "ContentLength": size}
        return str(
            self.signing_client.generate_presigned_url("upload_part", Params=self._at(key) | part, ExpiresIn=SIGNED_S)
        )

    def parts(self, key: str, upload: str) -> dict[int, int]:
        """Number and bytes of every part that has arrived. Raises ``FileNotFoundError`` for an unknown upload."""
        return {part["PartNumber"]: part["Size"] for part in self._parts(key, upload)}

    def _parts(self, key: str, upload: str) -> list[Mapping[str, Any]]:
        pages = self.client.get_paginator("list_parts").paginate(**self._at(key), UploadId=upload)
        with telling(key):
            return [part for page in pages for part in page.get("Parts", ())]

    def complete(self, key: str, upload: str) -> None:
        """Make the parts that have arrived one file. Asked again, it finds the work done."""
        try:
            parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in self._parts(key, upload)]
            with telling(key):
                self.client.complete_multipart_upload(
                    **self._at(key), UploadId=upload, MultipartUpload={"Parts": parts}
                )
        except FileNotFoundError:
            if self.length(key) is None:
                raise

    def abort(self, key: str, upload: str) -> None:
        """Forget the parts, also when there are none."""
        try:
            with telling(key):
                self.client.abort_multipart_upload(**self._at(key), UploadId=upload)
        except (FileNotFoundError, StorageUnavailable) as error:
            log.info("upload %s is not aborted now: %s", key, error)  # the daily cleaning does it

    def unfinished(self, folder: str) -> Iterator[tuple[str, str, datetime]]:
        """Key, id and beginning of every multipart upload below ``folder``."""
        inside = len(self._normalize_name("-")) - 1
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket_name, Prefix=self._normalize_name(folder) + "/"
        )
        with telling(folder):
            for page in pages:
                for found in page.get("Uploads", ()):
                    yield found["Key"][inside:], found["UploadId"], found["Initiated"]


def part_size(total: int, least: int) -> int:
    """Bytes of every part but the last: ``least``, or more where 10,000 of them would not hold ``total``."""
    mebibyte = 1 << 20
    return max(least, math.ceil(total / MOST_PARTS / mebibyte) * mebibyte)
