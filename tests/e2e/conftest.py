"""Whole sites (web server, clusters, engine) and a real browser in front of them."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import playwright
import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.factories import PASSWORD
from tests.rendering.sites import ROOT, Site, manage

DRIVER = Path(playwright.__file__).parent / "driver" / "node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
expect.set_options(timeout=20_000)
REAL_ENGINE = shlex.join([sys.executable, "-m", "rendering.engine", "serve"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e" in item.path.as_posix():
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True)
class Portal:
    """A running site."""

    url: str
    team: str
    site: Site


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(url: str, site: Site) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < until, f"the site did not come up\n{site.logs()}"
            time.sleep(0.2)


def new_portal(folder: Path, **env: object) -> Portal:
    site = Site(folder, f"sqlite:///{folder / 'db.sqlite3'}", OMP_NUM_THREADS=1, **env)
    manage(site.env, "migrate", "--verbosity=0")
    made = subprocess.run(
        [sys.executable, "-m", "tests.e2e.people"], cwd=ROOT, env=site.env, capture_output=True, text=True, check=True
    )
    port = _free_port()
    site.cluster("web", ["runserver", "--noreload", "--verbosity=0", f"127.0.0.1:{port}"])
    site.cluster("worker")
    site.cluster("gpu")
    _wait_for(f"http://127.0.0.1:{port}/accounts/login/", site)
    return Portal(f"http://127.0.0.1:{port}", made.stdout.strip(), site)


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """With the real engine."""
    made = new_portal(tmp_path_factory.mktemp("portal"), ENGINE_COMMAND=REAL_ENGINE)
    yield made
    made.site.close()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """With the fake engine: its footage and takes are files that say how long to take and how to fail."""
    hooks = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "WEBHOOK_ALLOW_HTTP": "yes"}
    made = new_portal(tmp_path_factory.mktemp("stage"), **hooks)
    yield made
    made.site.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: the walks in a browser were not done")
    driver = subprocess.run([DRIVER, "--version"], capture_output=True, text=True, check=False)
    if driver.returncode:
        pytest.skip(f"the browser's driver does not start here: {driver.stderr.strip()}")
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            )
        except Error as error:
            pytest.skip(f"Chromium does not start here: {error}")
        yield chromium
        chromium.close()


OpenPage = Callable[..., Page]
REFUSALS = ("Failed to load resource", "Response Status Error Code")
"""How Chromium and htmx note an answer that says no."""


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """``open_page(portal, "alice", width=390)``: a signed-in page. Errors in its console fail the test at the end."""
    troubles: list[str] = []
    contexts = []

    def new(portal: Portal, who: str = "", *, width: int = 1280, height: int = 860, **options: object) -> Page:
        context = browser.new_context(
            base_url=portal.url, viewport={"width": width, "height": height}, locale="en-GB", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        if who:
            sign_in(page, who)
        return page

    yield new
    for context in contexts:
        context.close()
    # An answer that refuses is part of some walks; a script or style that was refused never is.
    assert [trouble for trouble in troubles if not trouble.startswith(REFUSALS)] == []


def sign_in(page: Page, who: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email address").fill(f"{who}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


@pytest.fixture(scope="session")
def demo_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Six seconds of the demo presenter, and what she is to say in two languages. Made by a process of its own: the
    engine's libraries stay out of this one."""
    folder = tmp_path_factory.mktemp("demo files")
    code = (
        "import sys, pathlib\n"
        "from rendering.engine import demo\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "demo.make_demo_footage(folder / 'Aisha the presenter.mp4', seconds=6, size=256, seed=3)\n"
        "demo.make_demo_takes(folder)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True)
    return {
        "footage": folder / "Aisha the presenter.mp4",
        "en": folder / "welcome-en.wav",
        "zh-hans": folder / "welcome-zh-hans.wav",
    }


@pytest.fixture
def fake_file(tmp_path: Path) -> Callable[..., Path]:
    """``fake_file("Host 1.mp4", "ok", 0.5)``: a file that tells the fake engine what to do with it."""

    def make(name: str, mode: str = "ok", seconds: float = 0.3) -> Path:
        path = tmp_path / name
        path.write_bytes(f"fake:{mode}:{seconds}\n{name}".encode())
        return path

    return make
