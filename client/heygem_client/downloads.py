"""Files on their way out: into ``name.part`` first, on from where it broke, checked, and then moved into place."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
from pathlib import Path

from heygem_client.errors import Damaged, Unreachable
from heygem_client.transport import PASSING, TOO_MANY, Transport, pause, reason, refused, retry_after
from heygem_client.uploads import Hear

BLOCK = 256 * 1024


def download(transport: Transport, url: str, target: Path, *, hear: Hear, sha256: str = "", size: int = 0) -> Path:
    """``url`` as ``target``, whole or not at all. What lies there already and is right is not fetched again.

    Raises :class:`Damaged` when the bytes are not those of ``sha256``.
    """
    if sha256 and target.exists() and _digest(target) == sha256:
        hear(target.stat().st_size, target.stat().st_size)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch(transport, url, part, sha256=sha256, size=size, hear=hear)
            break
        except (OSError, http.client.HTTPException) as error:
            gained = part.exists() and part.stat().st_size > before
            failures = 1 if gained else failures + 1
            if failures >= transport.tries:
                raise Unreachable(f"{target.name}: the line broke {failures} times: {reason(error)}") from None
            transport.sleep(pause(failures))
    if sha256 and _digest(part) != sha256:
        part.unlink()
        raise Damaged(f"{target.name} arrived damaged and was thrown away.")
    os.replace(part, target)
    return target


def _fetch(transport: Transport, url: str, part: Path, *, sha256: str, size: int, hear: Hear) -> None:
    """Add what is missing. Raises ``OSError`` when the line breaks before the end."""
    have = part.stat().st_size if part.exists() else 0
    headers = {}
    if have:
        headers["Range"] = f"bytes={have}-"
        if sha256:  # the site marks stored files by their hash
            headers["If-Range"] = f'"{sha256}"'
    try:
        with transport.open("GET", url, headers=headers) as response:
            if response.status != 206:
                have = 0
            length = response.headers.get("Content-Length")
            whole = size or (have + int(length) if length else 0)
            with part.open("ab" if have else "wb") as file:
                while block := response.read(BLOCK):
                    file.write(block)
                    have += len(block)
                    hear(have, whole)
                file.flush()
                os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        with error:
            _told(transport, error, part)
            return
    if whole and have < whole:
        raise ConnectionError(f"{have} of {whole} bytes")


def _told(transport: Transport, error: urllib.error.HTTPError, part: Path) -> None:
    """A refusal instead of bytes: everything is there already, try again, or raise."""
    if error.code == 416:
        whole = error.headers.get("Content-Range", "").rpartition("/")[2]
        if whole == str(part.stat().st_size):
            return
        part.unlink()
    elif error.code == TOO_MANY:
        transport.sleep(min(retry_after(error.headers.get("Retry-After", "")) or 0.0, 120.0))
    elif error.code not in PASSING:
        raise refused(error)
    raise ConnectionError(f"{error.code} {error.reason}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
