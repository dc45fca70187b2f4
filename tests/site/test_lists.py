"""Pages that people open all day ask the database the same number of times, however much there is to show."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from projects.models import AuditEvent, Project, Team
from rendering.models import Export, RenderJob
from tests import factories
from tests.cast import browser
from tests.rendering import making, teaching

PAGES: dict[str, Callable[[Project], str]] = {
    "front page": lambda project: reverse("rendering:home"),
    "board": lambda project: reverse("rendering:board", args=[project.public_id]),
    "board, what changed": lambda project: reverse("rendering:board_changes", args=[project.public_id]) + "?since=0",
    "presenters": lambda project: reverse("projects:presenters", args=[project.team.public_id]),
    "presenter": lambda project: reverse("projects:presenter", args=[project.presenters.first().public_id]),
    "preset": lambda project: reverse("rendering:preset_new", args=[project.team.public_id]),
    "scripts": lambda project: reverse("projects:scripts", args=[project.team.public_id]),
    "exports": lambda project: reverse("rendering:exports", args=[project.team.public_id]),
    "members": lambda project: reverse("projects:members", args=[project.team.public_id]),
    "team settings": lambda project: reverse("projects:team_settings", args=[project.team.public_id]),
    **{
        f"api {name}": lambda project, name=name: f"/api/v1/{name}/"  # type: ignore[misc]
        for name in (
            "projects",
            "presenters",
            "scripts",
            "footage",
            "takes",
            "batches",
            "jobs",
            "versions",
            "exports",
            "mouths",
        )
    },
}


@pytest.fixture
def filled(alice: User, team: Team) -> Callable[[int], Project]:
    """``filled(n)``: a board of n cells with versions, and n of everything else besides."""

    def fill(number: int) -> Project:
        project = making.ready_project(team, rows=number, columns=1)
        for row in project.presenters.all():
            for column in project.scripts.all():
                made = making.version(project, row, column, maker=alice)
                making.version(project, row, column, maker=alice)
                export = Export.objects.create(team=team, project=project, created_by=alice, name="a.zip")
                export.versions.add(made)
            factories.member(team)
            teaching.model(row.footage.get())
            AuditEvent.objects.create(team=team, action="footage.uploaded", label="by a program")
        return project

    return fill


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_no_more_often_when_there_is_more(alice: User, filled: Callable[[int], Project], name: str) -> None:
    client = browser(alice)

    def asked(project: Project) -> int:
        address = PAGES[name](project)
        client.get(address)  # what is made at the first visit is there
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code in (200, 204)
        return len(queries)

    few = asked(filled(2))
    assert asked(filled(6)) <= few


def test_a_cell_with_a_long_history_asks_no_more_often(alice: User, filled: Callable[[int], Project]) -> None:
    project = filled(1)
    cell = project.deliverables.get()
    client, address = browser(alice), reverse("rendering:cell", args=[cell.public_id])
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for _ in range(5):
        making.version(project, cell.presenter, cell.script, maker=alice)
    with CaptureQueriesContext(connection) as many:
        client.get(address)
    assert len(many) <= len(few)


def test_a_long_list_of_the_api_first_asks_which_rows_and_joins_nothing_to_them(alice: User, team: Team) -> None:
    """Otherwise the newest rows of everybody would be read, with all that belongs to them, until enough are met."""
    making.ready_project(team)
    with CaptureQueriesContext(connection) as queries:
        assert browser(alice).get("/api/v1/jobs/").status_code == 200
    (which,) = [query["sql"] for query in queries if f'FROM "{RenderJob._meta.db_table}"' in query["sql"]][:1]
    assert "JOIN" not in which.partition(" WHERE ")[0]
    assert '("rendering_renderjob"."id" + 0) AS "place"' in which


def test_what_a_program_did_is_told_without_a_name(alice: User, team: Team) -> None:
    AuditEvent.objects.create(team=team, action="footage.uploaded", label="clip.mp4")
    page = browser(alice).get(reverse("projects:team_settings", args=[team.public_id]))
    assert "clip.mp4" in page.content.decode()
