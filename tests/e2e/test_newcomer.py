"""A newcomer's way, with the real engine: two files dropped on the front page, a result to watch, compare and take
home."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage, Portal

MINUTES = 60_000


@pytest.fixture(scope="session")
def walked(portal: Portal) -> dict[str, str]:
    """Where the first walk ended; the later ones begin there."""
    return {}


def playing(page: Page) -> list[dict[str, float]]:
    return page.evaluate(
        "[...document.querySelectorAll('video')]"
        ".map(v => ({at: v.currentTime, length: v.duration, paused: v.paused, muted: v.muted}))"
    )


def test_two_files_become_a_video_that_plays_beside_the_original(
    portal: Portal, open_page: OpenPage, demo_files: dict[str, Path], walked: dict[str, str]
) -> None:
    page = open_page(portal, "alice")
    go = page.get_by_role("button", name="Make the video")
    expect(go).to_be_disabled()
    page.get_by_label("Drop a video here").set_input_files(demo_files["footage"])
    page.get_by_label("Drop a voice here").set_input_files(demo_files["en"])
    go.click()
    page.wait_for_url("**/cells/*/", timeout=1 * MINUTES)
    walked["cell"] = page.url

    expect(page.get_by_role("heading", name="Aisha the presenter")).to_be_visible()
    expect(page.locator("#work progress, [data-player]").first).to_be_visible()
    expect(page.locator("[data-player]")).to_be_visible(timeout=3 * MINUTES)
    page.wait_for_function("() => [...document.querySelectorAll('video')].every(v => v.readyState >= 2)")

    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => document.querySelector('video[data-lead]').currentTime > 0.5")
    original, result = playing(page)
    assert not result["paused"]
    assert abs(original["at"] - result["at"]) < 0.25
    assert original["muted"]
    assert not result["muted"]
    page.keyboard.press("k")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => !document.querySelector('video[data-lead]').seeking")
    _, result = playing(page)
    assert result["at"] == pytest.approx(result["length"] - 1, abs=0.1)
    expect(page.get_by_text("Lip-sync").first).to_be_visible()


def test_the_presenters_page_tells_the_verdict(portal: Portal, open_page: OpenPage, walked: dict[str, str]) -> None:
    page = open_page(portal, "alice")
    page.goto(f"/t/{portal.team}/presenters/")
    picture = page.locator(".card-media img").first
    picture.scroll_into_view_if_needed()
    fits = "img => img.decode().then(() => img.offsetHeight <= img.parentElement.clientHeight)"
    assert picture.evaluate(fits), "a square face in a wide frame is cut around the face, not from below"
    page.get_by_role("link", name="Aisha the presenter").click()
    expect(page.locator(".badge[data-state=ready], .badge[data-state=warnings]").first).to_be_visible()
    expect(page.get_by_text("256 × 256").first).to_be_visible()


def test_a_second_version_is_compared_and_the_first_restored(
    portal: Portal, open_page: OpenPage, walked: dict[str, str]
) -> None:
    page = open_page(portal, "alice")
    page.goto(f"/t/{portal.team}/presets/new/")
    page.get_by_label("Name").fill("Lively")
    page.get_by_label("Mouth opening").fill("1.3")
    page.get_by_role("button", name="Save").click()

    page.goto(walked["cell"])
    page.locator("select[name=preset]").select_option(label="Lively")
    page.get_by_role("button", name="Render again").click()
    page.get_by_role("link", name="Watch it").click(timeout=3 * MINUTES)
    expect(page.get_by_text("Version 2", exact=True).first).to_be_visible()
    page.get_by_role("link", name="Compare two").click()
    page.wait_for_function("() => [...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    assert len(playing(page)) == 2
    page.get_by_role("button", name="Wipe").click()
    expect(page.get_by_label("Where the wipe stands")).to_be_visible()
    page.get_by_role("button", name="Publish this one").click()
    expect(page.get_by_text("Version 2 is published.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Version 1 is published.")).to_be_visible()


def test_everything_published_comes_as_one_zip_with_a_manifest(
    portal: Portal, open_page: OpenPage, walked: dict[str, str]
) -> None:
    page = open_page(portal, "alice")
    page.goto(walked["cell"])
    page.locator(".crumbs a").nth(1).click()
    expect(page.locator(".status-sum")).to_contain_text("1 of 1")
    page.get_by_role("button", name="ZIP of all published").click()
    page.wait_for_url("**/exports/")
    download = page.get_by_role("link", name="Download", exact=True)
    expect(download).to_be_visible(timeout=1 * MINUTES)
    with page.expect_download() as waited:
        download.click()
    archive = zipfile.ZipFile(io.BytesIO(Path(waited.value.path()).read_bytes()))
    assert archive.testzip() is None
    videos = [name for name in archive.namelist() if name.endswith(".mp4")]
    assert len(videos) == 1
    assert "Aisha the presenter" in videos[0]
    assert {"manifest.csv", "manifest.json"} <= set(archive.namelist())
