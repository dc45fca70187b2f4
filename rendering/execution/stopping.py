"""How the main process of a cluster tells its workers to stop what they are doing.

django-q2 waits for a worker's task to end, however long that takes. The pipes made here before the first fork are
inherited by every worker; a byte in one, which nobody ever reads, makes it readable for all of them at once. One says
"put your work back", the other "finish it, but begin nothing new".
"""

from __future__ import annotations

import os
import select


class WorkerStopping(Exception):  # noqa: N818 - an event, not an error of anybody's
    """The cluster is being stopped: put the work back and return."""


_pipe: tuple[int, int] | None = None
_last: tuple[int, int] | None = None


def listen() -> None:
    """Make the pipes. Called once, by the cluster's main process, before it forks."""
    global _pipe, _last
    _pipe, _last = os.pipe(), os.pipe()


def announce() -> None:
    """Tell every worker to stop. Safe in a signal handler."""
    if _pipe is not None:
        os.write(_pipe[1], b"!")


def announce_last() -> None:
    """Tell every worker that the task it has is its last. Safe in a signal handler."""
    if _last is not None:
        os.write(_last[1], b"!")


def fds() -> list[int]:
    """What to select on besides the work itself."""
    return [_pipe[0]] if _pipe is not None else []


def requested() -> bool:
    """Whether nothing new may be begun."""
    both = [pipe[0] for pipe in (_pipe, _last) if pipe is not None]
    return bool(select.select(both, [], [], 0)[0])
