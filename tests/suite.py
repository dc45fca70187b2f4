"""``./heygem test``: every check, the quick ones first, pytest's own summary last.

With arguments only pytest runs, with them: ``./heygem test tests/site -k settings``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PY = sys.executable
MANAGE = [PY, "-m", "django"]
# The math libraries single-threaded, so that two cores are shared and not fought over.
ENV = {
    **os.environ,
    "DJANGO_SETTINGS_MODULE": "tests.settings",
    "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    "PYTHONPATH": str(ROOT),
}
# Not the lint-imports script: a folder with a space in its name breaks its first line.
IMPORTS = "from importlinter.cli import lint_imports_command as run; run"
CHECKS: list[tuple[str, list[str]]] = [
    ("ruff check", [PY, "-m", "ruff", "check", "."]),
    ("ruff format", [PY, "-m", "ruff", "format", "--check", "."]),
    ("imports", [PY, "-c", f"{IMPORTS}()", "--no-cache", "--no-logo"]),
    ("django check", [*MANAGE, "check"]),
    ("migrations", [*MANAGE, "makemigrations", "--check", "--dry-run"]),
    ("mypy", [PY, "-m", "mypy"]),
    ("mypy of the client", [PY, "-m", "mypy", "--config-file", "client/pyproject.toml", "client/heygem_client"]),
]
MAX_WORKERS = 4
"""One more than there are cores: whoever runs the tests of whole sites waits for these most of the time."""


def run_check(name: str, argv: list[str]) -> bool:
    began = time.monotonic()
    done = subprocess.run(
        argv, cwd=ROOT, env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    print(f"  {'ok    ' if done.returncode == 0 else 'FAILED'} {name}  {time.monotonic() - began:.1f}s", flush=True)
    if done.returncode:
        print(done.stdout[-6000:], flush=True)
    return done.returncode == 0


def absences() -> list[str]:
    """What some tests need and this machine lacks, in sentences."""
    found = []
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")) and not shutil.which("initdb"):
        found.append("no PostgreSQL server here: the tests marked postgres are skipped (apt-get install postgresql)")
    if not shutil.which("chromium"):
        found.append("no Chromium here: the walks in a browser are skipped (apt-get install chromium)")
    if not (ROOT.parent / "shared" / "footage").is_dir():
        found.append("no ../shared/footage: the tests on real footage are skipped")
    return found


def pytest_arguments(chosen: list[str]) -> list[str]:
    if chosen:
        return chosen
    workers = max(1, min(MAX_WORKERS, len(os.sched_getaffinity(0)) + 1))
    return ["-n", str(workers), "--dist", "loadscope", "--no-loadscope-reorder", "-q", "--durations=10"]


def main(chosen: list[str]) -> int:
    failed: list[str] = []
    if not chosen:
        failed = [name for name, argv in CHECKS if not run_check(name, argv)]
        for sentence in absences():
            print(f"  note   {sentence}", flush=True)
        if failed:
            print(f"  Failed before pytest: {', '.join(failed)}. The tests run all the same.", flush=True)
    tests = subprocess.run([PY, "-m", "pytest", *pytest_arguments(chosen)], cwd=ROOT, env=ENV, check=False)
    return tests.returncode or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
