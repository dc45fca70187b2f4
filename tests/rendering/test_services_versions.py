"""Publishing, restoring, deleting; and presets."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.http import Http404

from projects.models import AuditEvent, Presenter, Project, Script, Team
from projects.problems import HeyGemError
from rendering import access
from rendering.cells import CellKey
from rendering.models import Board, Deliverable, Preset
from rendering.services import presets, versions
from rendering.services.batches import start_batch
from tests.rendering import making


def test_the_first_version_is_published_by_itself_and_the_next_waits_for_eyes(bob: User, team: Team) -> None:
    project = making.ready_project(team, rows=1, columns=1)
    start_batch(actor=bob, project=project)
    first = making.succeed_next()
    wide = presets.create_preset(actor=bob, team=team, name="Wide", amplitude=1.2)
    cell = first.deliverable
    key = CellKey(cell.presenter.public_id, cell.script.public_id, cell.language)
    start_batch(actor=bob, project=project, cells=[key], preset=wide)
    second = making.succeed_next()
    assert (first.number, second.number) == (1, 2)
    assert Deliverable.objects.get().published == first


def test_a_reviewer_publishes_and_restores(rita: User, project: Project, presenter: Presenter, script: Script) -> None:
    first = making.version(project, presenter, script)
    second = making.version(project, presenter, script)
    versions.publish(actor=rita, version=second)
    assert Deliverable.objects.get().published == second
    before = Board.objects.get().revision
    versions.publish(actor=rita, version=first)
    assert Deliverable.objects.get().published == first
    assert Board.objects.get().revision > before, "open boards hear of it"
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["version.published", "version.restored"]


def test_who_may_publish(victor: User, charlie: User, project: Project, presenter: Presenter, script: Script) -> None:
    making.version(project, presenter, script)
    second = making.version(project, presenter, script)
    with pytest.raises(HeyGemError, match="not_allowed"):
        versions.publish(actor=victor, version=second)
    with pytest.raises(Http404):
        versions.publish(actor=charlie, version=second)


def test_a_published_version_cannot_be_deleted_but_others_can(
    bob: User, mona: User, project: Project, presenter: Presenter, script: Script
) -> None:
    first = making.version(project, presenter, script)
    second = making.version(project, presenter, script)
    with pytest.raises(HeyGemError, match="published_version"):
        versions.delete_version(actor=mona, version=first)
    with pytest.raises(HeyGemError, match="not_allowed"):
        versions.delete_version(actor=bob, version=second)
    versions.delete_version(actor=mona, version=second)
    assert list(Deliverable.objects.get().versions.all()) == [first]


def test_cells_and_versions_are_there_for_members_alone(
    victor: User, charlie: User, project: Project, presenter: Presenter, script: Script
) -> None:
    version = making.version(project, presenter, script)
    assert access.get_version_for_user(victor, version.public_id) == version
    assert access.get_deliverable_for_user(victor, version.deliverable.public_id) == version.deliverable
    for lookup, thing in (
        (access.get_version_for_user, version),
        (access.get_deliverable_for_user, version.deliverable),
    ):
        with pytest.raises(Http404):
            lookup(charlie, thing.public_id)


def test_a_team_has_one_default_preset_from_the_start(bob: User, team: Team) -> None:
    standard = presets.default_preset(team)
    assert presets.default_preset(team) == standard
    mine = presets.create_preset(actor=bob, team=team, name="Mine", crf=22, speed="fast")
    presets.make_default(actor=bob, preset=mine)
    assert presets.default_preset(team) == mine
    presets.delete_preset(actor=bob, preset=standard)
    with pytest.raises(HeyGemError, match="default_preset"):
        presets.delete_preset(actor=bob, preset=mine)


@pytest.mark.parametrize("wrong", [{"crf": 99}, {"amplitude": 9.0}, {"speed": "warp"}, {"when_shorter": "never"}])
def test_a_preset_out_of_range_is_refused(bob: User, team: Team, wrong: dict[str, object]) -> None:
    with pytest.raises(HeyGemError, match="bad_preset"):
        presets.create_preset(actor=bob, team=team, name="Wrong", **wrong)
    assert not Preset.objects.filter(name="Wrong").exists()


def test_two_presets_of_a_team_have_two_names(bob: User, victor: User, team: Team) -> None:
    presets.create_preset(actor=bob, team=team, name="Mine")
    with pytest.raises(HeyGemError, match="preset_name_taken"):
        presets.create_preset(actor=bob, team=team, name="Mine")
    with pytest.raises(HeyGemError, match="not_allowed"):
        presets.create_preset(actor=victor, team=team, name="Yours")
