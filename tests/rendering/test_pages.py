"""The board, the cell page and the front page, as a browser asks for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from pytest_django.fixtures import DjangoAssertNumQueries

from projects.models import Footage, Project, Team
from rendering import selectors
from rendering.cells import CellKey
from rendering.models import RenderJob, RenderVersion
from rendering.services.batches import start_batch
from rendering.services.presets import create_preset, default_preset
from rendering.templatetags.board import quality_figures, remaining, steps, sync_word
from tests import factories
from tests.rendering.making import claim_next, fail_next, ready_project, succeed_all, succeed_next

SignIn = Callable[[User], Client]


@pytest.fixture
def sign_in() -> SignIn:
    def sign_in(person: User) -> Client:
        client = Client()
        client.force_login(person)
        return client

    return sign_in


@pytest.fixture
def board(team: Team) -> Project:
    default_preset(team)
    return ready_project(team)


def keys(project: Project) -> list[CellKey]:
    return [cell.key for cell in selectors.board(project).cells]


def url(project: Project, name: str = "") -> str:
    return f"/projects/{project.public_id}/{name}"


def test_the_board_shows_every_cell_under_its_key(board: Project, bob: User, sign_in: SignIn) -> None:
    page = sign_in(bob).get(url(board)).content.decode()
    assert [f'data-key="{key}"' in page for key in keys(board)] == [True] * 4
    assert page.count('role="gridcell"') == 4


def test_a_larger_board_asks_the_database_no_more_often(
    team: Team, bob: User, sign_in: SignIn, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    default_preset(team)
    client = sign_in(bob)
    for rows, columns in ((1, 1), (6, 4)):
        project = ready_project(team, rows=rows, columns=columns)
        start_batch(actor=bob, project=project)
        with django_assert_max_num_queries(45):
            assert client.get(url(project)).status_code == 200


def test_nothing_comes_back_while_nothing_changes(board: Project, bob: User, sign_in: SignIn) -> None:
    revision = selectors.board(board).revision
    answer = sign_in(bob).get(url(board, "changes"), {"since": revision})
    assert answer.status_code == 204
    assert "HX-Refresh" not in answer


def test_only_the_cells_that_changed_come_back(board: Project, bob: User, sign_in: SignIn) -> None:
    start_batch(actor=bob, project=board, cells=keys(board)[:1])
    since = selectors.board(board).revision
    succeed_next()
    answer = sign_in(bob).get(url(board, "changes"), {"since": since}).content.decode()
    assert answer.count('role="gridcell"') == 1
    assert f'data-key="{keys(board)[0]}" data-state="done"' in answer
    assert 'id="board-status"' in answer


def test_another_layout_loads_the_page_again(board: Project, bob: User, sign_in: SignIn) -> None:
    answer = sign_in(bob).get(url(board, "changes"), {"since": 0, "layout": "an older one"})
    assert (answer.status_code, answer["HX-Refresh"]) == (204, "true")


@pytest.mark.parametrize("since", ["", "x", "-1", "9" * 40, "²"])
def test_a_revision_that_never_was_does_no_harm(board: Project, bob: User, sign_in: SignIn, since: str) -> None:
    assert sign_in(bob).get(url(board, "changes"), {"since": since}).status_code in (200, 204)


def test_chosen_cells_are_queued_and_the_answer_shows_them(board: Project, bob: User, sign_in: SignIn) -> None:
    chosen = keys(board)[:2]
    answer = sign_in(bob).post(url(board, "render/"), {"cell": [str(key) for key in chosen], "since": 0})
    page = answer.content.decode()
    assert "2 cells are in line." in page
    assert page.count('data-state="queued"') >= 2
    assert RenderJob.objects.count() == 2


def test_a_batch_is_rendered_with_the_preset_that_was_chosen(board: Project, bob: User, sign_in: SignIn) -> None:
    lively = create_preset(actor=bob, team=board.team, name="Lively", amplitude=1.3)
    sign_in(bob).post(url(board, "render/"), {"all": "1", "preset": lively.public_id})
    assert RenderJob.objects.first().batch.preset["amplitude"] == 1.3  # type: ignore[union-attr]


def test_another_teams_preset_is_not_there(board: Project, bob: User, sign_in: SignIn) -> None:
    other = default_preset(factories.team("Others"))
    answer = sign_in(bob).post(url(board, "render/"), {"all": "1", "preset": other.public_id})
    assert answer.status_code == 404
    assert not RenderJob.objects.exists()


def test_what_was_never_a_cell_is_not_there(board: Project, bob: User, sign_in: SignIn) -> None:
    assert sign_in(bob).post(url(board, "render/"), {"cell": "nonsense"}).status_code == 404


def test_a_refusal_becomes_a_message_beside_the_board(board: Project, bob: User, sign_in: SignIn) -> None:
    answer = sign_in(bob).post(url(board, "retry/"), headers={"HX-Request": "true"})
    assert answer.status_code == 409
    assert answer["HX-Retarget"] == "#toasts"
    assert "Nothing here has failed." in answer.content.decode()


def test_cells_that_cannot_be_rendered_are_named_with_their_reason(board: Project, bob: User, sign_in: SignIn) -> None:
    start_batch(actor=bob, project=board, cells=keys(board)[:1])
    answer = sign_in(bob).post(url(board, "render/"), {"cell": [str(key) for key in keys(board)[:2]]})
    page = answer.content.decode()
    assert "1 cell is in line." in page
    assert "1 left out: This cell is being rendered already." in page


def test_a_failure_is_told_in_the_cell_and_tried_again(board: Project, bob: User, sign_in: SignIn) -> None:
    start_batch(actor=bob, project=board, cells=keys(board)[:1])
    fail_next("face_lost")
    client = sign_in(bob)
    assert "The face is out of sight for too long." in client.get(url(board)).content.decode()
    assert "1 cell is tried again." in client.post(url(board, "retry/")).content.decode()


def test_cancelling_everything_stops_what_one_may_stop(board: Project, alice: User, bob: User, sign_in: SignIn) -> None:
    start_batch(actor=alice, project=board, cells=keys(board)[:1])
    start_batch(actor=bob, project=board, cells=keys(board)[1:2])
    assert "1 render was cancelled." in sign_in(bob).post(url(board, "cancel/"), {"all": "1"}).content.decode()
    assert "1 render was cancelled." in sign_in(alice).post(url(board, "cancel/"), {"all": "1"}).content.decode()


def test_a_zip_of_nothing_is_refused(board: Project, bob: User, sign_in: SignIn) -> None:
    assert sign_in(bob).post(url(board, "export/")).status_code == 409


def test_a_zip_sends_to_the_downloads(board: Project, bob: User, sign_in: SignIn) -> None:
    start_batch(actor=bob, project=board)
    succeed_all()
    client = sign_in(bob)
    target = client.post(url(board, "export/"), {"all": "1"})["HX-Redirect"]
    assert "4 videos" in client.get(target).content.decode()


def test_the_first_version_loads_the_cell_page_again_and_a_later_one_is_announced(
    board: Project, bob: User, sign_in: SignIn
) -> None:
    start_batch(actor=bob, project=board, cells=keys(board)[:1])
    client = sign_in(bob)
    cell = RenderJob.objects.get().deliverable
    changes = f"/cells/{cell.public_id}/changes"
    assert "hx-trigger" in client.get(changes, {"shown": ""}).content.decode()
    succeed_next()
    assert client.get(changes, {"shown": ""})["HX-Refresh"] == "true"

    lively = create_preset(actor=bob, team=board.team, name="Lively", amplitude=1.3)
    client.post(f"/cells/{cell.public_id}/render/", {"preset": lively.public_id})
    succeed_next()
    page = client.get(changes, {"shown": "1"}).content.decode()
    assert "Version 2 is ready." in page
    assert "hx-trigger" not in page
    page = client.get(f"/cells/{cell.public_id}/").content.decode()
    assert f'value="{lively.public_id}" selected' in page, "the way it was made last is at hand for the next time"


def test_a_version_that_never_was_is_not_there(board: Project, bob: User, sign_in: SignIn) -> None:
    start_batch(actor=bob, project=board, cells=keys(board)[:1])
    cell = succeed_next().deliverable
    assert sign_in(bob).get(f"/cells/{cell.public_id}/", {"version": "7"}).status_code == 404


def test_one_version_alone_is_not_compared(board: Project, bob: User, sign_in: SignIn) -> None:
    start_batch(actor=bob, project=board, cells=keys(board)[:1])
    cell = succeed_next().deliverable
    assert sign_in(bob).get(f"/cells/{cell.public_id}/compare/")["Location"] == f"/cells/{cell.public_id}/"


def test_a_video_of_footage_with_several_faces_leads_to_the_choice(board: Project, bob: User, sign_in: SignIn) -> None:
    start_batch(actor=bob, project=board, cells=keys(board)[:1])
    made = succeed_next()
    address = f"/cells/{made.deliverable.public_id}/"
    assert "several faces" not in sign_in(bob).get(address).content.decode()
    Footage.objects.update(faces=[[0.1, 0.2, 0.2, 0.4], [0.6, 0.25, 0.2, 0.3]])
    assert "several faces" in sign_in(bob).get(address).content.decode()


def test_trying_it_makes_a_board_of_one_and_opens_its_cell(team: Team, bob: User, sign_in: SignIn) -> None:
    footage, take = factories.footage(factories.presenter(team, "Ann")), factories.take(factories.script(team, "Hi"))
    answer = sign_in(bob).post(f"/t/{team.public_id}/try/", {"footage": footage.public_id, "take": take.public_id})
    job = RenderJob.objects.get()
    assert answer["Location"] == f"/cells/{job.deliverable.public_id}/"
    assert job.deliverable.project.name == "Ann - Hi"


def test_trying_it_with_another_teams_footage_is_not_possible(team: Team, bob: User, sign_in: SignIn) -> None:
    other = factories.team("Bob's own", owner=bob)
    footage, take = factories.footage(factories.presenter(other)), factories.take(factories.script(team))
    answer = sign_in(bob).post(f"/t/{team.public_id}/try/", {"footage": footage.public_id, "take": take.public_id})
    assert answer.status_code == 404
    assert not RenderJob.objects.exists()


def test_a_preset_out_of_range_is_refused_beside_its_field(team: Team, bob: User, sign_in: SignIn) -> None:
    client = sign_in(bob)
    values = {"name": "Loud", "amplitude": "9", "when_shorter": "cut", "crf": "18", "speed": "fast"}
    page = client.post(f"/t/{team.public_id}/presets/new/", values).content.decode()
    assert "field-error" in page
    assert client.post(f"/t/{team.public_id}/presets/new/", values | {"amplitude": "1.5"}).status_code == 302
    again = client.post(f"/t/{team.public_id}/presets/new/", values | {"amplitude": "1.5"}).content.decode()
    assert "The team has a preset of that name already." in again


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (4, "a few seconds"),
        (40, "less than a minute"),
        (58, "about 1 minute"),
        (200, "about 3 minutes"),
        (3500, "about 58 minutes"),
        (3590, "about 1 hour"),
        (9000, "about 2 hours"),
    ],
)
def test_an_estimate_is_a_round_one(seconds: float | None, words: str) -> None:
    with translation.override("en"):
        assert remaining(seconds) == words


@pytest.mark.parametrize(("share", "meaning"), [(0.94, "lips close"), (0.31, "too few")])
def test_a_version_tells_whether_the_words_were_found(share: float, meaning: str) -> None:
    (figure,) = quality_figures(RenderVersion(quality={"text_followed": share}))
    assert figure.value == f"{100 * share:.0f} %"
    assert figure.meaning.startswith(meaning)
    assert quality_figures(RenderVersion(quality={"text_followed": None})) == []


def test_a_sync_score_has_a_word() -> None:
    with translation.override("en"):
        assert [sync_word(score) for score in (None, 0.2, 0.4, 0.6)] == ["not measured", "weak", "fair", "good"]


def test_the_way_to_a_video_shows_where_the_work_is(board: Project, bob: User) -> None:
    start_batch(actor=bob, project=board, cells=keys(board)[:1])
    job = claim_next().job
    assert [step.state for step in steps(selectors.cell(job.deliverable))] == ["now", "next", "next", "next", "next"]
    RenderJob.objects.update(stage="compose")
    assert [step.state for step in steps(selectors.cell(job.deliverable))] == ["past", "past", "past", "now", "next"]
    RenderJob.objects.update(stage="publish")
    assert [step.state for step in steps(selectors.cell(job.deliverable))] == ["past"] * 5
