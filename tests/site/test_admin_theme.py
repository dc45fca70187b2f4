"""The operator's lists: in the house's clothes, in both languages, strict, and to be searched."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.admin.utils import label_for_field
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils.translation import override

from projects.models import Project
from tests import factories
from tests.cast import browser
from tests.rendering import making

OURS = {
    model: shown for model, shown in admin.site._registry.items() if model._meta.app_label in ("projects", "rendering")
}
SAME_IN_BOTH = {"Webhook", "URL", "SHA-256"}
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)(?![^>]*application/json)|javascript:")


@pytest.fixture
def olga(db: None) -> User:
    return factories.user("olga", is_staff=True, is_superuser=True)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_is_themed_and_nothing_on_it_is_inline(olga: User, project: Project, language: str) -> None:
    client = browser(olga)
    making.ready_project(project.team)
    user = reverse("admin:auth_user_change", args=[olga.pk])
    lists = [f"admin:{model._meta.label_lower.replace('.', '_')}_changelist" for model in OURS]
    pages = ["admin:index", "admin:auth_user_add", *lists]
    for page in [user, *(reverse(name) for name in pages)]:
        text = client.get(page, headers={"Accept-Language": language}).content.decode()
        assert "/static/identity.css" in text, page
        assert "/static/admin.css" in text, page
        assert "dark_mode.css" not in text, page
        assert not INLINE.findall(text), page
        assert f'href="{reverse("rendering:farm")}"' in text, "a way back to the farm"
        assert ("For operators" if language == "en" else "运维") in text


def test_signing_in_there_looks_the_same() -> None:
    text = Client().get(reverse("admin:login")).content.decode()
    assert "/static/admin.css" in text
    assert not INLINE.findall(text)


def test_every_column_has_a_name_in_the_reader_s_language(olga: User) -> None:
    request = RequestFactory().get("/")
    request.user = olga
    bare = []
    with override("zh-hans"):
        for model, shown in OURS.items():
            bare += [str(model._meta.verbose_name), str(model._meta.verbose_name_plural)]
            columns = [*shown.get_list_display(request), *(field for field in shown.get_fields(request))]
            bare += [str(label_for_field(column, model, shown)) for column in columns]
    assert {name for name in bare if name.isascii()} <= SAME_IN_BOTH


def test_every_list_can_be_searched_and_begins_with_the_newest() -> None:
    for model, shown in OURS.items():
        assert shown.search_fields, model
        assert shown.ordering == ("-pk",), model


def test_what_services_write_is_only_read_here(olga: User) -> None:
    request = RequestFactory().get("/")
    request.user = olga
    for model, shown in OURS.items():
        assert not shown.has_add_permission(request), model
        assert not shown.has_change_permission(request), model
        assert not shown.has_delete_permission(request), model
