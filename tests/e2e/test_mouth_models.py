"""A mouth model from the presenter's page to a video, with the fake engine: learnt, watched, used, stopped, removed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import OpenPage, Portal

FakeFile = Callable[..., Path]
PHONE = {"width": 390, "height": 844}


def new_presenter(page: Page, portal: Portal, film: Path) -> str:
    """Uploaded and analysed; their page is open. Returns its address."""
    page.goto(f"/t/{portal.team}/presenters/")
    page.locator("input[type=file]").first.set_input_files(film)
    card = page.locator(".card").filter(has_text=film.stem)
    expect(card).to_contain_text("Ready", timeout=60_000)
    card.get_by_role("link").click()
    expect(page.get_by_role("heading", name=film.stem, level=1)).to_be_visible()
    return page.url


def section(page: Page) -> Locator:
    return page.get_by_role("region", name="Mouth model")


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_one_is_learnt_by_keyboard_watched_and_draws_the_next_video(
    stage: Portal, open_page: OpenPage, fake_file: FakeFile
) -> None:
    page = open_page(stage, "bob")
    address = new_presenter(page, stage, fake_file("Nora.mp4", "ok", 6))
    expect(section(page)).to_contain_text("draws every mouth that the words ask for")
    section(page).get_by_role("button", name="Learn a mouth model").focus()
    page.keyboard.press("Enter")
    expect(section(page).get_by_role("status")).to_have_text("Being learnt", timeout=30_000)
    section(page).get_by_role("link", name=re.compile(" log")).click()
    own = page.get_by_role("region", name="How it stands")
    expect(page.locator("[data-live-log]")).to_contain_text("train", timeout=30_000)
    expect(own.locator("figure img")).to_have_count(1, timeout=30_000)
    expect(own.get_by_role("status")).to_have_text("In use", timeout=60_000)

    page.goto(f"/t/{stage.team}/presenters/")
    expect(page.locator(".card").filter(has_text="Nora")).to_contain_text("Mouth model")
    page.goto(f"/t/{stage.team}/projects/new/")
    page.get_by_label("Name").fill("Drawn")
    page.get_by_label("Nora").check()
    page.get_by_role("button", name="Make the board").click()
    page.get_by_label("Drop recordings").set_input_files([fake_file("Hello.wav")])
    page.get_by_role("button", name="Fill empty").click()
    done = page.locator('.cell[data-state="done"]')
    expect(done).to_have_count(1, timeout=60_000)
    page.goto(str(done.get_attribute("data-href")))
    expect(page.locator("dd", has_text="Drawn by the presenter's own network")).to_be_visible()

    page.goto(address)
    section(page).get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it as it is").click()
    expect(section(page).get_by_role("status")).to_have_text("In use")
    section(page).get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(section(page).get_by_role("status")).to_have_text("None yet")


def test_one_that_is_not_good_enough_says_in_sentences_why_on_a_phone(
    stage: Portal, open_page: OpenPage, fake_file: FakeFile
) -> None:
    page = open_page(stage, "bob", **PHONE)
    address = new_presenter(page, stage, fake_file("Otto.mp4", "not_good", 1))
    section(page).get_by_role("button", name="Learn a mouth model").click()
    expect(section(page).get_by_role("status")).to_have_text("Not good enough", timeout=60_000)
    expect(section(page)).to_contain_text("Frames that it has not learnt from are not drawn truly enough.")
    assert fits(page)
    section(page).get_by_role("link", name="Figures, log and history").click()
    expect(page.get_by_role("heading", name="What was learnt before")).to_be_visible()
    assert fits(page)

    viewer = open_page(stage, "victor", **PHONE)
    viewer.goto(address)
    expect(section(viewer).get_by_role("status")).to_have_text("Not good enough")
    expect(section(viewer).get_by_role("button")).to_have_count(0)


def test_what_is_being_learnt_is_stopped(stage: Portal, open_page: OpenPage, fake_file: FakeFile) -> None:
    page = open_page(stage, "bob")
    new_presenter(page, stage, fake_file("Paul.mp4", "ok", 8))
    section(page).get_by_role("button", name="Learn a mouth model").click()
    expect(section(page).get_by_role("status")).to_have_text("Being learnt", timeout=30_000)
    stop = section(page).get_by_role("button", name="Stop learning")
    expect(stop).to_have_attribute("data-confirm", re.compile("lost"), timeout=30_000)  # there is something to lose
    stop.click()
    page.get_by_role("dialog").get_by_role("button", name="Stop learning").click()
    expect(section(page).get_by_role("status")).to_have_text("Not learnt")
    expect(section(page)).to_contain_text("The work was cancelled.")
    expect(section(page).get_by_role("button", name="Learn a mouth model")).to_be_visible()
