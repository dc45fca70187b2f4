"""Who may not, who reads another language, and who looks at a small screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import OpenPage, Portal
from tests.e2e.test_board import new_board

FakeFile = Callable[..., Path]


@pytest.fixture
def board_url(stage: Portal, open_page: OpenPage, fake_file: FakeFile, request: pytest.FixtureRequest) -> str:
    """A board with one finished cell, made by Bob."""
    page = open_page(stage, "bob")
    new_board(page, stage, request.node.name[:60], [fake_file("Face.mp4")], [fake_file("Words.wav")])
    page.get_by_role("button", name="Fill empty").click()
    expect(page.locator('.cell[data-state="done"]')).to_have_count(1, timeout=60_000)
    return page.url


def test_a_viewer_watches_but_is_offered_nothing_that_changes(
    stage: Portal, open_page: OpenPage, board_url: str
) -> None:
    page = open_page(stage, "victor")
    expect(page.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Make the video")).to_have_count(0)
    expect(page.get_by_role("link", name="New project")).to_have_count(0)
    page.goto(board_url)
    expect(page.locator(".cell")).to_have_count(1)
    for name in ("Fill empty", "Render", "Cancel all", "ZIP of all published"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    answer = page.request.post(
        f"{board_url}render/",
        form={"all": "1", "csrfmiddlewaretoken": _token(page)},
        headers={"Referer": board_url},
    )
    assert answer.status == 403
    assert "Your role in this team does not allow that." in answer.text()


def _token(page: Page) -> str:
    return next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken")


def test_a_stranger_finds_nothing_there(stage: Portal, open_page: OpenPage, board_url: str) -> None:
    page = open_page(stage, "charlie")
    answer = page.goto(board_url)
    assert answer is not None
    assert answer.status == 404


def test_a_button_pressed_twice_sends_its_form_once(stage: Portal, open_page: OpenPage) -> None:
    page = open_page(stage, "bob")
    page.goto(f"/t/{stage.team}/projects/new/")
    page.get_by_label("Name").fill("Pressed twice")
    held: list[Route] = []  # answered when it has been pressed for the third time
    page.route("**/projects/new/", lambda route: held.append(route))
    box = page.get_by_role("button", name="Make the board").bounding_box()
    assert box is not None
    for _ in range(3):
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(150)
    assert len(held) == 1
    held[0].continue_()
    expect(page.get_by_role("heading", name="Pressed twice")).to_be_visible()


def test_the_language_is_switched_and_stays(stage: Portal, open_page: OpenPage) -> None:
    page = open_page(stage, "alice")
    page.get_by_role("button", name="简体中文").first.click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(page.get_by_role("link", name="新建项目").first).to_be_visible()
    page.goto(f"/t/{stage.team}/presets/")
    expect(page.locator("h1")).to_have_text("预设")
    page.get_by_role("button", name="English").first.click()
    expect(page.locator("h1")).to_have_text("Presets")


def test_light_and_dark_are_switched_and_kept(stage: Portal, open_page: OpenPage) -> None:
    page = open_page(stage, "alice", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch between light and dark").first.click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_no_page_is_wider_than_the_screen(stage: Portal, open_page: OpenPage, board_url: str, width: int) -> None:
    page = open_page(stage, "alice", width=width)
    page.goto(board_url)
    cell = page.locator(".cell").get_attribute("data-href")
    team = f"/t/{stage.team}"
    paths = (
        *("/", board_url, cell, f"{team}/presenters/", f"{team}/scripts/", f"{team}/exports/", f"{team}/presets/"),
        *(f"{team}/webhooks/", f"{team}/webhooks/new/"),
        *(f"{team}/members/", f"{team}/settings/", f"{team}/projects/new/", f"{team}/presets/new/"),
    )
    for path in paths:
        page.goto(str(path))
        spare = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert spare <= 0, f"{path} is {spare} pixels too wide at {width}"


def test_on_a_phone_the_board_is_a_list_and_cells_are_chosen_by_touch(
    stage: Portal, open_page: OpenPage, board_url: str
) -> None:
    page = open_page(stage, "alice", width=390, height=844, is_mobile=True, has_touch=True)
    page.goto(board_url)
    cell = page.locator(".cell")
    box = cell.bounding_box()
    assert box is not None
    assert box["width"] > 300
    page.locator("[data-tick]").tap()
    expect(cell).to_have_attribute("aria-selected", "true")
    page.locator(".cell-open").tap()
    page.wait_for_url("**/cells/*/")
