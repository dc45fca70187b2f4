"""The command against a real site: web server, real clusters, and an engine that is the only one to pretend."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heygem_client import HeyGem
from tests.postgres import free_port
from tests.rendering.sites import ROOT, Site, manage

pytestmark = [pytest.mark.qcluster]


@dataclass(frozen=True)
class Live:
    url: str
    token: str
    team: str
    site: Site

    def run(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "client"), "HOME": str(folder)}
        env |= {"HEYGEM_URL": self.url, "HEYGEM_TOKEN": self.token}
        return subprocess.run(
            [sys.executable, "-m", "heygem_client", *words],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
        )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    site = Site(folder, f"sqlite:///{folder / 'db.sqlite3'}")
    manage(site.env, "migrate", "--verbosity=0")
    made = subprocess.run(
        [sys.executable, "-m", "tests.client.person"],
        cwd=ROOT,
        env=site.env,
        capture_output=True,
        text=True,
        check=True,
    )
    team, token = made.stdout.split()
    port = free_port()
    site.cluster("web", ["runserver", "--noreload", "--verbosity=0", f"127.0.0.1:{port}"])
    site.cluster("worker")
    site.cluster("gpu")
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=5)
            break
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < until, site.logs()
            time.sleep(0.2)
    yield Live(url, token, team, site)
    site.close()


def _file(folder: Path, name: str, mode: str = "ok") -> str:
    (folder / name).write_bytes(f"fake:{mode}:0.2\n{name}".encode())
    return name


def _render(live: Live, folder: Path, *more: str) -> dict[str, Any]:
    done = live.run(folder, "render", "--team", live.team, "--json", *more)
    assert done.returncode == 0, done.stdout + done.stderr + live.site.logs()
    return dict(json.loads(done.stdout))


def test_two_presenters_with_two_scripts_become_four_videos(live: Live, tmp_path: Path) -> None:
    presenters = ["--presenter", _file(tmp_path, "Ada.mp4"), "--presenter", f"Grace={_file(tmp_path, 'g.mp4')}"]
    scripts = ["--script", f"Welcome@en={_file(tmp_path, 'en.wav')}"]
    scripts += ["--script", f"Welcome@zh-hans={_file(tmp_path, 'zh.wav')}"]
    told = _render(live, tmp_path, *presenters, *scripts, "--project", "Spring", "--wait", "--download", "videos")
    (seen,) = told["batches"]
    assert (seen["done"], seen["total"], told["failed"]) == (4, 4, [])
    names = sorted(path.name for path in (tmp_path / "videos").iterdir())
    assert names == [
        *("Ada - Welcome (en).mp4", "Ada - Welcome (zh-hans).mp4"),
        *("Grace - Welcome (en).mp4", "Grace - Welcome (zh-hans).mp4"),
    ]
    for file in told["files"]:
        content = (tmp_path / file["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["version"]["sha256"]
        assert len(content) == file["version"]["size"]

    # Once more: nothing is uploaded or rendered again, and the videos are fetched all the same.
    again = _render(live, tmp_path, *presenters, *scripts, "--project", "Spring", "--download", "again")
    assert again["batches"] == []
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == names
    site = HeyGem(live.url, live.token)
    assert len(list(site.footage(team=live.team))) == 2
    assert len(list(site.takes(team=live.team))) == 2
    assert len(list(site.versions(team=live.team))) == 4
    batch = seen["batch"]["id"]
    status = live.run(tmp_path, "status", batch)
    assert (status.returncode, status.stdout) == (0, f"batch {batch}: 4 of 4 done\n")
    fetched = live.run(tmp_path, "download", batch, "--to", "later")
    assert fetched.returncode == 0, fetched.stderr
    assert sorted(path.name for path in (tmp_path / "later").iterdir()) == names


def test_a_face_that_is_not_there_is_told_and_the_others_are_made(live: Live, tmp_path: Path) -> None:
    done = live.run(
        tmp_path,
        *("render", "--team", "Northlight", "--project", "Summer", "--json", "--download", "videos"),
        *("--presenter", _file(tmp_path, "Good.mp4"), "--presenter", _file(tmp_path, "Nobody.mp4", "no_face")),
        *("--script", _file(tmp_path, "Words.wav")),
    )
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    (seen,) = told["batches"]
    assert (seen["done"], seen["failed"]) == (1, 1)
    assert [job["error_code"] for job in told["failed"]] == ["no_face"]
    assert len(told["files"]) == 1


def test_a_run_that_was_broken_off_is_gone_on_with(live: Live, tmp_path: Path) -> None:
    words = ["--presenter", _file(tmp_path, "Slow.mp4"), "--script", _file(tmp_path, "Long.wav"), "--project", "Autumn"]
    first = _render(live, tmp_path, *words)
    assert first["files"] == []
    second = _render(live, tmp_path, *words, "--download", "videos")
    assert [Path(file["path"]).name for file in second["files"]] == ["Slow - Long (en).mp4"]
    started = {seen["batch"]["id"] for seen in first["batches"]}
    assert {seen["batch"]["id"] for seen in second["batches"]} <= started


def test_footage_is_uploaded_and_waited_for(live: Live, tmp_path: Path) -> None:
    done = live.run(
        tmp_path,
        *("upload", _file(tmp_path, "New.mp4"), "--presenter", "Newcomer", "--team", live.team, "--wait", "--json"),
    )
    assert done.returncode == 0, done.stderr
    (footage,) = json.loads(done.stdout)
    assert footage["state"] in ("ready", "warnings")


def test_refused_footage_is_told_with_the_reason(live: Live, tmp_path: Path) -> None:
    file = _file(tmp_path, "Nobody.mp4", "no_face")
    done = live.run(tmp_path, "upload", file, "--presenter", "Nobody", "--team", live.team, "--wait")
    assert done.returncode == 1
    assert "refused (no_face)  Nobody.mp4" in done.stdout


def test_a_mouth_model_is_learnt_waited_for_read_about_and_removed(live: Live, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return live.run(tmp_path, "mouths", "--team", live.team, *words)

    live.run(tmp_path, *("upload", _file(tmp_path, "Mia.mp4"), "--presenter", "Mia", "--team", live.team, "--wait"))
    done = run("--presenter", "Mia", "--learn", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    (model,) = json.loads(done.stdout)
    assert (model["state"], model["in_use"]) == ("ready", True)
    assert "train" in run("--presenter", "Mia", "--log").stdout
    assert f"{model['id']}  ready  in use" in run().stdout
    gone = run("--presenter", "Mia", "--remove")
    assert (gone.returncode, "mouths_removed" in gone.stdout) == (0, True)
    live.run(tmp_path, *("upload", _file(tmp_path, "Ned.mp4", "not_good"), "--presenter", "Ned", "--team", live.team))
    site = HeyGem(live.url, live.token)
    (ned,) = site.presenters(team=live.team, search="Ned")
    site.wait_for_footage(next(site.footage(presenter=ned.id)).id, timeout_s=60)
    done = run("--presenter", "Ned", "--learn", "--wait")
    assert (done.returncode, "refused (mouths_not_good, psnr)" in done.stdout) == (1, True)
    assert run("--learn").returncode == 1, "whose?"


def test_whoever_belongs_to_several_teams_is_asked_which(live: Live, tmp_path: Path) -> None:
    done = live.run(tmp_path, "render", "--presenter", "Ada", "--script", "Welcome")
    assert done.returncode == 1
    assert "Northlight" in done.stderr
    assert "Second house" in done.stderr


def test_who_may_not_is_told_with_3(live: Live, tmp_path: Path) -> None:
    done = Live(live.url, "hg_x_y", live.team, live.site).run(tmp_path, "status", "x")
    assert done.returncode == 3
    assert "API token" in done.stderr
