"""The engine as a child process: the protocol, spoken by the fake engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Child:
    def __init__(self, code: str | None = None) -> None:
        command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "tests.fake_engine"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
        )

    def ask(self, op: str, **args: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"id": 7, "op": op, "args": args}) + "\n")
        self.process.stdin.flush()

    def event(self) -> dict[str, Any]:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def last_event(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        progress = []
        while (event := self.event())["event"] == "progress":
            progress.append(event)
        return event, progress


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.process.kill()
    child.process.wait()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "footage").write_bytes(b"fake:ok")
    (tmp_path / "audio").write_bytes(b"words")
    return {
        "footage": str(tmp_path / "footage"),
        "audio": str(tmp_path / "audio"),
        "out": str(tmp_path / "results" / "out.mp4"),
    }


def test_it_is_ready_before_it_is_asked(child: Child) -> None:
    ready = child.event()
    assert ready["event"] == "ready"
    assert ready["backends"] == ["exemplar", "neural"]
    assert {"engine", "device"} <= ready.keys()


def test_a_render_reports_progress_and_ends_with_a_result(child: Child, files: dict[str, str]) -> None:
    child.event()
    child.ask("render", **files)
    event, progress = child.last_event()
    assert event["event"] == "done"
    assert event["id"] == 7
    assert event["result"]["video"] == files["out"]
    assert Path(files["out"]).exists()
    assert [item["stage"] for item in progress if item["done"] == item["total"]] == [
        "prepare",
        "listen",
        "lip-sync",
        "compose",
        "check",
    ]


def test_progress_is_thinned_but_a_stage_keeps_its_last(child: Child, files: dict[str, str]) -> None:
    Path(files["audio"]).write_bytes(b"fake:ok:0.5")
    child.event()
    child.ask("take", audio=files["audio"])
    _, progress = child.last_event()
    assert len(progress) <= 5
    assert progress[-1]["done"] == progress[-1]["total"]


def test_a_refusal_is_a_code_and_the_next_request_is_served(child: Child, files: dict[str, str]) -> None:
    Path(files["audio"]).write_bytes(b"fake:no_face")
    child.event()
    child.ask("render", **files)
    event, _ = child.last_event()
    assert event["event"] == "failed"
    assert event["code"] == "no_face"
    assert list(Path(files["out"]).parent.iterdir()) == []
    Path(files["audio"]).write_bytes(b"words")
    child.ask("render", **files)
    assert child.last_event()[0]["event"] == "done"


def test_a_missing_file_is_an_io_error(child: Child, files: dict[str, str]) -> None:
    child.event()
    child.ask("take", audio=files["audio"] + ".gone")
    event, _ = child.last_event()
    assert event["code"] == "io_error"


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_it_ends_within_a_second_and_leaves_no_temporary_file(child: Child, files: dict[str, str], how: str) -> None:
    Path(files["audio"]).write_bytes(b"fake:hang")
    child.event()
    child.ask("render", **files)
    while not (Path(files["out"]).parent.exists() and list(Path(files["out"]).parent.iterdir())):
        time.sleep(0.01)
    started = time.monotonic()
    if how == "SIGTERM":
        child.process.terminate()
    else:
        assert child.process.stdin
        child.process.stdin.close()
    child.process.wait(5)
    assert time.monotonic() - started < 1
    assert list(Path(files["out"]).parent.iterdir()) == []


def test_what_libraries_print_never_reaches_the_protocol() -> None:
    code = (
        "import os\nfrom rendering.engine import serve\n"
        "def noisy(args, report):\n print('loud'); os.write(1, b'louder'); return {}\n"
        "serve.run({'noisy': noisy}, {})"
    )
    child = Child(code)
    assert child.event() == {"event": "ready"}
    child.ask("noisy")
    assert child.event() == {"id": 7, "event": "done", "result": {}}
    _, log = child.process.communicate()
    assert "loud" in log
    assert "louder" in log


def test_an_error_of_its_own_ends_the_process_with_a_traceback() -> None:
    code = (
        "from rendering.engine import serve\ndef broken(args, report): return 1 / 0\nserve.run({'broken': broken}, {})"
    )
    child = Child(code)
    child.event()
    child.ask("broken")
    assert child.process.wait(5) == 1
    assert "ZeroDivisionError" in child.process.communicate()[1]


def test_threads_wait_asleep_unless_the_operator_says_otherwise() -> None:
    """What spins beside somebody else's work takes many times as long (docs/engine.md)."""
    look = (
        "import rendering.engine, cv2, os\n"
        "print(os.environ['OMP_WAIT_POLICY'], os.environ['OPENBLAS_NUM_THREADS'], cv2.getNumThreads())"
    )
    ours = ("OMP_", "OPENBLAS_", "OPENCV_")
    usual = {name: value for name, value in os.environ.items() if not name.startswith(ours)}

    def said(**more: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", look], env=usual | more, capture_output=True, text=True, check=True
        ).stdout

    assert said().split() == ["passive", "1", "1"]
    told = said(OMP_WAIT_POLICY="active", OPENBLAS_NUM_THREADS="4", OPENCV_FOR_THREADS_NUM="3")
    assert told.split() == ["active", "4", "3"]
