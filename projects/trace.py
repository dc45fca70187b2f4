"""For which request, job, team, person and worker the code at hand works: every log record says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

NAMES = ("request", "job", "team", "user", "worker")

_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default={})  # noqa: B039 - replaced, never changed


def ids() -> Mapping[str, str]:
    """By the names of :data:`NAMES`; what is not known is not in it."""
    return _ids.get()


def note(**found: object) -> None:
    """Known from here on, until the :func:`working_for` around it ends."""
    _ids.set({**_ids.get(), **{name: str(value) for name, value in found.items() if value}})


@contextmanager
def working_for(**found: object) -> Iterator[None]:
    """Within the block this is what is worked for. What was known around it stays known."""
    token = _ids.set(_ids.get())
    try:
        note(**found)
        yield
    finally:
        _ids.reset(token)
