"""For which request, job, team, person and worker the code at hand works: every log record says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

NAMES = ("request", "job", "team", "user", "worker")

_process: dict[str, str] = {}
_ids: ContextVar[Mapping[str, str] | None] = ContextVar("ids", default=None)


def ids() -> Mapping[str, str]:
    """By the names of :data:`NAMES`; what is not known is not in it."""
    return {**_process, **(_ids.get() or {})}


def _told(found: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in found.items() if value}


def always(**found: object) -> None:
    """True of this process for as long as it lives."""
    _process.update(_told(found))


def note(**found: object) -> None:
    """Known from here on, until the :func:`working_for` around it ends. Outside of one there is nothing to know."""
    if (known := _ids.get()) is not None:
        _ids.set({**known, **_told(found)})


@contextmanager
def working_for(**found: object) -> Iterator[None]:
    """Within the block this is what is worked for. What was known around it stays known."""
    token = _ids.set({**(_ids.get() or {}), **_told(found)})
    try:
        yield
    finally:
        _ids.reset(token)
