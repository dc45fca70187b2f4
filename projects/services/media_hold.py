"""While a backup copies stored files, none may be removed: not even those that nothing needs any more.

There is one row, and whoever removes looks at it in the transaction in which the file's row goes, holding the row's
lock. So a removal is either over before the backup's snapshot, or waits for another day.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from projects.models import MediaHold

LASTS = timedelta(minutes=5)
"""A backup that dies holds nothing up for longer than this."""
RENEWED_S = 60.0
_ONLY = 1


class HeldError(Exception):
    """Another backup holds until ``until``."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"held until {until:%H:%M:%S} UTC")
        self.until = until


def _row() -> MediaHold:
    """The row, locked until the transaction ends."""
    MediaHold.objects.get_or_create(pk=_ONLY)
    return MediaHold.objects.select_for_update().get(pk=_ONLY)


def is_held() -> bool:
    """Whether nothing may be removed now. Ask in the transaction that removes."""
    until = _row().until
    return until is not None and until > timezone.now()


@contextmanager
def held() -> Iterator[None]:
    """Nothing is removed within the block. Raises :class:`HeldError`."""
    with transaction.atomic():
        if is_held():
            raise HeldError(MediaHold.objects.get(pk=_ONLY).until or timezone.now())
        _set(timezone.now() + LASTS)
    over = threading.Event()
    renewing = threading.Thread(target=_renew, args=(over,), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        _set(None)


def _set(until: datetime | None) -> None:
    MediaHold.objects.filter(pk=_ONLY).update(until=until)


def _renew(over: threading.Event) -> None:
    """In a thread with a connection of its own: the other one is in the middle of its snapshot."""
    try:
        while not over.wait(RENEWED_S):
            _set(timezone.now() + LASTS)
    finally:
        connection.close()
