"""Limits of a team: set by operators, kept when work is ordered, and told in words."""

from __future__ import annotations

import pytest
from django.http import Http404
from django.utils import translation

from projects import selectors as projects_selectors
from projects.models import AnalysisState, AudioTake, AuditEvent, Footage, MediaBlob, TeamLimits
from projects.problems import HeyGemError
from projects.services import analysis
from rendering.models import JobState, RenderJob
from rendering.selectors import board, usage
from rendering.services import batches, deliverables, limits, presets
from tests import factories
from tests.rendering import making


@pytest.fixture
def operator(db):
    return factories.user("olga", is_staff=True)


def allow(team, **fields):
    TeamLimits.objects.update_or_create(team=team, defaults=fields)


def ready(team, *, rows=3, seconds=30.0):
    """``rows`` cells, each a video of ``seconds``."""
    project = making.ready_project(team, rows=rows, columns=1)
    AudioTake.objects.filter(script_version__script__team=team).update(duration_s=seconds)
    return project


def refusal(act) -> HeyGemError:
    with pytest.raises(HeyGemError) as caught:
        act()
    return caught.value


def setting(operator, team, **limits_):
    none = dict.fromkeys(("storage_bytes", "render_minutes", "file_bytes", "take_seconds"))
    return limits.set_limits(actor=operator, team=team, **(none | limits_))


# Setting them


def test_an_operator_sets_limits_and_the_audit_log_says_what_they_were(operator, team):
    setting(operator, team, storage_bytes=5 << 30, reason="paid for five")
    setting(operator, team, storage_bytes=9 << 30, render_minutes=60)
    kept = TeamLimits.objects.get(team=team)
    assert (kept.storage_bytes, kept.render_minutes, kept.file_bytes) == (9 << 30, 60, None)
    last, first = AuditEvent.objects.filter(action="team.limits_changed")
    assert first.detail == {"was": {"storage_bytes": None}, "storage_bytes": 5 << 30, "reason": "paid for five"}
    assert last.detail["was"] == {"storage_bytes": 5 << 30, "render_minutes": None}


def test_saving_the_same_again_is_no_news(operator, team):
    setting(operator, team, render_minutes=60)
    setting(operator, team, render_minutes=60)
    assert AuditEvent.objects.filter(action="team.limits_changed").count() == 1


@pytest.mark.parametrize(
    "wrong", [{"storage_bytes": 0}, {"render_minutes": -1}, {"take_seconds": 90_000}, {"file_bytes": 12}]
)
def test_senseless_limits_are_refused(operator, team, wrong):
    assert refusal(lambda: setting(operator, team, **wrong)).code == "bad_limit"


def test_nobody_but_operators_sets_limits(alice, team):
    with pytest.raises(Http404):
        setting(alice, team, render_minutes=1)


# Render minutes


def test_what_fits_into_the_month_is_rendered(team, bob):
    allow(team, render_minutes=2)
    batches.start_batch(actor=bob, project=ready(team))
    assert RenderJob.objects.count() == 3


def test_what_does_not_fit_is_refused_as_a_whole_with_how_much_would(team, bob):
    allow(team, render_minutes=1)
    project = ready(team)
    told = refusal(lambda: batches.start_batch(actor=bob, project=project))
    assert told.code == "render_minutes_short"
    assert "1.0 of 1 render minutes left" in told.sentence
    assert "3 videos need 1.5" in told.sentence
    assert "The first 2 of them fit" in told.remedy
    assert not RenderJob.objects.exists()


def test_what_waits_and_what_was_made_both_count(team, bob):
    allow(team, render_minutes=1)
    first, second = ready(team, rows=1), ready(team, rows=2)
    batches.start_batch(actor=bob, project=first)
    making.succeed_all()
    cells = [cell.key for row in board(second).rows for cell in row.cells]
    batches.start_batch(actor=bob, project=second, cells=cells[:1])
    told = refusal(lambda: batches.start_batch(actor=bob, project=second, cells=cells[1:]))
    assert told.code == "render_minutes_short" or told.code == "render_minutes_spent"
    assert "left this month" in told.sentence


def test_when_nothing_is_left_nothing_starts_not_even_what_has_no_length_yet(team, bob):
    allow(team, render_minutes=1)
    batches.start_batch(actor=bob, project=ready(team, rows=2))
    fresh = making.ready_project(team, rows=1, columns=1)
    takes = AudioTake.objects.filter(script_version__script__projects=fresh)
    takes.update(duration_s=None, state=AnalysisState.WAITING)
    told = refusal(lambda: batches.start_batch(actor=bob, project=fresh))
    assert told.code == "render_minutes_spent"
    assert "0.0 of 1" in told.sentence


def test_a_recording_whose_length_becomes_known_later_takes_back_what_goes_too_far(team, bob):
    allow(team, render_minutes=1)
    project = ready(team, rows=3)
    takes = AudioTake.objects.filter(script_version__script__team=team)
    takes.update(duration_s=None, state=AnalysisState.WAITING)
    batches.start_batch(actor=bob, project=project)
    take = takes.get()
    takes.update(duration_s=25.0, state=AnalysisState.READY)
    deliverables.material_settled(take)
    states = [(job.state, job.error_code) for job in RenderJob.objects.order_by("pk")]
    assert states == [(JobState.QUEUED, ""), (JobState.QUEUED, ""), (JobState.FAILED, "render_minutes_over")]


def test_what_the_team_made_before_is_free_however_little_is_left(team, bob):
    project = ready(team, rows=1)
    batches.start_batch(actor=bob, project=project)
    (version,) = making.succeed_all()
    version.delete()
    again = making.version(
        factories.project(team), project.presenters.get(), project.scripts.get(), fingerprint=version.fingerprint
    )
    allow(team, render_minutes=1)
    AudioTake.objects.filter(script_version__script__team=team).update(duration_s=600.0)
    batches.start_batch(actor=bob, project=project, cells=[board(project).rows[0].cells[0].key])
    assert RenderJob.objects.order_by("-pk")[0].state == JobState.SUCCEEDED
    assert again.fingerprint == version.fingerprint


def test_a_preset_that_keeps_the_footages_length_costs_that_length(team, bob):
    allow(team, render_minutes=1)
    project = ready(team, rows=1, seconds=30.0)
    Footage.objects.update(duration_s=90.0)
    preset = presets.default_preset(team)
    preset.when_shorter = "rest"
    assert (
        refusal(lambda: batches.start_batch(actor=bob, project=project, preset=preset)).code == "render_minutes_spent"
    )
    allow(team, render_minutes=2)
    batches.start_batch(actor=bob, project=project, preset=preset)
    assert usage.usage(team).planned_seconds == 90.0


def test_trying_again_is_bound_by_the_same_minutes(team, bob):
    project = ready(team, rows=1)
    batch = batches.start_batch(actor=bob, project=project)
    making.fail_next("io_error")
    allow(team, render_minutes=1)
    AudioTake.objects.update(duration_s=90.0)
    told = refusal(lambda: batches.retry_failed(actor=bob, batch=batch))
    assert told.code == "render_minutes_spent"
    assert "this needs 1.5" in told.sentence


# Storage


def test_a_team_that_has_used_its_storage_starts_nothing_more(team, bob):
    project = ready(team)
    MediaBlob.objects.filter(pk=project.presenters.first().footage.get().blob_id).update(size=20 << 20)
    allow(team, storage_bytes=10 << 20)
    told = refusal(lambda: batches.start_batch(actor=bob, project=project))
    assert told.code == "team_storage_spent"
    assert "10.0\xa0MB" in told.sentence


# The longest take


def measured(team, seconds):
    take = factories.take(factories.script(team), state=AnalysisState.WAITING)
    claim = analysis.claim_for_analysis()
    assert claim is not None
    fields = {"duration_s": seconds, "loudness_lufs": -16.0, "peak_dbfs": -1.0, "waveform": [], "speech_spans": []}
    analysis.finish_take(claim, measured=fields, findings=[])
    take.refresh_from_db()
    return take


def test_a_take_longer_than_the_team_may_use_is_refused_in_words_that_say_the_limit(team):
    allow(team, take_seconds=90)
    take = measured(team, 90.4)
    assert (take.state, take.error_code, take.duration_s) == (AnalysisState.REFUSED, "take_over_limit", 90.4)
    (found,) = projects_selectors.findings(take)
    assert "1:30 minutes" in found.sentence
    with translation.override("zh-hans"):
        (found,) = projects_selectors.findings(take)
        assert "1:30" in found.sentence


def test_the_board_says_the_limit_too(team):
    allow(team, take_seconds=90)
    take = measured(team, 100)
    presenter = factories.presenter(team)
    factories.footage(presenter)
    project = factories.project(team, presenters=[presenter], scripts=[take.script_version.script])
    problem = board(project).rows[0].cells[0].problem
    assert problem is not None
    assert "1:30" in problem.sentence


def test_a_take_just_as_long_as_it_may_be_is_used(team):
    allow(team, take_seconds=90)
    assert measured(team, 90.0).state == AnalysisState.READY
