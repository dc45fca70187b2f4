"""Presenters, footage, scripts and projects: what each action changes, and who is refused."""

from __future__ import annotations

import pytest
from django_q.models import OrmQ

from projects.models import AnalysisState, AuditEvent, Role
from projects.problems import HeyGemError
from projects.services import footage, presenters, projects, scripts
from tests import factories


def code_of(call, **arguments) -> str:
    with pytest.raises(HeyGemError) as error:
        call(**arguments)
    return error.value.code


def test_new_footage_waits_and_wakes_one_analyser(team, bob, presenter):
    made = footage.add_footage(actor=bob, presenter=presenter, blob=factories.blob(team), name="früh/..\\晨.MP4")
    assert (made.state, made.name) == (AnalysisState.WAITING, "晨.MP4")
    assert [ticket.task["func"] for ticket in OrmQ.objects.all()] == ["rendering.tasks.analyse"]
    assert AuditEvent.objects.get(action="footage.uploaded").subject == made.public_id


def test_the_newest_footage_again_is_the_same_footage(team, bob, presenter):
    blob = factories.blob(team)
    first = footage.add_footage(actor=bob, presenter=presenter, blob=blob, name="a.mp4")
    assert footage.add_footage(actor=bob, presenter=presenter, blob=blob, name="b.mp4") == first
    assert OrmQ.objects.count() == 1


def test_a_viewer_may_not_add_footage_and_nothing_is_left_behind(team, victor, presenter):
    blob = factories.blob(team)
    assert code_of(footage.add_footage, actor=victor, presenter=presenter, blob=blob, name="a.mp4") == "not_allowed"
    assert not presenter.footage.exists()
    assert not OrmQ.objects.exists()
    assert not AuditEvent.objects.exists()


def test_refused_footage_can_be_looked_at_again_but_not_twice_at_once(bob, presenter):
    refused = factories.footage(presenter, AnalysisState.REFUSED, findings=[{"code": "no_face", "level": "refused"}])
    again = footage.reanalyse_footage(actor=bob, footage=refused)
    assert (again.state, again.error_code, again.findings) == (AnalysisState.WAITING, "", [])
    assert code_of(footage.reanalyse_footage, actor=bob, footage=refused) == "still_analysing"
    assert OrmQ.objects.count() == 1


def test_archiving_hides_and_restoring_brings_back(bob, presenter):
    presenters.archive_presenter(actor=bob, presenter=presenter)
    presenter.refresh_from_db()
    assert presenter.archived_at is not None
    presenters.restore_presenter(actor=bob, presenter=presenter)
    presenter.refresh_from_db()
    assert presenter.archived_at is None
    assert set(AuditEvent.objects.values_list("action", flat=True)) == {"presenter.archived", "presenter.restored"}


def test_a_name_is_one_clean_line_in_any_script(team, bob):
    made = presenters.create_presenter(actor=bob, team=team, name="  王 小\n明\u202e \x00 ")
    assert made.name == "王 小 明"
    assert code_of(presenters.create_presenter, actor=bob, team=team, name=" \n ") == "name_missing"


def test_a_change_of_words_is_a_new_version_and_the_same_words_are_not(bob, script):
    first = scripts.write_version(actor=bob, script=script, language="EN", text="Hello.\r\nYou.")
    same = scripts.write_version(actor=bob, script=script, language="en", text="Hello.\nYou.\n")
    second = scripts.write_version(actor=bob, script=script, language="en", text="Hi.")
    other = scripts.write_version(actor=bob, script=script, language="zh_CN", text="你好。")
    assert (first.number, same, second.number) == (1, first, 2)
    assert (other.language, other.number) == ("zh-hans", 1)


def test_a_take_belongs_to_the_newest_words_of_its_language(team, bob, script):
    scripts.write_version(actor=bob, script=script, language="en", text="Old.")
    newest = scripts.write_version(actor=bob, script=script, language="en", text="New.")
    blob = factories.blob(team, content_type="audio/wav")
    take = scripts.add_take(actor=bob, script=script, language="en", blob=blob, name="take.wav")
    wordless = scripts.add_take(actor=bob, script=script, language="fr", blob=blob, name="prise.wav")
    assert take.script_version == newest
    assert (wordless.script_version.language, wordless.script_version.text) == ("fr", "")
    written = scripts.write_version(actor=bob, script=script, language="fr", text="Bonjour.")
    scripts.write_version(actor=bob, script=script, language="fr", text="Bonsoir.")
    wordless.refresh_from_db()
    assert wordless.script_version == written, "the first words written down are those of the recording"
    assert scripts.add_take(actor=bob, script=script, language="en", blob=blob, name="again.wav") == take


def test_words_that_were_only_corrected_are_those_of_the_recording_when_somebody_says_so(team, bob, victor, script):
    wrong = scripts.write_version(actor=bob, script=script, language="en", text="Helo.")
    take = factories.take(script, script_version=wrong)
    newest = scripts.write_version(actor=bob, script=script, language="en", text="Hello.")
    take.refresh_from_db()
    assert take.script_version != newest
    assert code_of(scripts.take_says_newest, actor=victor, take=take) == "not_allowed"
    for _ in range(2):
        assert scripts.take_says_newest(actor=bob, take=take).script_version == newest
    event = AuditEvent.objects.get(action="take.words_chosen")
    assert (event.detail["was"], event.detail["number"]) == (1, 2)


@pytest.mark.parametrize("tag", ["", "english", "en us", "../etc", "x" * 20])
def test_a_language_must_be_a_tag(bob, script, tag):
    assert code_of(scripts.write_version, actor=bob, script=script, language=tag, text="a") == "bad_language"


def test_the_board_keeps_its_order_and_takes_nothing_twice(team, bob):
    ada, ben = factories.presenter(team, "Ada"), factories.presenter(team, "Ben")
    made = projects.create_project(actor=bob, team=team, name="Spring", presenters=[ben], scripts=[])
    projects.add_presenters(actor=bob, project=made, presenters=[ada, ben])
    assert [row.presenter.name for row in made.rows.all()] == ["Ben", "Ada"]
    projects.remove_presenter(actor=bob, project=made, presenter=ben)
    assert [row.presenter.name for row in made.rows.all()] == ["Ada"]


def test_a_board_refuses_what_belongs_to_another_team(bob, charlie, project):
    theirs = factories.presenter(charlie.teams.get())
    with pytest.raises(ValueError, match="own team"):
        projects.add_presenters(actor=bob, project=project, presenters=[theirs])


@pytest.mark.parametrize(
    "template", ["{secret}", "{presenter.team}", "{presenter!r}", "{version:>9999}", "{open", "{}"]
)
def test_file_names_hold_only_the_known_words(bob, project, template):
    assert code_of(projects.set_file_name_template, actor=bob, project=project, template=template) == "bad_template"


def test_a_good_template_is_kept(bob, project):
    projects.set_file_name_template(actor=bob, project=project, template="{project} {{x}} {date} 第{version}版")
    project.refresh_from_db()
    assert project.file_name_template == "{project} {{x}} {date} 第{version}版"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER])
def test_readers_and_reviewers_change_nothing(team, project, presenter, script, role):
    reader = factories.member(team, role)
    refused = [
        code_of(presenters.create_presenter, actor=reader, team=team, name="x"),
        code_of(presenters.rename_presenter, actor=reader, presenter=presenter, name="x"),
        code_of(presenters.archive_presenter, actor=reader, presenter=presenter),
        code_of(scripts.create_script, actor=reader, team=team, title="x"),
        code_of(scripts.write_version, actor=reader, script=script, language="en", text="x"),
        code_of(scripts.archive_script, actor=reader, script=script),
        code_of(projects.create_project, actor=reader, team=team, name="x"),
        code_of(projects.rename_project, actor=reader, project=project, name="x"),
        code_of(projects.remove_presenter, actor=reader, project=project, presenter=presenter),
        code_of(projects.archive_project, actor=reader, project=project),
    ]
    assert set(refused) == {"not_allowed"}


FACES = [[0.1, 0.2, 0.2, 0.4], [0.6, 0.25, 0.2, 0.3]]


def test_choosing_a_face_has_the_footage_looked_at_again_at_that_face(bob, presenter):
    made = factories.footage(presenter, AnalysisState.WARNINGS, faces=FACES, presenter_face=0)
    chosen = footage.choose_face(actor=bob, footage=made, number=1)
    assert chosen.chosen_face == [0.7, 0.4]
    assert (chosen.state, chosen.findings) == (AnalysisState.WAITING, [])
    event = AuditEvent.objects.get(action="footage.face_chosen")
    assert (event.subject, event.detail["face"]) == (made.public_id, 2)
    assert [ticket.task["func"] for ticket in OrmQ.objects.all()] == ["rendering.tasks.analyse"]
    assert code_of(footage.choose_face, actor=bob, footage=made, number=0) == "still_analysing"


def test_the_same_face_chosen_by_two_people_is_looked_for_once(alice, bob, presenter):
    made = factories.footage(presenter, faces=FACES, presenter_face=0)
    footage.choose_face(actor=bob, footage=made, number=1)
    assert footage.choose_face(actor=alice, footage=made, number=1).chosen_face == [0.7, 0.4]
    assert AuditEvent.objects.filter(action="footage.face_chosen").count() == 1


def test_the_face_that_is_followed_already_costs_no_second_look(bob, presenter):
    made = factories.footage(presenter, faces=FACES, presenter_face=1)
    assert footage.choose_face(actor=bob, footage=made, number=1).state == AnalysisState.READY
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize("number", [-1, 2])
def test_a_face_that_was_not_seen_cannot_be_chosen(bob, presenter, number):
    made = factories.footage(presenter, faces=FACES, presenter_face=0)
    assert code_of(footage.choose_face, actor=bob, footage=made, number=number) == "no_such_face"
    alone = factories.footage(presenter)
    assert code_of(footage.choose_face, actor=bob, footage=alone, number=0) == "no_such_face"


def test_a_viewer_may_not_choose_a_face(victor, presenter):
    made = factories.footage(presenter, faces=FACES, presenter_face=0)
    assert code_of(footage.choose_face, actor=victor, footage=made, number=1) == "not_allowed"
    made.refresh_from_db()
    assert made.chosen_face is None
