"""A site that keeps its files in object storage: the browser sends them there, and fetches the result from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import s3 as endpoint
from tests.e2e.conftest import REAL_ENGINE, OpenPage, Portal, new_portal

MINUTES = 60_000


@pytest.fixture(scope="module")
def storage(s3_server: int) -> Iterator[endpoint.Faults]:
    with endpoint.Faults(s3_server) as faults:
        endpoint.make_bucket(faults.url, "films")
        faults.asked.clear()
        yield faults
        faults.shutdown()


@pytest.fixture(scope="module")
def elsewhere(storage: endpoint.Faults, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """With the real engine, and every file in a bucket."""
    made = new_portal(
        tmp_path_factory.mktemp("elsewhere"), ENGINE_COMMAND=REAL_ENGINE, **endpoint.variables(storage.url, "films")
    )
    yield made
    made.site.close()


def test_files_go_straight_to_the_storage_and_the_result_is_played_from_there(
    elsewhere: Portal, storage: endpoint.Faults, open_page: OpenPage, demo_files: dict[str, Path]
) -> None:
    page = open_page(elsewhere, "alice")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    page.get_by_label("Drop a video here").set_input_files(demo_files["footage"])
    page.get_by_label("Drop a voice here").set_input_files(demo_files["en"])
    page.get_by_role("button", name="Make the video").click()
    page.wait_for_url("**/cells/*/", timeout=1 * MINUTES)
    puts = [line for line in sent if line.startswith("PUT")]
    assert len(puts) == 2
    assert all(line.startswith(f"PUT {storage.url}/films/site/blobs/") for line in puts)
    assert not any(line.startswith("PATCH") for line in sent)

    expect(page.locator("[data-player]")).to_be_visible(timeout=3 * MINUTES)
    page.wait_for_function("() => [...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => document.querySelector('video[data-lead]').currentTime > 0.3")
    page.keyboard.press("k")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => !document.querySelector('video[data-lead]').seeking")
    at, length = page.evaluate("(v => [v.currentTime, v.duration])(document.querySelector('video[data-lead]'))")
    assert at == pytest.approx(length - 1, abs=0.1)
    assert any(line.startswith(f"GET {storage.url}/films/site/blobs/") for line in sent)
    poster = (
        "v => { const image = new Image(); image.src = v.poster; return image.decode().then(() => image.width > 0); }"
    )
    assert page.locator("video[poster]").first.evaluate(poster)

    lead = page.locator("video[data-lead]")
    lead.evaluate("v => { v.currentTime = 1; v.dispatchEvent(new Event('error')); }")
    page.wait_for_function("() => (v => v.readyState >= 2 && !v.seeking)(document.querySelector('video[data-lead]'))")
    assert lead.evaluate("v => v.currentTime") == pytest.approx(1, abs=0.1), "its address had ended, and was renewed"
    expect(page.locator("figure[data-broken]")).to_have_count(0)
    lead.dispatch_event("error")
    expect(page.locator("figure[data-broken]")).to_have_count(1)

    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=True).first.click()
    assert download.value.suggested_filename.startswith("Aisha the presenter")
    assert Path(download.value.path()).read_bytes()[4:8] == b"ftyp"
    assert not list((elsewhere.site.folder / "media").rglob("*")), "nothing is kept on the site's own disk"


def test_a_line_to_the_storage_that_breaks_is_taken_up_again(
    elsewhere: Portal, storage: endpoint.Faults, open_page: OpenPage, demo_files: dict[str, Path]
) -> None:
    page = open_page(elsewhere, "alice")
    page.goto(f"/t/{elsewhere.team}/presenters/")
    failed: list[str] = []
    page.route(
        f"{storage.url}/**",
        lambda route: (
            (failed.append(route.request.url), route.abort("connectionreset"))
            if route.request.method == "PUT" and not failed
            else route.continue_()
        ),
    )
    page.locator("[data-upload] input[type=file]").first.set_input_files(demo_files["footage"])
    expect(page.locator('.upload[data-state="done"]')).to_be_visible(timeout=1 * MINUTES)
    assert len(failed) == 1
