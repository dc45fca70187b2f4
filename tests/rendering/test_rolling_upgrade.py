"""A new release beside the old one: its workers register, take over what they can, and the old ones leave in peace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rendering.engine.contract import ENGINE_VERSION
from tests.rendering.sites import ROOT, Site
from tests.sites import NewSite

pytestmark = [pytest.mark.qcluster]

CODE = ("heygem_site", "projects", "rendering", "templates")


def next_release(folder: Path) -> Path:
    """This code once more, as version 9.0.0 with an engine 9.0."""
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.npz", "locale"))
    for name in ("manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "tests").mkdir()
    for name in ("__init__.py", "fake_engine.py"):
        shutil.copy(ROOT / "tests" / name, folder / "tests")
    _change(folder / "rendering/engine/contract.py", f'ENGINE_VERSION = "{ENGINE_VERSION}"', 'ENGINE_VERSION = "9.0"')
    _change(folder / "pyproject.toml", '\nversion = "1.0.0"', '\nversion = "9.0.0"')
    return folder


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def start(site: Site, release: Path, cluster: str) -> subprocess.Popen[bytes]:
    with (site.folder / f"new-{cluster}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "manage.py", "cluster", cluster],
            cwd=release,
            env=site.env | {"Q_CLUSTER_NAME": cluster, "WORKER_NAME": "new", "PYTHONPATH": str(release)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def test_a_release_replaces_the_one_before_without_losing_a_job(new_site: NewSite, tmp_path: Path) -> None:
    site = new_site()
    footage = tmp_path / "footage.mp4"
    footage.write_bytes(b"fake footage")
    takes = [tmp_path / f"take{number}.wav" for number in range(4)]
    for number, take in enumerate(takes):
        take.write_bytes(f"fake:ok:2:{number}\n".encode())
    old = [site.cluster(name, WORKER_NAME="old") for name in ("worker", "gpu")]
    site.call("order_batch", footage=str(footage), takes=[str(take) for take in takes])
    site.wait(lambda jobs: any(job["state"] == "running" for job in jobs.values()))
    assert site.call("hold_waiting") > 0, "however slowly the new release starts, something is left for it"
    release = next_release(tmp_path / "next")
    new = [start(site, release, name) for name in ("worker", "gpu")]
    try:
        until = time.monotonic() + 30
        while not any(name.startswith("new/gpu 9.0.0 9.0") for name in site.call("by_release")["workers"]):
            assert time.monotonic() < until, site.call("by_release")
            time.sleep(0.2)
        for cluster in ("gpu", "worker"):
            site.call("steer", worker=f"old/{cluster}", act="draining")
        site.call("release_held")
        os.kill(old[1].pid, signal.SIGQUIT)
        os.kill(old[0].pid, signal.SIGQUIT)
        for cluster in old:
            cluster.process.wait(20)
        site.call("every_minute")
        jobs = site.wait_until_all_end(60)
    finally:
        for process in new:
            process.terminate()
        for process in new:
            process.wait(20)
    assert [job["tries"] for job in jobs.values()] == [["succeeded"]] * 4
    found = site.call("by_release")
    assert f"old/gpu 1.0.0 {ENGINE_VERSION}" in found["workers"]
    assert set(found["versions"]) == {ENGINE_VERSION, "9.0"}
    assert found["versions"] == sorted(found["versions"])
