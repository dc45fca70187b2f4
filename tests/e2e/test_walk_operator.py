"""An operator walks through everything that may be done on the farm, and reads in the audit log who did it and why."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.conftest import OpenPage, Portal, new_portal
from tests.rendering.sites import ROOT

REASON = "Reason for what you do next"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A site of its own, with the fake engine: its workers are paused, stopped and restarted here."""
    made = new_portal(tmp_path_factory.mktemp("farm"), WORKER_NAME="rack")
    code = (
        "import django, os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'heygem_site.settings'\n"
        "django.setup()\n"
        "from tests import factories\n"
        "factories.user('olga', is_staff=True)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=made.site.env, check=True)
    until(lambda: {"rack/gpu", "rack/worker"} <= set(made.site.call("nodes")))
    yield made
    made.site.close()


def until(what: Callable[[], Any], seconds: float = 40) -> Any:
    """What it says when it is true at last."""
    end = time.monotonic() + seconds
    while not (said := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return said


class Operator:
    """Olga, with the page that she acts on and the audit log in another tab."""

    def __init__(self, farm: Portal, open_page: OpenPage) -> None:
        self.site = farm.site
        self.page, self.log = open_page(farm, "olga"), open_page(farm, "olga")

    def presses(self, button: str, *, noted: str, of: str = "", field: str = REASON, times: int = 1) -> None:
        """Give a reason, press, agree if there is a question, and read the line in the log."""
        page, why = self.page, f"reason {next(_numbers)}"
        page.get_by_label(field, exact=True).first.fill(why)
        self.click(page.get_by_role("button", name=button, exact=True).first)
        self.reads(noted, of, why, times=times)

    def click(self, button: Locator) -> None:
        """And agree, if there is a question, until the page says that it is done."""
        page = self.page
        page.evaluate("document.querySelectorAll('.toast').forEach((toast) => toast.remove())")  # of what was before
        button.click()
        toast = page.get_by_text("noted in the audit log.")
        expect(toast.or_(page.locator("#confirm[open]")).first).to_be_visible()
        if page.locator("#confirm[open]").count():
            page.locator("#confirm-yes").click()
        expect(toast.first).to_be_visible()

    def reads(self, noted: str, of: str, why: str, *, times: int = 1) -> None:
        """The newest lines of the log."""
        self.log.goto("/farm/audit/")
        for number in range(times):
            row = self.log.locator("tbody tr").nth(number)
            for words in ("olga@example.com", noted, of, why):
                expect(row).to_contain_text(words)

    def opens(self, name: str) -> None:
        """Follow a link of the farm page."""
        self.page.goto("/farm/")
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def order(self, *modes: str, team: str = "Northlight", **job: Any) -> list[str]:
        ids: list[str] = self.site.call("order", team=team, modes=list(modes), **job)
        return ids

    def job(self, public_id: str) -> None:
        self.page.goto(f"/farm/jobs/{public_id}/")

    def waits_for(self, public_id: str, state: str) -> dict[str, Any]:
        jobs = self.site.wait(lambda jobs: jobs[public_id]["state"] == state)
        found: dict[str, Any] = jobs[public_id]
        return found

    def runs(self, public_id: str) -> None:
        self.site.wait(lambda jobs: jobs[public_id]["state"] == "running" and jobs[public_id]["progress"])

    def node(self, name: str = "rack/gpu") -> dict[str, Any]:
        found: dict[str, Any] = self.site.call("nodes")[name]
        return found


@pytest.fixture
def olga(farm: Portal, open_page: OpenPage) -> Iterator[Operator]:
    """She leaves an empty farm whose worker is active."""
    operator = Operator(farm, open_page)
    yield operator
    farm.site.call("clear")


def paused(olga: Operator) -> None:
    """Nothing starts."""
    olga.site.call("steer", worker="rack/gpu", act="paused")


def test_a_worker_is_paused_drained_quarantined_stopped_and_released(olga: Operator) -> None:
    (job,) = olga.order("ok:2")
    olga.runs(job)
    olga.opens("rack/gpu")
    olga.presses("After its job: Pause", noted="Worker paused", of="rack/gpu")
    expect(olga.page.locator("#farm-worker")).to_contain_text("Paused")
    assert olga.waits_for(job, "succeeded")["tries"] == ["succeeded"]  # it has finished what it had
    olga.presses("Release: rack/gpu", noted="Worker given work again", of="rack/gpu")
    (job,) = olga.order("ok:3")
    tries = []
    for act, noted, state in (
        ("Drain", "Worker drained", "draining"),
        ("Quarantine", "Worker quarantined", "quarantined"),
        ("Stop", "Worker stopped", "stopped"),
    ):
        olga.runs(job)
        olga.presses(f"At once: {act}", noted=noted, of="rack/gpu")
        tries.append("returned")
        assert olga.waits_for(job, "queued")["tries"] == tries
        assert olga.node()["state"] == state
        olga.presses("Release: rack/gpu", noted="Worker given work again", of="rack/gpu")
    assert olga.waits_for(job, "succeeded")["tries"] == [*tries, "succeeded"]


def test_a_worker_restarts_after_its_job_and_at_once(olga: Operator) -> None:
    (job,) = olga.order("ok:2")
    olga.runs(job)
    before = olga.node()["pid"]
    olga.opens("rack/gpu")
    olga.presses("After its job: Restart", noted="Worker restarted", of="rack/gpu")
    expect(olga.page.locator("#farm-worker")).to_contain_text("Restarts after its job")
    assert olga.waits_for(job, "succeeded")["tries"] == ["succeeded"]
    between = until(lambda: (pid := olga.node()["pid"]) != before and pid)
    (job,) = olga.order("ok:3")
    olga.runs(job)
    olga.page.reload()
    olga.presses("At once: Restart", noted="Worker restarted", of="rack/gpu")
    until(lambda: olga.node()["pid"] != between)
    assert olga.waits_for(job, "succeeded")["tries"] == ["returned", "succeeded"]
    olga.page.reload()
    expect(olga.page.locator("#farm-worker")).to_contain_text("exemplar")  # what it can do
    expect(olga.page.get_by_role("heading", name="Who did what")).to_be_visible()


def test_an_act_that_no_longer_fits_says_so_and_is_not_noted(olga: Operator) -> None:
    olga.opens("rack/gpu")
    paused(olga)
    olga.page.get_by_label(REASON).fill("too late")
    olga.page.get_by_role("button", name="After its job: Pause", exact=True).click()
    expect(olga.page.locator("main")).to_contain_text("That cannot be done now.")
    olga.log.goto("/farm/audit/")
    expect(olga.log.locator("main")).not_to_contain_text("too late")


def test_a_job_is_held_released_moved_killed_requeued_and_tried_again(olga: Operator) -> None:
    paused(olga)
    first, job = olga.order("ok:0.1", "ok:3")
    olga.job(job)
    expect(olga.page.locator("#farm-job")).to_contain_text("No worker is active.")
    name = olga.page.locator("h1").inner_text()
    olga.presses(f"Hold: {name}", noted="Rendering put on hold", of=name)
    expect(olga.page.locator("#farm-job")).to_contain_text("A person put it on hold.")
    olga.presses(f"Release: {name}", noted="Rendering taken off hold", of=name)
    olga.presses(f"To the front: {name}", noted="Place in line changed", of=name)
    olga.page.get_by_label("Priority", exact=True).fill("7")
    olga.presses("Set priority", noted="Place in line changed", of=name)
    olga.site.call("steer", worker="rack/gpu", act="active")
    olga.runs(job)
    assert olga.site.job(first)["state"] == "queued"  # it was overtaken
    olga.presses(f"Requeue: {name}", noted="Rendering taken from its worker", of=name)
    until(lambda: olga.site.job(job)["tries"][:1] == ["returned"])
    olga.runs(job)
    olga.presses(f"Cancel: {name}", noted="Rendering cancelled", of=name)
    assert olga.waits_for(job, "cancelled")["tries"] == ["returned", "cancelled"]
    olga.presses(f"Try again: {name}", noted="Rendering tried again", of=name)
    olga.site.wait(lambda jobs: jobs.keys() - {first, job})


def test_the_log_of_a_job_grows_while_it_is_read_and_stays(olga: Operator) -> None:
    (job,) = olga.order("ok:9")
    olga.runs(job)
    olga.job(job)
    log = olga.page.locator("[data-live-log]")
    expect(log).to_contain_text("render begins")
    expect(log).to_contain_text("compose")
    expect(log).to_contain_text("render done in")
    olga.page.reload()
    expect(log).to_contain_text("render begins")
    expect(log).to_contain_text("render done in")
    olga.page.get_by_role("link", name="Log of try 1").click()
    expect(log).to_contain_text("render begins")


def test_a_batch_and_what_is_ticked_are_steered_at_once(olga: Operator) -> None:
    paused(olga)
    olga.order("ok:0.1", team="Elsewhere")
    jobs = olga.order("ok:3", "ok:3", "ok:3")

    def states() -> set[str]:
        return {job["state"] for key, job in olga.site.jobs().items() if key in jobs}

    olga.job(jobs[0])
    olga.page.get_by_role("link", name="Batch", exact=True).click()
    name = olga.page.locator("h1").inner_text()
    whole = olga.page.get_by_role("region", name="The whole batch")

    def press(button: str, noted: str) -> None:
        why = f"batch reason {next(_numbers)}"
        whole.get_by_label(REASON).fill(why)
        olga.click(whole.get_by_role("button", name=button, exact=True))
        olga.reads(noted, name, why)

    press("Hold", "Batch put on hold")
    assert states() == {"held"}
    press("Release", "Batch taken off hold")
    assert states() == {"queued"}
    press("To the front", "Batch's place in line changed")
    whole.get_by_label("Priority", exact=True).fill("5")
    press("Set priority", "Batch's place in line changed")
    olga.site.call("steer", worker="rack/gpu", act="active")
    olga.site.wait(lambda jobs_: any(jobs_[job]["state"] == "running" for job in jobs))
    press("Requeue", "Batch taken from its workers")
    press("Cancel", "Batch cancelled")
    olga.site.wait_until_all_end()
    press("Try again", "Failed renders tried again")
    olga.site.call("clear")

    paused(olga)
    olga.order("ok", "ok", "ok")
    olga.opens("All jobs")
    expect(olga.page.get_by_role("button", name="Hold", exact=True)).to_be_disabled()
    for number in (0, 1):
        olga.page.locator('input[name="job"]').nth(number).check()
    expect(olga.page.locator("[data-pick-count]")).to_have_text("2")
    olga.presses("Hold", noted="Rendering put on hold", field="Reason", times=2)
    expect(olga.page.get_by_text("A person put it on hold.")).to_have_count(2)
    olga.page.get_by_label("All on this page").check()
    olga.presses("Cancel", noted="Rendering cancelled", field="Reason", times=3)


def test_a_team_is_paused_moved_limited_and_its_work_taken_back(olga: Operator) -> None:
    paused(olga)
    olga.order("ok:0.1", team="Elsewhere")
    ours = olga.order("ok:4", "ok:4")
    olga.opens("Northlight")
    olga.presses("Pause: Northlight", noted="Team paused", of="Northlight")
    expect(olga.page.locator("h1")).to_contain_text("Paused")
    olga.presses("Resume: Northlight", noted="Team resumed", of="Northlight")
    olga.presses("To the front: Northlight", noted="Team's place in line changed", of="Northlight")
    olga.page.get_by_label("Priority", exact=True).fill("3")
    olga.presses("Set priority", noted="Team's place in line changed", of="Northlight")
    olga.site.call("steer", worker="rack/gpu", act="active")
    olga.runs(ours[0])  # before the other team, whose turn it is
    olga.presses("Requeue what runs: Northlight", noted="Team's work taken from its workers", of="Northlight")
    until(lambda: olga.site.job(ours[0])["tries"][:1] == ["returned"])
    olga.presses("Cancel all its work: Northlight", noted="Team's work cancelled", of="Northlight")
    olga.waits_for(ours[1], "cancelled")
    olga.order("ok:0.1", held=True)
    olga.page.reload()
    olga.presses("Release what is on hold: Northlight", noted="Team's work taken off hold", of="Northlight")

    for form, fields, noted in (
        ("Share", {"Weight": "3", "Jobs at once": "2"}, "Team's share of the machines changed"),
        (
            "Trying again",
            {"Tries of a job": "5", "Seconds of rest after the first failed try": "30"},
            "Team's retry policy changed",
        ),
        ("Limits", {"Storage in GB": "20.5", "Longest take in minutes": "7.5"}, "Team's limits changed"),
    ):
        why = f"form reason {next(_numbers)}"
        panel = olga.page.get_by_role("form", name=form)
        for label, value in fields.items():
            panel.get_by_label(label).fill(value)
        panel.get_by_label("Reason").fill(why)
        olga.click(panel.get_by_role("button", name="Save"))
        olga.reads(noted, "Northlight", why)
        for label, value in fields.items():
            expect(olga.page.get_by_role("form", name=form).get_by_label(label)).to_have_value(value)
    expect(olga.page.get_by_role("form", name="Trying again")).to_contain_text("now 5 tries, 30 s after the first")


def test_the_audit_log_is_narrowed_and_taken_away_as_a_table(olga: Operator) -> None:
    olga.opens("rack/worker")
    olga.presses("After its job: Pause", noted="Worker paused", of="rack/worker")
    olga.presses("Release: rack/worker", noted="Worker given work again", of="rack/worker")
    log = olga.log
    log.goto("/farm/audit/")
    log.set_viewport_size({"width": 768, "height": 900})
    column = log.locator("tbody tr:first-child td.subject").bounding_box()
    assert column is not None
    assert column["width"] > 150, "names are read in a line, not letter by letter"
    log.get_by_label("What", exact=True).select_option(label="Worker paused")
    log.get_by_label("To what (name or id)").fill("rack/worker")
    log.get_by_role("button", name="Search").click()
    expect(log.locator("tbody tr")).to_have_count(1)
    with log.expect_download() as taken:
        log.get_by_role("link", name="As CSV").click()
    text = taken.value.path().read_text()
    assert text.splitlines()[0] == "when,who,action,team,subject,name,reason,detail"
    assert text.count("worker.paused") == 1
    assert "olga@example.com" in text


def test_nobody_else_finds_the_farm(farm: Portal, open_page: OpenPage) -> None:
    alice = open_page(farm, "alice")  # owns a team, and is no operator
    for path in ("/farm/", "/farm/jobs/", "/farm/audit/", "/farm/workers/1/", f"/farm/teams/{farm.team}/"):
        answer = alice.goto(path)
        assert answer is not None
        assert answer.status == 404, path


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_no_page_of_the_farm_is_wider_than_the_screen(
    olga: Operator, farm: Portal, open_page: OpenPage, width: int
) -> None:
    paused(olga)
    (job,) = olga.order("ok", "ok", held=True)[:1]
    page = open_page(farm, "olga", width=width)
    page.goto(f"/farm/jobs/{job}/")
    batch = page.get_by_role("link", name="Batch", exact=True).get_attribute("href")
    for path in ("/farm/", "/farm/jobs/", f"/farm/jobs/{job}/", batch, "/farm/workers/1/", "/farm/audit/"):
        page.goto(str(path))
        spare = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert spare <= 0, f"{path} is {spare} pixels too wide at {width}"
