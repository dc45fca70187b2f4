"""How the main process of a cluster tells its workers to stop what they are doing.

django-q2 waits for a worker's task to end, however long that takes. The pipe made here before the first fork is
inherited by every worker; a byte in it, which nobody ever reads, makes it readable for all of them at once.
"""

from __future__ import annotations

import os
import select


class WorkerStopping(Exception):  # noqa: N818 - an event, not an error of anybody's
    """The cluster is being stopped: put the work back and return."""


_pipe: tuple[int, int] | None = None


def listen() -> None:
    """Make the pipe. Called once, by the cluster's main process, before it forks."""
    global _pipe
    _pipe = os.pipe()


def announce() -> None:
    """Tell every worker to stop. Safe in a signal handler."""
    if _pipe is not None:
        os.write(_pipe[1], b"!")


def fds() -> list[int]:
    """What to select on besides the work itself."""
    return [_pipe[0]] if _pipe is not None else []


def requested() -> bool:
    return bool(_pipe is not None and select.select(fds(), [], [], 0)[0])
