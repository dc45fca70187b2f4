"""Waiting for a storage that is away, for as long as the lease on the work lasts anyway."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings

from projects.storage import StorageUnavailable
from rendering.execution import stopping

log = logging.getLogger("heygem.storage")

T = TypeVar("T")
POLL_S = 0.3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
SHARE_OF_LEASE = 0.5
"""The rest of the lease is for the last try: one that gets no answer at all takes most of a minute."""


def patiently(step: Callable[[], T], *, since: Callable[[], float], poll: Callable[[], None]) -> T:
    """The result of ``step``, tried again with growing pauses while the storage is away.

    ``since`` says when (monotonic) the lease was last extended; ``poll`` is called during the pauses and may raise.
    Raises :class:`StorageUnavailable` when half of the lease has been waited for nothing.
    """
    pause = FIRST_PAUSE_S
    while True:
        try:
            return step()
        except StorageUnavailable as error:
            over = time.monotonic() + pause
            if over > since() + settings.LEASE_SECONDS * SHARE_OF_LEASE:
                raise
            log.warning("the storage is away (%s): again in %.1f s", error, pause)
        while time.monotonic() < over:
            if stopping.requested():
                raise stopping.WorkerStopping
            poll()
            time.sleep(min(POLL_S, max(0.0, over - time.monotonic())))
        pause = min(2 * pause, LONGEST_PAUSE_S)
