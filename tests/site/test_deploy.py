"""What is in ``deploy/``, read by the programs that will read it in production."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.postgres import free_port
from tests.rendering.sites import environment
from tests.site.front import certificate, nginx_configuration

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SYSTEMD = DEPLOY / "systemd"
SCRIPTS = [
    ROOT / "heygem",
    ROOT / ".ci" / "run",
    SYSTEMD / "finish",
    SYSTEMD / "manage",
    DEPLOY / "container" / "run",
    DEPLOY / "container" / "healthcheck",
]
MOST_EXPOSED = 20
"""Tenths of systemd's own points, of which 100 is worst; unhardened services have about 95."""


def tool(name: str, package: str) -> str:
    """Where the program is: beside this Python, or on the machine."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/usr/local/bin:/bin")
    if found is None:
        pytest.skip(f"{name} is not on this machine (Debian: {package})")
    return found


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=120)


def units() -> list[Path]:
    return sorted(path for path in SYSTEMD.iterdir() if path.suffix in {".service", ".socket", ".target", ".timer"})


def test_systemd_has_nothing_to_say_about_the_units() -> None:
    done = run(tool("systemd-analyze", "systemd"), "verify", *units())
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd-analyze cannot look at units on this machine")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", [path.name for path in units() if path.suffix == ".service"])
def test_no_service_may_do_more_than_it_needs(unit: str) -> None:
    program = tool("systemd-analyze", "systemd")
    done = run(program, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", SYSTEMD / unit)
    if "unrecognized option" in done.stderr or "Failed to initialize" in done.stderr:
        pytest.skip("this systemd-analyze cannot look at units offline")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_a_stop_waits_longer_than_the_work_it_lets_finish() -> None:
    for name in ("heygem-worker.service", "heygem-gpu@.service"):
        lines = dict(
            line.split("=", 1) for line in (SYSTEMD / name).read_text().splitlines() if "=" in line and line[0] != "#"
        )
        finish = int(lines["Environment"].rpartition("FINISH_SECONDS=")[2])
        assert int(lines["TimeoutStopSec"]) > finish


def test_finish_asks_waits_and_does_not_mind_what_is_gone(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    code = "import pathlib, signal, sys, time; p = pathlib.Path(sys.argv[1])\n"
    code += "signal.signal(signal.SIGQUIT, lambda *_: (p.write_text('yes'), sys.exit()))\nprint(1, flush=True)\n"
    code += "time.sleep(30)"
    process = subprocess.Popen([sys.executable, "-c", code, str(asked)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    done = subprocess.Popen([SYSTEMD / "finish", str(process.pid), "20"])
    assert process.wait(10) == 0
    assert done.wait(10) == 0
    assert asked.read_text() == "yes"
    assert run(SYSTEMD / "finish").returncode == 0
    assert run(SYSTEMD / "finish", str(process.pid), "1").returncode == 0


def test_the_web_service_answers_on_the_socket_that_systemd_holds_for_it(tmp_path: Path) -> None:
    """The unit's own command, with its relative path, started as systemd would."""
    program = tool("systemd-socket-activate", "systemd")
    unit = (SYSTEMD / "heygem-web.service").read_text().replace("\\\n", " ")
    (start,) = re.findall(r"^ExecStart=/usr/bin/env (.+)$", unit, re.MULTILINE)
    words = start.split()
    assert words[0] == ".venv/bin/python"
    env = environment(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite3'}", HEYGEM_VAR=tmp_path)
    given = [f"--setenv={name}={value}" for name, value in env.items()]
    port = free_port()
    listen = [program, *given, f"--listen=127.0.0.1:{port}", sys.executable, *words[1:]]
    process = subprocess.Popen(listen, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
                break
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say_about(script: Path) -> None:
    done = run(tool("shellcheck", "shellcheck"), script)
    assert done.returncode == 0, done.stdout


def test_hadolint_has_nothing_to_say_about_the_containerfile() -> None:
    done = run(tool("hadolint", "hadolint"), "--failure-threshold", "info", DEPLOY / "container" / "Containerfile")
    assert done.returncode == 0, done.stdout


def test_the_compose_file_keeps_to_the_specification() -> None:
    program = tool("check-jsonschema", "check-jsonschema")
    done = run(program, "--builtin-schema", "vendor.compose-spec", DEPLOY / "container" / "compose.yaml")
    assert done.returncode == 0, done.stdout


def test_the_image_installs_what_the_launcher_installs() -> None:
    """torch and the face models are named outside of the lock, in both."""
    image, launcher = (DEPLOY / "container" / "Containerfile").read_text(), (ROOT / "heygem").read_text()
    for line in launcher.splitlines():
        if line.startswith(("TORCH=", "FACES=")):
            assert line.partition("=")[2] in image


def test_the_image_holds_neither_secrets_nor_what_is_made_anew() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".venv", "media", "var", "tests", "deploy/container/secrets"} <= set(ignored)


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    program = tool("nginx", "nginx-light")
    file = nginx_configuration(tmp_path, certificate(tmp_path), web="127.0.0.1:9", http=free_port(), https=free_port())
    done = run(program, "-t", "-q", "-p", tmp_path, "-c", file)
    assert (done.returncode, done.stderr) == (0, "")


def test_gixy_finds_no_way_around_nginx(tmp_path: Path) -> None:
    file = nginx_configuration(tmp_path, certificate(tmp_path), web="127.0.0.1:9", http=80, https=443)
    # The site sends HSTS itself, as long as its settings say.
    done = run(tool("gixy", "gixy-ng"), "--skips", "hsts_header", "--format", "json", file)
    assert json.loads(done.stdout) == [], done.stdout


@pytest.mark.parametrize("example", ["heygem.env.example"])
def test_the_example_of_the_environment_is_a_production_site(example: str, tmp_path: Path) -> None:
    values = {}
    for line in (DEPLOY / example).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition("=")
            values[name] = value
    for name, content in (("SECRET_KEY_FILE", "k9Qw2-Zr8_" * 6), ("DATABASE_URL_FILE", "postgresql://h@127.0.0.1/h")):
        file = tmp_path / name
        file.write_text(content)
        values[name] = str(file)
    done = subprocess.run(
        [sys.executable, "-c", "from django.conf import settings as s; print(s.PRODUCTION, s.X_ACCEL, s.BEHIND_PROXY)"],
        env={"DJANGO_SETTINGS_MODULE": "heygem_site.settings", "PATH": "/usr/bin:/bin", **values},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["True", "True", "True"], done.stderr
