"""The page of the API: read and tried in the browser, with nothing from elsewhere."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage, Portal


def _try(page: Page, tag: str, operation: str, status: str) -> None:
    """Open the operation, send its example, and look at the answer's status."""
    shown = page.locator(f"#operations-{tag}-{operation}")
    if not shown.is_visible():
        page.locator(f".opblock-tag[data-tag={tag}]").click()
    shown.locator(".opblock-summary-control").click()
    shown.get_by_role("button", name="Try it out").click()
    shown.get_by_role("button", name="Execute").click()
    expect(shown.locator(".live-responses-table tbody .response-col_status")).to_contain_text(status)


def test_the_api_is_read_and_tried_as_who_is_signed_in(stage: Portal, open_page: OpenPage) -> None:
    page = open_page(stage, "alice")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/tokens/")
    page.get_by_role("link", name="Try the API").click()
    expect(page.locator(".opblock-tag").first).to_be_visible()
    _try(page, "teams", "me_retrieve", "200")
    expect(page.locator("#operations-teams-me_retrieve").get_by_text('"alice@example.com"').first).to_be_visible()
    # The example's team is nobody's: 404 says that the page's own token came along, or it would be 403.
    _try(page, "presenters", "presenters_create", "404")
    assert [url for url in asked if not url.startswith((stage.url, "data:", "blob:"))] == []
