"""The database may go away while a machine works. What is being made goes on, for as long as the lease on it lasts.

Nothing is handed in after that: the lease is then somebody else's, or nobody's. A step is tried again on a new
connection, so each must be one transaction, and safe to try again when nobody knows whether it was committed: the
steps of ``states`` are, for they name the lease's token.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from rendering.execution import stopping

log = logging.getLogger("heygem.outage")

T = TypeVar("T")
AWAY = (OperationalError, InterfaceError)
PAUSE_S = 0.5
SHARE = 2.0
"""A try may take seconds, in which nobody listens to the engine: the pause after it is so many times as long."""


def _let_go(error: Exception) -> None:
    """A connection on which something failed is of no more use, unless a transaction is open around us."""
    if not connection.in_atomic_block:
        connection.close()
    log.warning("the database is away: %s", str(error).strip().partition("\n")[0])


def quietly(step: Callable[[], object]) -> bool:
    """Try once what is not worth the work at hand. False: the database is away."""
    try:
        step()
    except AWAY as error:
        _let_go(error)
        return False
    return True


def told(ticket: Callable[[], str]) -> Callable[[], str]:
    """A ticket that ends in words, not in a traceback, when the database goes away while nothing is at stake."""

    @wraps(ticket)
    def run() -> str:
        try:
            return ticket()
        except AWAY as error:
            _let_go(error)
            return "the database is away"

    return run


@contextmanager
def spare(path: Path) -> Iterator[Callable[[], None]]:
    """A second name for a file that is about to be given away: the function puts it back if it is gone."""
    other = path.with_name(f"{path.name}.again")
    os.link(path, other)

    def put_back() -> None:
        if not path.exists():
            os.link(other, path)

    try:
        yield put_back
    finally:
        other.unlink(missing_ok=True)


def answered(step: Callable[[], T]) -> T | None:
    """The result of ``step``, tried again until the database answers; None when the cluster is stopped first."""
    while not stopping.requested():
        try:
            return step()
        except AWAY as error:
            _let_go(error)
            time.sleep(PAUSE_S)
    return None


class Lease:
    """How long a piece of work is still ours. ``lost`` is what is raised when it no longer is."""

    def __init__(self, lost: type[Exception]) -> None:
        self.lost = lost
        self.since = time.monotonic()
        """When the lease was last extended, or a little earlier."""
        self._again_at = 0.0

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.since + settings.LEASE_SECONDS

    def extend(self, write: Callable[[], T]) -> T:
        """``write`` extends the lease in the database."""
        began = time.monotonic()
        written = write()
        self.since = began
        return written

    def meanwhile(self, step: Callable[[], object]) -> None:
        """Do ``step``, unless the database is away: then at the next call, or a later one."""
        began = time.monotonic()
        if began < self._again_at:
            return
        if not quietly(step):
            if self.is_over:
                raise self.lost
            now = time.monotonic()
            self._again_at = now + max(PAUSE_S, SHARE * (now - began))

    def surely(self, step: Callable[[], T]) -> T:
        """The result of ``step``, tried again while the database is away and the lease is ours."""
        while True:
            try:
                return step()
            except AWAY as error:
                _let_go(error)
            if self.is_over:
                raise self.lost
            time.sleep(PAUSE_S)
