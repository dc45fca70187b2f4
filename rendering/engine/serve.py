"""The engine as a child process: requests and events as JSON lines over pipes.

Standard input carries one request a line, ``{"id", "op", "args"}``; they are worked through one at a time. Standard
output carries events: first ``{"event": "ready", ...}``, then for each request any number of ``progress`` and at last
``done`` or ``failed``. Everything that libraries print goes to standard error, which is the human log.

End of input, or SIGTERM, ends the process at once, also in the middle of a long C call, and leaves no temporary file.
An exception that is nobody's fault but ours is not caught: the process ends, and the parent starts a fresh one.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rendering.engine import scratch
from rendering.engine.contract import Report
from rendering.engine.errors import EngineError

Handler = Callable[[Mapping[str, Any], Report], dict[str, Any]]
"""Takes a request's ``args`` and a report; returns the ``result``; raises :class:`EngineError`."""

PROGRESS_INTERVAL_S = 0.2
NOTE_INTERVAL_S = 5.0
END_OF_INPUT_STATUS = 0
TERMINATED_STATUS = 128 + signal.SIGTERM


class Channel:
    """Writes events, one line each, on what was standard output when the process began."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        # From here on whatever a library prints, in Python or in C, lands in the log.
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, event: Mapping[str, Any]) -> None:
        line = json.dumps(event, ensure_ascii=True, allow_nan=False).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._fd, line) :]


def note(words: str) -> None:
    """A line of the log, with the time in UTC."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {words}\n")
    sys.stderr.flush()


def throttled(channel: Channel, request_id: Any) -> Report:
    """A report that sends at most five events a second, but always a stage's first and last.

    The log gets a line when a stage begins, and one every :data:`NOTE_INTERVAL_S` seconds of it.
    """
    last_stage = ""
    last_time = noted_at = 0.0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last_stage, last_time, noted_at
        now = time.monotonic()
        if stage != last_stage or now - noted_at >= NOTE_INTERVAL_S:
            noted_at = now
            note(f"{stage} {done} of {total}")
        if stage == last_stage and done < total and now - last_time < PROGRESS_INTERVAL_S:
            return
        last_stage, last_time = stage, now
        channel.send({"id": request_id, "event": "progress", "stage": stage, "done": done, "total": total})

    return report


def failure_code(error: BaseException) -> str | None:
    """The code of a failure that a request may end with; None for an error of our own."""
    if isinstance(error, EngineError):
        return error.code
    # torch is not imported for this: its out-of-memory error is known by name.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out_of_memory"
    if isinstance(error, OSError):
        return "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "io_error"
    return None


def answer(channel: Channel, handlers: Mapping[str, Handler], request: Mapping[str, Any]) -> None:
    """Work one request through and send its last event."""
    request_id = request.get("id")
    began = time.monotonic()
    note(f"{request['op']} begins")
    try:
        handler = handlers[request["op"]]
        result = handler(request.get("args", {}), throttled(channel, request_id))
    except (EngineError, MemoryError, OSError, RuntimeError) as error:
        code = failure_code(error)
        if code is None:
            raise
        detail = error.detail if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
        note(f"{request['op']} failed after {time.monotonic() - began:.1f} s: {code} {detail}".rstrip())
        channel.send({"id": request_id, "event": "failed", "code": code, "detail": detail})
    else:
        note(f"{request['op']} done in {time.monotonic() - began:.1f} s")
        channel.send({"id": request_id, "event": "done", "result": result})


def _end(status: int) -> None:
    scratch.remove_all()
    os._exit(status)


def _listen(requests: queue.Queue[bytes], wake_fd: int) -> None:
    """Read requests as they come, and end the process on end of input or SIGTERM. Runs in its own thread."""
    buffer = b""
    while True:
        readable, _, _ = select.select([0, wake_fd], [], [])
        if wake_fd in readable and signal.SIGTERM in os.read(wake_fd, 64):
            _end(TERMINATED_STATUS)
        if 0 not in readable:
            continue
        block = os.read(0, 65536)
        if not block:
            _end(END_OF_INPUT_STATUS)
        *lines, buffer = (buffer + block).split(b"\n")
        for line in lines:
            if line.strip():
                requests.put(line)


def run(handlers: Mapping[str, Handler], info: Mapping[str, Any]) -> None:
    """Serve requests until the input ends. ``info`` is sent along with the ``ready`` event.

    Ends only with the process. Must be called from the main thread, before other threads exist.
    """
    channel = Channel()
    # Python runs signal handlers between bytecodes of the main thread, which a long C call holds up. The bytes on
    # the wake-up pipe are written at once, and the listening thread acts on them.
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    # Ctrl-C in a terminal reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(requests, read_fd), daemon=True, name="listen").start()
    channel.send({"event": "ready", **info})
    while True:
        answer(channel, handlers, json.loads(requests.get()))
