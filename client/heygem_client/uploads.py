"""Files on their way in (tus 1.0): what has arrived stays, and a broken line, or another run, goes on from there."""

from __future__ import annotations

import base64
import hashlib
import http.client
import urllib.error
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from heygem_client.errors import Conflict, NotFound, Unreachable
from heygem_client.transport import PASSING, TOO_MANY, Transport, pause, problem_of, reason, refused, retry_after

CHUNK = 8 * 1024 * 1024
"""Bytes of one request."""
TUS = {"Tus-Resumable": "1.0.0"}
CREATED = "HeyGem-Created-Id"
Hear = Callable[[int, int], None]
"""Told of bytes done and bytes in all."""


def upload(transport: Transport, path: Path, metadata: Mapping[str, str], *, hear: Hear) -> str:
    """Send ``path``; returns the id of what became of it (footage or a take).

    The same file for the same purpose within a day is the same upload: it goes on where it was, also after a crash.
    """
    size = path.stat().st_size
    told = {"filename": path.name, **metadata}
    key = _key(transport, path, told)
    place = _begin(transport, size, told, key)
    try:
        offset, made = _look(transport, place)
    except NotFound:  # it was given up or swept away: begin anew, under another key
        place = _begin(transport, size, told, f"upload-{uuid.uuid4()}")
        offset, made = _look(transport, place)
    hear(offset, size)
    with path.open("rb") as file:
        failures = 0
        while not made:
            file.seek(offset)
            try:
                offset, made = _send(transport, place, offset, file.read(CHUNK))
                failures = 0
            except (OSError, http.client.HTTPException, Conflict) as error:
                failures += 1
                if failures >= transport.tries:
                    raise (
                        error
                        if isinstance(error, Conflict)
                        else Unreachable(f"{path.name}: the line broke {failures} times: {reason(error)}")
                    ) from None
                transport.sleep(pause(failures))
                offset, made = _look(transport, place)
            hear(offset, size)
    return made


def _key(transport: Transport, path: Path, metadata: Mapping[str, str]) -> str:
    """The same for the same file, as far as the disk can tell without reading it, and the same purpose."""
    stat = path.stat()
    words = [transport.url, str(path.resolve()), str(stat.st_size), str(stat.st_mtime_ns)]
    words += [f"{name}={value}" for name, value in sorted(metadata.items())]
    return "upload-" + hashlib.sha256("\n".join(words).encode()).hexdigest()[:40]


def _begin(transport: Transport, size: int, metadata: Mapping[str, str], key: str) -> str:
    encoded = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": encoded, "Idempotency-Key": key}
    answer = transport.request("POST", "/uploads/", headers=headers, body=b"", safe=True)
    return str(answer.headers["Location"])


def _look(transport: Transport, place: str) -> tuple[int, str]:
    """Bytes that have arrived, and the id of what became of them when it was all of them."""
    answer = transport.request("HEAD", place, headers=TUS, safe=True)
    return int(answer.headers["Upload-Offset"]), str(answer.headers.get(CREATED, ""))


def _send(transport: Transport, place: str, offset: int, chunk: bytes) -> tuple[int, str]:
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    try:
        with transport.open("PATCH", place, headers=headers, body=chunk) as response:
            return int(response.headers["Upload-Offset"]), str(response.headers.get(CREATED, ""))
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 409 and problem_of(error).code != "upload_conflict":
                raise refused(error) from None
            if error.code == TOO_MANY:
                transport.sleep(min(retry_after(error.headers.get("Retry-After", "")) or 0.0, 120.0))
            if error.code in (409, TOO_MANY, *PASSING, 400):
                raise ConnectionError(f"{error.code} {error.reason}") from None
            raise refused(error) from None
