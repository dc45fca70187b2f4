"""The engine as a child process of the worker: JSON lines over pipes (the other side is ``rendering.engine.serve``).

A decoder that crashes, a file that hangs, a device out of memory or a cancel ends the child, never the worker. The
child is kept, its models loaded, from one ticket to the next. It dies with the worker, however the worker dies: its
input ends, and on Linux the kernel kills it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.util import Finalize
from typing import IO, Any

from django.conf import settings

from rendering.engine.contract import Report
from rendering.engine.errors import FAILURES, EngineError
from rendering.execution import oom, stopping

log = logging.getLogger("heygem.engine")

POLL_S = 0.3
"""How often ``poll`` is called, whether or not the engine speaks."""
GRACE_S = 1.0
"""How long the engine may take to clear up after it was asked to end."""
LOG_TAIL = 20_000
"""Bytes of the engine's log that go with an attempt."""
SECRETS = re.compile(r"SECRET|PASSWORD|TOKEN|_KEY|_DSN|DATABASE_URL|EMAIL_URL|DJANGO_SETTINGS_MODULE|Q_CLUSTER")
"""Variables that a process that parses other people's files has no business to know."""
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """In a new child: let the kernel kill this process when its parent ends (Linux)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def environment() -> dict[str, str]:
    """What the engine's process is told: no secrets, and the engine's own settings as this site has them."""
    told = {name: value for name, value in os.environ.items() if not SECRETS.search(name)}
    return told | {
        "ENGINE_DEVICE": settings.ENGINE_DEVICE,
        "ENGINE_CODECS": settings.ENGINE_CODECS,
        "ENGINE_DEVICE_MEMORY_MB": str(settings.ENGINE_DEVICE_MEMORY_MB),
        "ENGINE_GRAPHS": str(int(settings.ENGINE_GRAPHS)),
        "ENGINE_SEGMENTS": str(settings.ENGINE_SEGMENTS),
        "WAV2LIP_CHECKPOINT": str(settings.WAV2LIP_CHECKPOINT or ""),
        "WAV2LIP_BATCH": str(settings.WAV2LIP_BATCH),
        "ENHANCER_MODEL": str(settings.ENHANCER_MODEL or ""),
        "ENHANCER_SIZE": str(settings.ENHANCER_SIZE),
        "ENHANCER_RANGE": settings.ENHANCER_RANGE,
        "ENHANCER_BATCH": str(settings.ENHANCER_BATCH),
        "TRACKER": settings.TRACKER,
        "FACE_ALIGNMENT_WEIGHTS": str(settings.FACE_ALIGNMENT_WEIGHTS or ""),
        "FACE_ALIGNMENT_DOWNLOAD": str(int(settings.FACE_ALIGNMENT_DOWNLOAD)),
        "FACE_ALIGNMENT_BATCH": str(settings.FACE_ALIGNMENT_BATCH),
        "FACE_ALIGNMENT_COMPILE": str(int(settings.FACE_ALIGNMENT_COMPILE)),
    }


class EngineChild:
    """One engine process, started when it is first needed and again after it ended."""

    def __init__(self) -> None:
        self.info: dict[str, Any] = {}
        """What the engine said when it was ready: ``engine``, ``backends``, ``weights``, ``device``."""
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as we are
        # The engine goes on writing at the end also after we have cut the file to nothing.
        fcntl.fcntl(self._log, fcntl.F_SETFL, os.O_APPEND)
        self._buffer = b""
        self._requests = 0
        self._oom_kills: int | None = None
        """When the process, or what it works at, began."""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def ensure_ready(self, poll: Callable[[], None] = lambda: None) -> None:
        """Start the engine if it does not run. Raises :class:`EngineError` when it cannot be started."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        self._buffer = b""
        self._log.truncate(0)
        self._oom_kills = oom.kills()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the operator's own command
                settings.ENGINE_COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=settings.BASE_DIR,
                env=environment(),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise EngineError("engine_crashed", f"{settings.ENGINE_COMMAND[0]}: {error.strerror}") from error
        with self._ended_on_error():
            if (event := self._next_event(poll, settings.ENGINE_START_SECONDS)).get("event") != "ready":
                raise EngineError("engine_crashed", f"not ready but {event}")
            self.info = event
        log.info("engine %s on %s is process %s", event.get("engine"), event.get("device"), self.pid)

    def run(
        self, op: str, args: Mapping[str, Any], *, report: Report, poll: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        """Work one request through and return its result.

        ``report`` is called for every progress event; ``poll`` after it, and every :data:`POLL_S` seconds of silence.
        Both may raise, which ends the engine. Raises :class:`EngineError` with the engine's code, or with
        ``engine_crashed``, ``engine_hung``, ``engine_killed`` or ``out_of_memory``; and
        :class:`stopping.WorkerStopping`.
        """
        self.ensure_ready(poll)
        _, stdin, _ = self._running()
        self._log.truncate(0)
        self._oom_kills = oom.kills()
        self._requests += 1
        request = {"id": self._requests, "op": op, "args": args}
        with self._ended_on_error():
            with contextlib.suppress(BrokenPipeError):  # it has just died: its end is read below
                stdin.write(json.dumps(request).encode() + b"\n")
                stdin.flush()
            while True:
                event = self._next_event(poll, settings.ENGINE_SILENCE_SECONDS)
                if event["event"] == "progress":
                    report(event["stage"], event["done"], event["total"])
                    poll()
                elif event["event"] == "done":
                    result: dict[str, Any] = event["result"]
                    return result
                elif event["event"] == "failed":
                    break
        # The engine is well; it only says no.
        code = event["code"] if event["code"] in FAILURES else "engine_crashed"
        raise EngineError(code, event.get("detail", ""))

    @property
    def log_fd(self) -> int:
        """What the engine writes its log to, from the beginning anew for every request."""
        return self._log.fileno()

    def log_tail(self) -> str:
        """The end of what the engine wrote to its log since the last request began."""
        # Read in place: the file's position is the engine's as well.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), LOG_TAIL, max(0, size - LOG_TAIL)).decode("utf-8", "replace")

    def stop(self) -> None:
        """End the process: asked first, so that it removes its temporary files, then killed with all its children."""
        if self._process is None:
            return
        process, stdin, stdout = self._running()
        self._process = None
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            log.warning("engine process %s does not end by itself and is killed", process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (stdin, stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _running(self) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
        """The process, its input and its output."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("the engine does not run")
        return process, process.stdin, process.stdout

    @contextlib.contextmanager
    def _ended_on_error(self) -> Iterator[None]:
        """An engine in the middle of something that nobody wants any more is of no use."""
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def _next_event(self, poll: Callable[[], None], longest_s: float) -> dict[str, Any]:
        """Wait for the engine's next line. Raises :class:`EngineError` when it ends, or says nothing for too long."""
        fd = self._running()[2].fileno()
        silent_until = time.monotonic() + longest_s
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([fd, *stopping.fds()], [], [], POLL_S)
            if set(readable) - {fd}:
                raise stopping.WorkerStopping
            if readable:
                block = os.read(fd, 65536)
                if not block:
                    raise self._why_it_ended()
                self._buffer += block
                continue
            began = time.monotonic()
            if began > silent_until:
                raise EngineError("engine_hung", f"silent for {longest_s} s")
            poll()
            silent_until += time.monotonic() - began  # what the database takes is not the engine's silence
        line, self._buffer = self._buffer.split(b"\n", 1)
        event: dict[str, Any] = json.loads(line)
        return event

    def _why_it_ended(self) -> EngineError:
        try:
            status = self._running()[0].wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return EngineError("engine_crashed", "closed its output")
        if status == -signal.SIGKILL:  # we did not do it
            by_kernel = oom.kills() != self._oom_kills
            return EngineError("out_of_memory" if by_kernel else "engine_killed", "signal SIGKILL")
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return EngineError("engine_crashed", how)


_engine: tuple[int, EngineChild] | None = None


def engine() -> EngineChild:
    """This process's engine. A fork gets its own."""
    global _engine
    if _engine is None or _engine[0] != os.getpid():
        _engine = (os.getpid(), EngineChild())
        # Also in multiprocessing's forks, which run no atexit functions.
        Finalize(None, _engine[1].stop, exitpriority=10)
    return _engine[1]
