"""``./heygem up``: what it refuses in words, and one real start from nothing to a page."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from heygem_site import up
from heygem_site.processes import Command

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_that_is_taken_is_refused_with_another_one() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(up.RefusedError, match=rf"Port {port} is taken .* --port {port + 1}"):
            up.check_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(up.RefusedError, match=r"There is no address 192\.0\.2\.1 on this machine"):
        up.check_port("192.0.2.1", free_port())


def test_a_second_one_in_the_same_folder_is_told_where_the_first_is(tmp_path: Path) -> None:
    lock = tmp_path / "up.lock"
    with (
        up.only_one(lock, "http://127.0.0.1:8000"),
        pytest.raises(up.RefusedError, match=rf"already running here \(process {os.getpid()}, http://127.0.0.1:8000\)"),
        up.only_one(lock, "http://127.0.0.1:8001"),
    ):
        pass
    with up.only_one(lock, "again"):
        pass


def test_a_wrong_port_is_an_argument_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        up.arguments(["--port", "70000"])
    assert "between 1 and 65535" in capsys.readouterr().err


def test_a_site_for_every_network_answers_to_its_own_names_only() -> None:
    names = up.own_addresses("0.0.0.0")
    assert socket.gethostname() in names
    assert "*" not in names
    assert up.own_addresses("127.0.0.1") == ["localhost", "127.0.0.1", "[::1]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return {**clean, "HEYGEM_VAR": str(tmp_path / "var"), "MEDIA_ROOT": str(tmp_path / "media"), "WEB_CONCURRENCY": "1"}


def run_up(environment: dict[str, str], *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heygem_site.up", *arguments],
        cwd=ROOT,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DEBUG": "perhaps"}, "DEBUG must be yes or no, not 'perhaps'."),
        ({"DATABASE_URL": "mysql://here/db"}, "DATABASE_URL must begin with sqlite:/// or postgresql://."),
        ({"HEYGEM_ENV": "production"}, "This site may not start with HEYGEM_ENV=production"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "The database cannot be used"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_sentence(
    environment: dict[str, str], variables: dict[str, str], sentence: str
) -> None:
    done = run_up(environment, "--port", str(free_port()), "--no-demo", **variables)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


class Site:
    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.said, self.port = environment, folder / "said", free_port()
        with self.said.open("wb") as sink:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "heygem_site.up", "--no-demo", "--port", str(self.port)],
                cwd=ROOT,
                env=environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.said.read_text()

    def until(self, words: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while words not in self.text():
            assert self.popen.poll() is None, self.text()
            assert time.monotonic() < end, self.text()
            time.sleep(0.1)


@pytest.fixture
def site(environment: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    running = Site(environment, tmp_path)
    yield running
    if running.popen.poll() is None:
        running.popen.terminate()
        running.popen.wait(30)


def processes_of(environment: dict[str, str]) -> list[str]:
    """Command lines of living processes that were started with this environment."""
    mark = f"HEYGEM_VAR={environment['HEYGEM_VAR']}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return [line for line in found if line]


@pytest.mark.qcluster
def test_from_nothing_to_a_signed_in_page_and_back_to_nothing(site: Site, environment: dict[str, str]) -> None:
    site.until("HeyGem is running")
    said = site.text()
    assert f"http://127.0.0.1:{site.port}" in said
    assert re.search(r"Sign in as +owner@example\.com", said)
    assert re.search(r"password +\S{16}", said)
    assert "\x1b[" not in said, "no colour unless a terminal asks for it"
    site.until("worker |")
    site.until("gpu    |")

    link = re.search(r"http://\S+/accounts/once/\S+", said)
    assert link
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    page = opener.open(link.group()).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    answer = opener.open(link.group(), data=f"csrfmiddlewaretoken={token.group(1)}".encode())
    assert answer.status == 200
    assert "/accounts/" not in answer.geturl(), "signed in, so no longer at the entrance"

    second = run_up(environment, "--port", str(free_port()))
    assert second.returncode == 2
    assert f"already running here (process {site.popen.pid}, http://127.0.0.1:{site.port})" in second.stderr

    site.popen.send_signal(signal.SIGINT)
    assert site.popen.wait(30) == 0
    assert processes_of(environment) == []
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{site.port}/healthz", timeout=2)


@pytest.mark.qcluster
def test_the_second_start_knows_its_owner(site: Site, environment: dict[str, str], tmp_path: Path) -> None:
    site.until("HeyGem is running")
    site.popen.send_signal(signal.SIGTERM)
    assert site.popen.wait(30) == 0
    again = Site(environment, tmp_path)
    try:
        again.until("HeyGem is running")
        assert "password" not in again.text()
        assert "./heygem manage one_time_link owner@example.com" in again.text()
    finally:
        again.popen.terminate()
        assert again.popen.wait(30) == 0


def test_the_address_waits_for_the_demo_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []
    monkeypatch.setattr(up, "answers", lambda _address: True)
    monkeypatch.setattr("rendering.services.demo.is_made", lambda: bool(made))
    ready = up.Readiness("http://127.0.0.1:1", demo=True)
    assert not ready()
    monkeypatch.setattr(up, "DEMO_PATIENCE_S", -1.0)
    assert ready()
    assert ready.demo, "the greeting says that it follows"
    made.append(True)
    monkeypatch.setattr(up, "DEMO_PATIENCE_S", 45.0)
    assert ready()
    assert not ready.demo


def test_each_card_gets_a_renderer_of_its_own() -> None:
    commands = [Command("web", ("web",)), Command("gpu", ("cluster", "gpu"), {"Q_CLUSTER_NAME": "gpu"})]
    assert up.one_each(commands, (), "box") == commands
    web, first, second = up.one_each(commands, ("cuda:0", "cuda:1"), "box")
    assert web == commands[0]
    assert (first.name, second.name) == ("gpu-0", "gpu-1")
    assert first.argv == second.argv == commands[1].argv
    shared = {"Q_CLUSTER_NAME": "gpu"}
    assert first.env == shared | {"ENGINE_DEVICE": "cuda:0", "WORKER_NAME": "box-0"}
    assert second.env == shared | {"ENGINE_DEVICE": "cuda:1", "WORKER_NAME": "box-1"}
