"""The supervisor of ``./heygem up``, on small real processes."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_site.processes import Command, Log, parse_procfile, wants_colour

ROOT = Path(__file__).resolve().parents[2]

DRIVER = """
import os, sys
from pathlib import Path
from heygem_site.processes import Command, Log, Supervisor
here = Path(sys.argv[1])
def stuck():
    if (here / "stuck").exists():
        (here / "stuck").unlink()
        return ["a"]
    return []
commands = [Command(n, (sys.executable, "-u", "-c", code)) for n, code in {commands!r}]
log = Log(sys.stdout, [c.name for c in commands] + ["up"], colour=False)
sys.exit(Supervisor(commands, env=dict(os.environ), cwd=here, log=log, stuck=stuck, grace_s={grace},
                    check_every_s=0.3, ready=lambda: print("READY", flush=True)).run())
"""


class Running:
    """A supervisor in a process of its own, and what it has said so far."""

    def __init__(self, folder: Path, commands: list[tuple[str, str]], grace: float = 5) -> None:
        self.folder = folder
        self.said = folder / "said"
        code = DRIVER.format(commands=[(n, textwrap.dedent(c)) for n, c in commands], grace=grace)
        with self.said.open("wb") as sink:
            self.popen = subprocess.Popen(
                [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT
            )

    def text(self) -> str:
        return self.said.read_text()

    def until(self, true: Callable[[], object], seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.text()
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(20)


@pytest.fixture
def start(tmp_path: Path):  # type: ignore[no-untyped-def]
    started: list[Running] = []

    def begin(*commands: tuple[str, str], grace: float = 5) -> Running:
        started.append(Running(tmp_path, list(commands), grace))
        return started[-1]

    yield begin
    for running in started:
        if running.popen.poll() is None:
            running.popen.kill()
            running.popen.wait()


def alive(pid: int) -> bool:
    """A zombie is dead: whoever adopted it has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


SLEEPER = "import time; print('here'); time.sleep(600)"


def test_a_procfile_line_is_a_name_settings_and_a_command() -> None:
    (web, gpu) = parse_procfile("web: serve --port $PORT\n# no\n\ngpu: NAME=gpu python x.py", {"PORT": "8000"})
    assert web == Command("web", ("serve", "--port", "8000"))
    assert gpu == Command("gpu", ("python", "x.py"), {"NAME": "gpu"})


@pytest.mark.parametrize("line", ["web", "web:", "web: A=b", "We b: serve"])
def test_a_wrong_procfile_line_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 of the Procfile"):
        parse_procfile(f"\n{line}", {})


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ValueError, match=r"\$PORT"):
        parse_procfile("web: serve $PORT", {})


def test_the_projects_procfile_has_the_three_processes() -> None:
    env = {"HOST": "127.0.0.1", "PORT": "8000", "WEB_CONCURRENCY": "2"}
    commands = parse_procfile((ROOT / "Procfile").read_text(), env)
    assert [command.name for command in commands] == ["web", "worker", "gpu"]
    assert commands[2].argv[-2:] == ("cluster", "gpu")


def test_colour_is_for_terminals_that_want_it() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert wants_colour(Terminal(), {"TERM": "xterm"})
    assert not wants_colour(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not wants_colour(io.StringIO(), {"TERM": "xterm"})


def test_lines_carry_the_name_of_who_said_them() -> None:
    out = io.StringIO()
    Log(out, ["web", "worker"], colour=False).write("web", "hello")
    assert out.getvalue() == "web    | hello\n"


def test_what_they_say_is_shown_line_by_line(start: Callable[..., Running]) -> None:
    run = start(("a", "import time\nprint('one', end='', flush=True); time.sleep(.3); print(' two')\ntime.sleep(600)"))
    run.until(lambda: "two" in run.text())
    assert "a  | one two\n" in run.text()
    assert "READY" in run.text()
    assert run.stop() == 0


def test_a_process_that_ends_is_started_again(start: Callable[..., Running], tmp_path: Path) -> None:
    run = start(("a", "open('count', 'a').write('x'); raise SystemExit(3)"), ("b", SLEEPER))
    run.until(lambda: (tmp_path / "count").exists() and len((tmp_path / "count").read_text()) >= 3)
    assert "a ended with status 3; starting it again" in run.text()
    assert run.text().count("here") == 1
    run.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_and_leaves_nobody_behind(
    start: Callable[..., Running], tmp_path: Path, number: int
) -> None:
    parent = """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("pids", __import__("os").getpid(), child.pid)
        time.sleep(600)
    """
    run = start(("a", parent), ("b", SLEEPER))
    run.until(lambda: "pids" in run.text() and "here" in run.text())
    found = re.search(r"pids (\d+) (\d+)", run.text())
    assert found
    assert run.stop(number) == 0
    end = time.monotonic() + 5
    while any(alive(int(pid)) for pid in found.groups()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in found.groups() if alive(int(pid))]


def test_only_the_main_process_is_asked_to_stop(start: Callable[..., Running], tmp_path: Path) -> None:
    """A django-q2 cluster finishes its workers itself; signalling them too breaks its queues."""
    parent = """
        import os, signal, sys, time
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, lambda *_: open("child-signalled", "w").close())
            open("child-ready", "w").close()
            while not os.path.exists("stop"): time.sleep(0.02)
            open("child-finished", "w").close()
            os._exit(0)
        def stop(*_):
            open("stop", "w").close()
            os.wait()
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        while True: time.sleep(0.1)
    """
    run = start(("a", parent))
    run.until((tmp_path / "child-ready").exists)
    run.stop()
    assert (tmp_path / "child-finished").exists()
    assert not (tmp_path / "child-signalled").exists()


def test_what_does_not_stop_in_time_is_killed(start: Callable[..., Running]) -> None:
    run = start(
        ("a", "import signal, time; signal.signal(15, signal.SIG_IGN); print('here'); time.sleep(600)"), grace=0.5
    )
    run.until(lambda: "here" in run.text())
    began = time.monotonic()
    assert run.stop() == 0
    assert time.monotonic() - began < 8
    assert "did not stop in time" in run.text()


def test_a_cluster_that_stopped_taking_work_is_started_again(start: Callable[..., Running], tmp_path: Path) -> None:
    run = start(("a", SLEEPER))
    run.until(lambda: "here" in run.text())
    (tmp_path / "stuck").touch()
    run.until(lambda: run.text().count("here") == 2)
    assert "a has stopped taking work and is started again" in run.text()
    run.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_a_supervisor_that_is_killed_takes_its_processes_along(start: Callable[..., Running]) -> None:
    run = start(("a", "import os, time; print('pid', os.getpid()); time.sleep(600)"))
    run.until(lambda: "pid" in run.text())
    found = re.search(r"pid (\d+)", run.text())
    assert found
    os.kill(run.popen.pid, signal.SIGKILL)
    run.popen.wait()
    end = time.monotonic() + 5
    while alive(int(found.group(1))) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(int(found.group(1)))
