"""The board under somebody's hands, with the fake engine: files dropped on it, cells filled, watched, stopped and tried
again, without the page ever being loaded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage, Portal

FakeFile = Callable[..., Path]


def new_board(page: Page, portal: Portal, name: str, footage: list[Path], takes: list[Path]) -> None:
    """A project made by hand, its presenters and scripts dropped on the empty board."""
    page.goto(f"/t/{portal.team}/projects/new/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the board").click()
    if footage:
        page.get_by_label("Drop videos of presenters").set_input_files(footage)
        expect(page.get_by_text("No scripts on the board yet")).to_be_visible()
    page.get_by_label("Drop recordings").set_input_files(takes)
    expect(page.locator("#board")).to_be_visible()


def test_an_empty_board_is_filled_by_dropping_files_and_pressing_one_button(
    stage: Portal, open_page: OpenPage, fake_file: FakeFile
) -> None:
    page = open_page(stage, "bob")
    hosts = [fake_file(f"Host {n}.mp4") for n in (1, 2, 3)]
    takes = [fake_file("Greeting.wav"), fake_file("Farewell.wav")]
    new_board(page, stage, "Six cells", hosts, takes)
    expect(page.locator(".cell")).to_have_count(6)
    page.evaluate("window.stillHere = true")
    page.get_by_role("button", name="Fill empty").click()
    expect(page.locator(".toast")).to_contain_text("6 cells are in line.")
    expect(page.locator(".status-sum")).to_contain_text("6 of 6", timeout=60_000)
    expect(page.locator('.cell[data-state="done"]')).to_have_count(6)
    assert page.evaluate("window.stillHere")


def test_cells_are_chosen_by_mouse_and_keyboard_and_survive_being_swapped(
    stage: Portal, open_page: OpenPage, fake_file: FakeFile
) -> None:
    page = open_page(stage, "bob")
    hosts = [fake_file(f"Speaker {n}.mp4", "ok", 1) for n in (1, 2)]
    takes = [fake_file("One.wav"), fake_file("Two.wav"), fake_file("Three.wav")]
    new_board(page, stage, "Choosing", hosts, takes)
    chosen = page.locator("[data-chosen-count]")
    cells = page.locator(".cell")
    words = page.locator(".cell .cell-state")

    expect(chosen).to_have_text("0 cells chosen")  # the board's script has begun
    words.nth(0).click()
    expect(chosen).to_have_text("1 cell chosen")
    words.nth(4).click(modifiers=["Shift"])
    expect(chosen).to_have_text("4 cells chosen")
    words.nth(2).click(modifiers=["Control"])
    expect(chosen).to_have_text("5 cells chosen")
    page.keyboard.press("Escape")
    expect(chosen).to_be_hidden()
    page.get_by_role("button", name="Speaker 1").click()
    expect(chosen).to_have_text("3 cells chosen")
    page.get_by_role("button", name="Choose none").click()
    cells.nth(5).focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowUp")
    expect(chosen).to_have_text("2 cells chosen")

    page.get_by_role("button", name="Render", exact=True).click()
    expect(page.locator('.cell[data-state="done"]')).to_have_count(2, timeout=60_000)
    expect(chosen).to_have_text("2 cells chosen")
    expect(page.locator('.cell[aria-selected="true"][data-state="done"]')).to_have_count(2)


def test_work_is_watched_stopped_after_a_question_and_begun_again(
    stage: Portal, open_page: OpenPage, fake_file: FakeFile, tmp_path: Path
) -> None:
    page = open_page(stage, "bob")
    takes = [tmp_path / "First.wav", tmp_path / "Second.wav"]
    for take in takes:
        take.write_bytes(b"rendered for as long as the footage says: " + take.name.encode())
    new_board(page, stage, "Slow", [fake_file("Slow.mp4", "ok", 10)], takes)
    page.get_by_role("button", name="Fill empty").click()
    running = page.locator('.cell[data-state="running"]')
    expect(running).to_have_count(1, timeout=60_000)
    expect(page.locator('.cell[data-state="queued"]')).to_contain_text("Next in line")
    bar = "() => Number(document.querySelector('.cell[data-state=running] progress')?.value ?? 0)"
    first = page.evaluate(bar)
    page.wait_for_function(f"was => ({bar})() > 0 && ({bar})() !== was", arg=first)

    page.get_by_role("button", name="Cancel all").click()
    page.get_by_role("button", name="Keep it as it is").click()
    expect(running).to_have_count(1)
    page.get_by_role("button", name="Cancel all").click()
    page.wait_for_timeout(2500)  # somebody who reads the question: the work has moved on in the meantime
    page.get_by_role("button", name="Cancel all").last.click()
    expect(page.locator('.cell[data-state="cancelled"]')).to_have_count(2, timeout=20_000)
    expect(page.get_by_role("button", name="Fill empty")).to_be_enabled()


def test_a_failure_says_why_and_can_be_tried_again(stage: Portal, open_page: OpenPage, fake_file: FakeFile) -> None:
    page = open_page(stage, "bob")
    new_board(page, stage, "Faceless", [fake_file("Plain.mp4")], [fake_file("Good.wav"), fake_file("Bad.wav", "oom")])
    refused = page.locator('.cell[data-state="refused"], .cell[data-state="failed"]')
    page.get_by_role("button", name="Fill empty").click()
    expect(page.locator('.cell[data-state="done"]')).to_have_count(1, timeout=60_000)
    expect(refused).to_have_count(1, timeout=60_000)
    expect(refused).to_contain_text("ran out of memory")


def test_a_wrong_kind_of_file_is_refused_before_it_is_sent(stage: Portal, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(stage, "bob")
    letter = tmp_path / "letter.txt"
    letter.write_text("not a video")
    page.goto(f"/t/{stage.team}/presenters/")
    page.locator("input[type=file]").first.set_input_files(letter)
    expect(page.locator(".upload")).to_contain_text("This kind of file cannot be used here.")
