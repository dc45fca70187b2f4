"""Runs the Procfile's processes: one log, restarts with a back-off, and a stop that leaves nothing behind.

Every process leads its own session, so that Ctrl-C in a terminal reaches only the supervisor. To stop, the main
process of each is asked with SIGTERM (a django-q2 cluster must not have its workers signalled); what is left of its
group after the grace period is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
LONGEST_LINE = 16_384
COLOURS = (36, 33, 35, 32, 34, 31)
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Command:
    """One line of a Procfile."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


def parse_procfile(text: str, env: Mapping[str, str]) -> list[Command]:
    """``name: [VARIABLE=value ...] command``; ``$NAME`` is taken from ``env``. Raises ``ValueError`` with the line."""
    commands = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        words = shlex.split(rest)
        settings = {}
        while words and ASSIGNMENT.fullmatch(words[0]):
            key, _, value = words.pop(0).partition("=")
            settings[key] = _fill(value, env)
        if not colon or not re.fullmatch(r"[a-z][a-z0-9_-]*", name.strip()) or not words:
            raise ValueError(f"line {number} of the Procfile is not 'name: command'")
        commands.append(Command(name.strip(), tuple(_fill(word, env) for word in words), settings))
    return commands


def _fill(word: str, env: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in env:
            raise ValueError(f"the Procfile uses ${name}, which is not set")
        return env[name]

    return re.sub(r"\$([A-Z_][A-Z0-9_]*)", value, word)


class Log:
    """Lines of several processes on one stream, each with its name before it."""

    def __init__(self, stream: IO[str], names: Iterable[str], *, colour: bool) -> None:
        self.stream = stream
        self.colour = colour
        listed = list(names)
        self.width = max((len(name) for name in listed), default=0)
        self.colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(listed)}

    def write(self, name: str, line: str) -> None:
        prefix = f"{name:<{self.width}} |"
        if self.colour:
            prefix = f"\x1b[{self.colours.get(name, 37)}m{prefix}\x1b[0m"
        self.stream.write(f"{prefix} {line}\n")
        self.stream.flush()


def wants_colour(stream: IO[str], env: Mapping[str, str]) -> bool:
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def _die_with_parent() -> None:
    """In the child: a supervisor that is killed outright takes its processes with it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A command that is running, was running, or will be started again."""

    def __init__(self, command: Command, *, keep: bool = True) -> None:
        self.command = command
        self.keep = keep
        """Started again when it ends; otherwise it may end once."""
        self.popen: subprocess.Popen[bytes] | None = None
        self.rest = b""
        self.started_at = 0.0
        self.start_at: float | None = 0.0
        """When to start it (monotonic seconds); None: it runs, or is over."""
        self.stop_by: float | None = None
        self.failures = 0

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def alive(self) -> bool:
        return self.popen is not None

    @property
    def output(self) -> IO[bytes]:
        """What it says. Raises ``ValueError`` when it does not run."""
        if self.popen is None or self.popen.stdout is None:
            raise ValueError(f"{self.name} does not run")
        return self.popen.stdout

    def start(self, env: Mapping[str, str], cwd: Path) -> None:
        self.popen = subprocess.Popen(  # noqa: S603 - the project's own Procfile
            self.command.argv,
            cwd=cwd,
            env={**env, **self.command.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        os.set_blocking(self.output.fileno(), False)
        self.started_at, self.start_at, self.stop_by, self.rest = time.monotonic(), None, None, b""

    def ask_to_stop(self, grace_s: float) -> None:
        """SIGTERM to the main process alone; :meth:`kill` follows when ``grace_s`` is over."""
        if self.popen is not None and self.stop_by is None:
            self.stop_by = time.monotonic() + grace_s
            with contextlib.suppress(ProcessLookupError):
                self.popen.terminate()

    def kill(self) -> None:
        """SIGKILL to the whole group: the main process and whatever it left behind."""
        if self.popen is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)


class Supervisor:
    """Starts ``commands``, shows what they say, starts again what ends, until a signal asks it to stop.

    ``stuck``: names of processes that are alive but no longer work; asked every ``check_every_s``.
    ``ready``: called once, when ``is_ready`` first answers yes.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Log,
        once: Sequence[Command] = (),
        stuck: Callable[[], Iterable[str]] = tuple,
        is_ready: Callable[[], bool] = lambda: True,
        ready: Callable[[], None] = lambda: None,
        grace_s: float = 10.0,
        check_every_s: float = 20.0,
        longest_back_off_s: float = 30.0,
    ) -> None:
        self.processes = [Process(c) for c in commands] + [Process(c, keep=False) for c in once]
        self.env, self.cwd, self.log = env, cwd, log
        self.stuck, self.is_ready, self.ready = stuck, is_ready, ready
        self.grace_s, self.check_every_s, self.longest_back_off_s = grace_s, check_every_s, longest_back_off_s
        self.selector = selectors.DefaultSelector()
        self.stopping = False
        self.signals = 0
        self.told_ready = False
        self.next_check = 0.0

    def run(self) -> int:
        """Blocks until everything has stopped. 0 when a signal asked for it."""
        self.next_check = time.monotonic() + self.check_every_s
        with self._signals():
            try:
                while not self.stopping or any(process.alive for process in self.processes):
                    self._turn()
            finally:
                for process in self.processes:
                    process.kill()
        return 0

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM wake the loop through a socket, so none is lost between two looks."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._on_signal)
        wakeup = signal.set_wakeup_fd(theirs.fileno())
        self.selector.register(ours, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self.selector.unregister(ours)
            ours.close()
            theirs.close()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.signals += 1

    def _turn(self) -> None:
        if self.signals and not self.stopping:
            self.stopping = True
            self.log.write("up", "stopping (once more: at once)")
            for process in self.processes:
                process.start_at = None
                process.ask_to_stop(self.grace_s)
        if self.signals > 1:
            for process in self.processes:
                process.kill()
        now = time.monotonic()
        for process in self.processes:
            self._look_at(process, now)
        if not self.stopping:
            self._watch(now)
        for key, _ in self.selector.select(timeout=0.2):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv(512)  # type: ignore[union-attr]
            else:
                self._read(key.data)

    def _look_at(self, process: Process, now: float) -> None:
        if process.popen is None:
            if process.start_at is not None and now >= process.start_at:
                self._start(process)
            return
        if process.stop_by is not None and now > process.stop_by:
            self.log.write("up", f"{process.name} did not stop in time and is killed")
            process.stop_by = now + 5
            process.kill()
        if process.popen.poll() is not None:
            self._ended(process, now)

    def _start(self, process: Process) -> None:
        try:
            process.start(self.env, self.cwd)
        except OSError as error:
            self.log.write("up", f"{process.name} cannot be started: {error.strerror}")
            process.start_at = time.monotonic() + self.longest_back_off_s
            return
        self.selector.register(process.output, selectors.EVENT_READ, process)

    def _ended(self, process: Process, now: float) -> None:
        process.kill()  # a dead main process may leave workers behind
        code = process.popen.returncode if process.popen else 0
        self._read(process)
        self._forget(process)
        process.output.close()
        if process.rest:
            self.log.write(process.name, process.rest.decode("utf-8", "replace"))
        process.popen = None
        if self.stopping or not process.keep:
            if code and not self.stopping:
                self.log.write("up", f"{process.name} ended with {_status(code)}")
            return
        process.failures = 0 if now - process.started_at > 60 else process.failures + 1
        wait = min(2.0 ** (process.failures - 1) if process.failures else 0.0, self.longest_back_off_s)
        process.start_at = now + wait
        self.log.write("up", f"{process.name} ended with {_status(code)}; starting it again in {wait:.0f} s")

    def _read(self, process: Process) -> None:
        """Take what has arrived and show the whole lines of it."""
        while True:
            try:
                chunk = os.read(process.output.fileno(), 65_536)
            except BlockingIOError:
                break
            if not chunk:  # closed: the end of the process is seen by poll()
                self._forget(process)
                break
            *lines, process.rest = (process.rest + chunk).split(b"\n")
            if len(process.rest) > LONGEST_LINE:
                lines.append(process.rest)
                process.rest = b""
            for line in lines:
                self.log.write(process.name, line.decode("utf-8", "replace").rstrip("\r"))

    def _forget(self, process: Process) -> None:
        with contextlib.suppress(KeyError):
            self.selector.unregister(process.output)

    def _watch(self, now: float) -> None:
        if not self.told_ready and self.is_ready():
            self.told_ready = True
            self.ready()
        if now < self.next_check:
            return
        self.next_check = now + self.check_every_s
        names = set(self.stuck())
        for process in self.processes:
            if process.name in names and process.alive and process.stop_by is None:
                self.log.write("up", f"{process.name} has stopped taking work and is started again")
                process.ask_to_stop(self.grace_s)


def _status(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
