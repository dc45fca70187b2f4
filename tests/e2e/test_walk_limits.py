"""Limits are set and hit, files go by a rule after a look at what would go, and storage is compared and mended."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage, Portal, new_portal
from tests.e2e.test_board import new_board
from tests.rendering.sites import ROOT

MB = 1 << 20
FakeFile = Callable[..., Path]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A site of its own, with the fake engine and an operator, Olga."""
    made = new_portal(tmp_path_factory.mktemp("house"))
    code = (
        "import django, os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'heygem_site.settings'\n"
        "django.setup()\n"
        "from tests import factories\n"
        "factories.user('olga', is_staff=True)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=made.site.env, check=True)
    yield made
    made.site.close()


def allow(olga: Page, house: Portal, why: str, **limits: str) -> None:
    """Set limits (by the form's labels) with a reason, and read the line in the audit log."""
    olga.goto(f"/farm/teams/{house.team}/")
    form = olga.locator("#farm-limits")
    for label in ("Storage in GB", "Render minutes a month", "Largest file in MB", "Longest take in minutes"):
        form.get_by_label(label).fill(limits.get(label.split()[0].lower(), ""))
    form.get_by_label("Reason").fill(why)
    form.get_by_role("button", name="Save").click()
    expect(olga.locator(".toast")).to_contain_text("noted in the audit log")
    noted(olga, "Team's limits changed", why)


def noted(olga: Page, what: str, why: str = "") -> None:
    olga.goto("/farm/audit/")
    newest = olga.locator("tbody tr").first
    expect(newest).to_contain_text(what)
    expect(newest).to_contain_text("olga@example.com")
    expect(newest).to_contain_text(why)


def test_each_limit_is_set_hit_and_told_in_words(
    house: Portal, open_page: OpenPage, fake_file: FakeFile, tmp_path: Path
) -> None:
    olga, bob = open_page(house, "olga"), open_page(house, "bob")
    film = tmp_path / "long film.mp4"
    film.write_bytes(b"fake:ok\n" + bytes(12 * MB))

    allow(olga, house, "small files only", largest="2")
    bob.goto(f"/t/{house.team}/presenters/")
    bob.locator("input[type=file]").first.set_input_files(film)
    expect(bob.locator(".upload")).to_contain_text(re.compile("12.0.MB; Northlight may upload files of up to 2.0.MB"))

    allow(olga, house, "ten megabytes", storage="0.01")
    bob.reload()
    bob.locator("input[type=file]").first.set_input_files(film)
    upload = bob.locator(".upload")
    expect(upload).to_contain_text(re.compile("needs 12.0.MB, and Northlight has 10.2.MB left"))
    expect(upload).to_contain_text("ask the operator for more storage")

    allow(olga, house, "three seconds", longest="0.05")
    new_board(bob, house, "Too long", [fake_file("Host.mp4")], [fake_file("Speech.wav")])
    expect(bob.locator(".cell").first).to_contain_text("longer than 0:03 minutes", timeout=60_000)

    allow(olga, house, "one minute", render="1")
    hosts = [fake_file(f"Speaker {n}.mp4") for n in range(4)]
    takes = [fake_file(f"Part {n}.wav") for n in range(4)]
    new_board(bob, house, "Too much", hosts, takes)
    expect(bob.locator('.cell[data-state="empty"]')).to_have_count(16, timeout=60_000)
    bob.get_by_role("button", name="Fill empty").click()
    toast = bob.locator(".toast")
    expect(toast).to_contain_text("1.0 of 1 render minutes left this month; these 16 videos need 1.1")
    expect(toast).to_contain_text("The first 15 of them fit")
    expect(bob.locator('.cell[data-state="empty"]')).to_have_count(16)


def test_from_80_percent_on_the_team_is_warned(house: Portal, open_page: OpenPage) -> None:
    olga, alice = open_page(house, "olga"), open_page(house, "alice", width=390)
    house.site.call("keep_more", megabytes=9)
    allow(olga, house, "ten megabytes", storage="0.01")
    alice.goto(f"/t/{house.team}/settings/")
    expect(alice.locator("#usage-storage")).to_contain_text(re.compile(r"of 10.2.MB \(\d\d %\)"))
    expect(alice.locator(".note").first).to_contain_text("of storage are used")
    alice.goto("/")
    expect(alice.locator(".note").first).to_contain_text("of storage are used")
    allow(olga, house, "enough again")
    alice.reload()
    expect(alice.locator(".note")).to_have_count(0)


def test_a_rule_is_set_looked_at_and_applied(house: Portal, open_page: OpenPage) -> None:
    cell = house.site.call("superseded", days=45)
    olga, alice = open_page(house, "olga"), open_page(house, "alice")
    olga.goto(f"/farm/teams/{house.team}/")
    form = olga.locator("#farm-retention")
    form.get_by_label("Superseded versions").fill("30")
    form.get_by_label("Reason").fill("as agreed")
    form.get_by_role("button", name="Save").click()
    noted(olga, "Team's retention changed", "as agreed")

    olga.goto("/farm/storage/")
    leaving = olga.locator("#farm-leaving")
    expect(leaving).to_contain_text("Superseded versions after 30 days")
    leaving.locator("summary").click()
    expect(leaving).to_contain_text("Ada / Welcome (en) v2")
    alice.goto(f"/cells/{cell}/")
    expect(alice.locator(".version")).to_have_count(3)
    expect(alice.get_by_text("Video removed by retention")).to_have_count(0)

    olga.wait_for_load_state()
    leaving.get_by_role("button", name="Remove now").click()
    olga.locator("#confirm-yes").click()
    expect(olga.locator(".toast")).to_contain_text("1 thing is gone")
    expect(olga.locator("#farm-leaving")).to_contain_text("Nothing.")
    noted(olga, "Old files removed by the rule of retention")

    alice.reload()
    expect(alice.get_by_text("Video removed by retention")).to_have_count(1)
    alice.goto(f"/cells/{cell}/?version=2")
    expect(alice.get_by_text("The video of version 2 was removed")).to_be_visible()
    alice.goto(f"/t/{house.team}/settings/")
    expect(alice.locator("dl", has_text="Superseded versions")).to_contain_text("30 days")


def test_storage_is_looked_at_compared_and_mended(house: Portal, open_page: OpenPage) -> None:
    house.site.call("orphan")
    olga = open_page(house, "olga", width=390)
    olga.goto("/farm/")
    olga.get_by_role("link", name="Storage").click()
    expect(olga.locator("#forecast")).to_contain_text("not known yet")
    expect(olga.locator(".storage-table")).to_contain_text("Northlight")
    olga.get_by_role("link", name="Compare database and files").click()
    expect(olga.get_by_text("blobs/nobody/left")).to_be_visible()
    olga.wait_for_load_state()  # the question is a script's
    olga.get_by_role("button", name="Mend").click()
    olga.locator("#confirm-yes").click()
    expect(olga.locator(".toast")).to_contain_text("1 stored file removed.")
    expect(olga.get_by_text("blobs/nobody/left")).to_have_count(0)
    noted(olga, "Storage mended")
