"""Whole sites for the tests: a database, a media folder, real clusters, and somebody who does scenes on them."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FAKE_ENGINE = shlex.join([sys.executable, "-m", "tests.fake_engine"])


def environment(folder: Path, database_url: str, **more: object) -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "SECRET_KEY": "a key for tests alone: " + "0123456789abcdef" * 3,
        "DATABASE_URL": database_url,
        "MEDIA_ROOT": str(folder / "media"),
        "CACHE_ROOT": str(folder / "cache"),
        "ENGINE_COMMAND": FAKE_ENGINE,
        "FAKE_ENGINE_SECONDS": "0.05",
        "BACKOFF_SECONDS": "0",
        **{name: str(value) for name, value in more.items()},
    }


def manage(env: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


class Cluster:
    """``manage.py cluster NAME``, or another command that runs one; its log lies in ``log``."""

    def __init__(self, site: Site, name: str, command: list[str] | None = None, **env: object) -> None:
        self.log = site.folder / f"{name}-{len(site.clusters)}.log"
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", *(command or ["cluster", name])],
            cwd=ROOT,
            env=site.env | {"Q_CLUSTER_NAME": name} | {key: str(value) for key, value in env.items()},
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> float:
        """Ask the main process to stop; the seconds it took."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(20)
        return time.monotonic() - began

    def kill(self) -> None:
        """The whole machine goes away."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Site:
    """``call(scene, ...)`` runs a function of ``tests.rendering.scenes`` on it."""

    def __init__(self, folder: Path, database_url: str, **env: object) -> None:
        self.folder = folder
        (folder / "media").mkdir(parents=True, exist_ok=True)
        self.env = environment(folder, database_url, **env)
        self.clusters: list[Cluster] = []
        self._remote: subprocess.Popen[str] | None = None

    def call(self, scene: str, **args: Any) -> Any:
        if self._remote is None:
            self._remote = subprocess.Popen(
                [sys.executable, "-m", "tests.rendering.remote"],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._remote.stdin
        assert self._remote.stdout
        self._remote.stdin.write(json.dumps({"scene": scene, "args": args}) + "\n")
        self._remote.stdin.flush()
        return json.loads(self._remote.stdout.readline() or '"the scene failed, see above"')

    def cluster(self, name: str = "gpu", command: list[str] | None = None, **env: object) -> Cluster:
        cluster = Cluster(self, name, command, **env)
        self.clusters.append(cluster)
        return cluster

    def jobs(self) -> dict[str, dict[str, Any]]:
        jobs: dict[str, dict[str, Any]] = self.call("jobs")
        return jobs

    def job(self, public_id: str) -> dict[str, Any]:
        return self.jobs()[public_id]

    def wait(self, what: Callable[[dict[str, dict[str, Any]]], object], seconds: float = 40) -> dict[str, Any]:
        """Until ``what`` is true of the jobs; the jobs then."""
        until = time.monotonic() + seconds
        while not what(jobs := self.jobs()):
            assert time.monotonic() < until, f"waited in vain: {jobs}\n{self.logs()}"
            time.sleep(0.1)
        return jobs

    def wait_until_all_end(self, seconds: float = 40) -> dict[str, Any]:
        final = ("succeeded", "failed", "cancelled")
        return self.wait(lambda jobs: all(job["state"] in final for job in jobs.values()), seconds)

    def logs(self) -> str:
        return "\n".join(cluster.text() for cluster in self.clusters)

    def close(self) -> None:
        for cluster in self.clusters:
            cluster.kill()
        if self._remote is not None:
            self._remote.communicate()


def children(pid: int) -> list[int]:
    """Processes started by ``pid``, and those started by them."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                child = int(status.parent.name)
                found += [child, *children(child)]
    return found


def is_running(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
