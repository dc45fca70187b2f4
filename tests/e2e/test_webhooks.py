"""A manager adds a webhook, pings it, reads the log and delivers again; the receiver is a program of this test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage, Portal
from tests.e2e.test_board import new_board
from tests.receiver import Receiver, receiving, verify

FakeFile = Callable[..., Path]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def _yes(page: Page, name: str) -> None:
    page.locator("#confirm").get_by_role("button", name=name).click()


def _act(page: Page, name: str) -> None:
    """Something of the menu, once the page's script has begun."""
    page.wait_for_load_state()
    page.locator(".page-actions summary").click()
    page.locator(".page-actions .menu-list").get_by_role("button", name=name).click()


def test_a_webhook_from_its_first_ping_to_its_end(stage: Portal, open_page: OpenPage, receiver: Receiver) -> None:
    page = open_page(stage, "alice")
    page.locator(".rail").get_by_role("link", name="Webhooks").click()
    expect(page.get_by_text("No webhooks yet")).to_be_visible()
    page.get_by_role("link", name="Add a webhook").click()

    # A mistake is told where it was made, and what was typed stays.
    page.get_by_label("Address").fill("http://10.0.0.1/hooks")
    page.get_by_label("What it is for").fill("Newsroom")
    page.get_by_label("a job was cancelled").uncheck()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("The address leads into a private network.")).to_be_visible()
    expect(page.get_by_label("What it is for")).to_have_value("Newsroom")
    expect(page.get_by_label("a job was cancelled")).not_to_be_checked()
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_role("button", name="Add").click()
    secret = page.get_by_label("Signing secret", exact=True).input_value()
    expect(page.get_by_text("Nothing was sent yet")).to_be_visible()

    # A ping, and its result without a reload.
    receiver.says = b"hello from the newsroom"
    receiver.status = 200
    page.get_by_role("button", name="Send a ping").click()
    row = page.locator("#log li").first
    expect(row.locator(".badge")).to_have_text("Delivered")
    expect(page.get_by_label("Signing secret", exact=True)).to_have_count(0)
    (heard,) = receiver.heard
    assert verify(secret, heard.headers, heard.body)
    row.get_by_role("link", name="ping").click()
    expect(page.get_by_text("hello from the newsroom")).to_be_visible()
    expect(page.get_by_text('"type": "ping"')).to_be_visible()

    # Once more, to a receiver in trouble.
    receiver.status, receiver.says = 500, b"out of order"
    page.get_by_role("button", name="Deliver again").click()
    expect(page.locator("#log li")).to_have_count(2)
    expect(row.locator(".badge")).to_have_text("Failed")
    expect(row.get_by_text("The receiver did not answer with success.")).to_be_visible()
    assert receiver.heard[0].headers["webhook-id"] == receiver.heard[1].headers["webhook-id"]
    page.wait_for_load_state()
    page.get_by_label("State").select_option(label="Delivered")
    page.wait_for_url("**state=delivered**")
    expect(page.locator("#log li")).to_have_count(1)

    # A new secret, off, on, and away.
    _act(page, "New secret")
    _yes(page, "New secret")
    expect(page.get_by_label("Signing secret", exact=True)).not_to_have_value(secret)
    page.goto(page.url.replace("rotate/", ""))
    _act(page, "Switch off")
    _yes(page, "Switch off")
    expect(page.get_by_text("This webhook is switched off.")).to_be_visible()
    _act(page, "Switch on")
    expect(page.locator("h1 .badge")).to_have_text("In use")
    _act(page, "Delete")
    _yes(page, "Delete")
    expect(page.get_by_text("No webhooks yet")).to_be_visible()


def test_what_happens_on_the_board_reaches_the_receiver(
    stage: Portal, open_page: OpenPage, receiver: Receiver, fake_file: FakeFile
) -> None:
    page = open_page(stage, "alice")
    page.goto(f"/t/{stage.team}/webhooks/new/")
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_role("button", name="Add").click()
    secret = page.get_by_label("Signing secret", exact=True).input_value()
    new_board(page, stage, "Heard of", [fake_file("Heard.mp4")], [fake_file("Heard.wav")])
    page.get_by_role("button", name="Fill empty").click()
    expect(page.locator('.cell[data-state="done"]')).to_have_count(1, timeout=60_000)
    for _ in range(300):
        if "batch.finished" in receiver.types():
            break
        page.wait_for_timeout(100)
    assert {
        "footage.ready",
        "take.ready",
        "batch.started",
        "version.created",
        "job.succeeded",
        "batch.finished",
    } <= set(receiver.types())
    assert all(verify(secret, heard.headers, heard.body) for heard in receiver.heard)
    page.goto(f"/t/{stage.team}/webhooks/")
    page.locator(".list-row a").first.click()
    page.wait_for_url("**/webhooks/*/")
    page.wait_for_load_state()
    page.get_by_label("Event", exact=True).select_option(label="batch.finished")
    page.wait_for_url("**event=batch.finished**")
    expect(page.locator("#log li")).to_have_count(1)
    expect(page.locator("#log li .badge")).to_have_text("Delivered")
    _act(page, "Delete")
    _yes(page, "Delete")
    expect(page.get_by_text("No webhooks yet")).to_be_visible()


def test_others_than_managers_are_not_offered_webhooks(stage: Portal, open_page: OpenPage) -> None:
    page = open_page(stage, "bob")
    expect(page.locator(".rail").get_by_role("link", name="Members")).to_be_visible()
    expect(page.locator(".rail").get_by_role("link", name="Webhooks")).to_have_count(0)
    answer = page.goto(f"/t/{stage.team}/webhooks/")
    assert answer is not None
    assert answer.status == 403
