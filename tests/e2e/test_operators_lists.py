"""The operator's lists in a browser: nothing is refused by the page's own policy, and they fit a telephone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenPage, Portal
from tests.factories import PASSWORD
from tests.rendering.sites import ROOT

MAKE = """
import django
django.setup()
from django.contrib.auth.models import User
from tests import factories
if not User.objects.filter(username="root").exists():
    factories.user("root", is_staff=True, is_superuser=True)
"""
LISTS = ("", "auth/user/", "auth/user/1/change/", "projects/team/", "projects/auditevent/", "rendering/renderjob/")


@pytest.fixture
def root(stage: Portal) -> str:
    env = {**os.environ, **stage.site.env, "DJANGO_SETTINGS_MODULE": "heygem_site.settings"}
    subprocess.run([sys.executable, "-c", MAKE], cwd=ROOT, env=env, check=True)
    return "root"


def test_an_operator_looks_through_the_lists_in_the_dark_and_on_a_telephone(
    stage: Portal, root: str, open_page: OpenPage
) -> None:
    page = open_page(stage, width=390, color_scheme="dark")
    page.goto("/admin/")
    page.get_by_label("Username").fill(root)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    for path in LISTS:
        page.goto(f"/admin/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    dark = "rgb(19, 23, 21)"
    expect(page.locator("body")).to_have_css("background-color", dark)
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body")).to_have_css("background-color", "rgb(244, 245, 242)")
    page.reload()  # the choice is kept, and known before anything is painted
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_text("运维")).to_be_visible()
    page.get_by_role("button", name="English").click()
    page.get_by_role("link", name="Farm").first.click()
    page.wait_for_url("**/farm/")
