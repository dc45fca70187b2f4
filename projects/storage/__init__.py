"""Where bytes lie: two back ends for Django's ``STORAGES`` with the same few operations (:class:`Store`).

Only ``projects.services.blobs`` and ``projects.services.incoming`` talk to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from projects.problems import HeyGemError

CHUNK = 1 << 20
"""Bytes read at a time."""

Hear = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes in all, at least once a second; may raise, which ends the work."""


class StorageUnavailable(HeyGemError):  # noqa: N818 - named as its code
    """The storage does not answer, or not sensibly: trying again later is the right thing to do."""

    def __init__(self, detail: str) -> None:
        super().__init__("storage_unavailable")
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class Damaged(OSError):  # noqa: N818 - of what is stored, not of ours
    """What is stored was read, and is not what was stored: it does not get better by trying again."""


@dataclass(frozen=True)
class StoredFile:
    key: str
    size: int
    """Bytes."""
    modified: datetime
    """Aware."""


class Store(Protocol):
    """Every operation raises :class:`StorageUnavailable`; what needs the file to be there, ``FileNotFoundError``."""

    def place(self, key: str) -> Path | None:
        """Where the file lies on this machine; None when it lies elsewhere."""

    def put(self, held: Path, key: str, content_type: str, hear: Hear) -> None:
        """Store the file at ``held``, whole or not at all. ``held`` may be moved away."""

    def length(self, key: str) -> int | None:
        """Bytes; None when there is no such file."""

    def stream(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """The bytes from ``first`` to ``last`` (included), in chunks."""

    def remove(self, key: str) -> None:
        """Also when it is not there."""

    def walk(self, folder: str) -> Iterator[StoredFile]:
        """Every stored file whose key begins with ``folder`` and a slash."""

    def signed_url(self, key: str, *, content_type: str, disposition: str) -> str | None:
        """An address that anybody may fetch it from for an hour; None when the site has to send it."""

    def check(self) -> None:
        """Whether it answers."""


def silent(_done: int, _total: int) -> None:
    """For those who do not want to hear."""
