"""Enhanced mouths: a choice of the preset, on machines that have a model for it, told apart from other videos."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from pytest_django.fixtures import Settings

from projects.models import Presenter, Script, Team
from projects.problems import HeyGemError
from rendering import capabilities, workers
from rendering.fingerprint import fingerprint
from rendering.models import Preset, RenderJob, WorkerNode, ability
from rendering.services.presets import create_preset, default_preset, update_preset
from tests import factories
from tests.cast import browser
from tests.rendering import teaching
from tests.rendering.test_wav2lip import able, node
from tests.rendering.work import new_job

ENHANCED = {"backend": "wav2lip", "enhance": 0.6}
OWN = {"backend": "neural", "enhance": 0.6}
BOTH = {"wav2lip": "ab12", "wav2lip+enhancer": "ab12+cd34"}


def able_of_both(name: str) -> WorkerNode:
    return node(name, backends=["exemplar", *BOTH], weights=BOTH)


def test_enhancement_is_refused_up_front_where_no_machine_has_a_model(alice: User, team: Team) -> None:
    able("one")
    with pytest.raises(HeyGemError) as refused:
        create_preset(actor=alice, team=team, name="Sharp", **ENHANCED)
    assert refused.value.code == "no_enhancer"
    able_of_both("two")
    preset = create_preset(actor=alice, team=team, name="Sharp", **ENHANCED)
    WorkerNode.objects.filter(name="two/gpu").delete()
    update_preset(actor=alice, preset=preset, crf=20)
    assert Preset.objects.get(pk=preset.pk).crf == 20, "what it asked for before does not hinder a change"


def test_without_a_checkpoint_it_is_that_which_is_missing(alice: User, team: Team) -> None:
    node("one", backends=["exemplar"])
    assert capabilities.weights_for(ENHANCED).lacking == "no_checkpoint"


@pytest.mark.parametrize("asked", [ENHANCED, OWN])
def test_a_model_that_an_engine_refused_is_told_from_none(team: Team, asked: dict[str, object]) -> None:
    one = able("one")
    WorkerNode.objects.filter(pk=one.pk).update(refused={"enhancer": "unsafe_enhancer"})
    assert capabilities.weights_for(asked).lacking == "unsafe_enhancer"
    assert capabilities.weights_for({**asked, "enhance": 0.0}).lacking == ""
    able_of_both("two")
    assert capabilities.weights_for(ENHANCED).lacking == ""


@pytest.mark.django_db
def test_where_no_worker_is_there_the_settings_decide(settings: Settings, tmp_path: Path) -> None:
    settings.WAV2LIP_CHECKPOINT = tmp_path
    for asked in (ENHANCED, OWN):
        assert capabilities.weights_for(asked).lacking == "no_enhancer"
    assert set(workers.own_weights()) == {"wav2lip"}
    settings.ENHANCER_MODEL = tmp_path
    for asked in (ENHANCED, OWN):
        assert capabilities.weights_for(asked) == capabilities.Weights()
    assert set(workers.own_weights()) == {"wav2lip", "wav2lip+enhancer", "neural+enhancer"}
    settings.WAV2LIP_CHECKPOINT = None
    assert set(workers.own_weights()) == {"neural+enhancer"}


def test_enhanced_jobs_go_only_to_machines_with_a_model(alice: User, team: Team) -> None:
    plain, both = able("one"), able_of_both("two")
    job = new_job(team)
    for preset, fits in (({"backend": "wav2lip"}, (True, True)), (ENHANCED, (False, True))):
        RenderJob.objects.filter(pk=job.pk).update(backend=ability(preset))
        found = [RenderJob.objects.filter(capabilities.of(each).fits()).exists() for each in (plain, both)]
        assert tuple(found) == fits


def test_the_model_is_part_of_what_makes_a_video_the_same(presenter: Presenter, script: Script) -> None:
    able_of_both("one")
    footage, take = factories.footage(presenter), factories.take(script, "en")
    marks = set()
    for enhance in (0.0, 0.5, 0.6):
        asked = Preset(backend="wav2lip", enhance=enhance).snapshot()
        marks.add(fingerprint(footage, take, asked, weights=capabilities.weights_for(asked).identity))
    assert len(marks) == 3


def test_a_presenters_own_network_is_enhanced_where_there_is_one_and_else_takes_no_part(
    alice: User, team: Team, presenter: Presenter
) -> None:
    able_of_both("wav2lip alone")
    with pytest.raises(HeyGemError, match="no_enhancer"):
        create_preset(actor=alice, team=team, name="Own", **OWN)
    weights = {"neural+enhancer": "+cd34"}
    node("own", backends=["exemplar", "neural", *weights], weights=weights)
    preset = create_preset(actor=alice, team=team, name="Own", **OWN)
    assert ability(preset.snapshot()) == "neural+enhancer"
    film = teaching.film(presenter)
    without = teaching.order(alice, teaching.board(team, film), preset=preset)
    teaching.model(film)
    drawn = teaching.order(alice, teaching.board(team, film), preset=preset)
    assert [job.backend for job in (without, drawn)] == ["neural+enhancer"] * 2
    for job, used in ((without, ""), (drawn, "+cd34")):
        told = {"weights": used, "mouths": job.mouths.identity if job.mouths else ""}
        assert fingerprint(job.footage, job.take, preset.snapshot(), **told) == job.fingerprint


def test_what_is_not_enhanced_keeps_the_fingerprint_that_it_had() -> None:
    assert "enhance" not in Preset(backend="wav2lip").snapshot()
    assert "enhance" not in Preset(backend="exemplar", enhance=0.5).snapshot(), "the presenter's own mouths are not"
    assert Preset(backend="wav2lip", enhance=0.5).snapshot()["enhance"] == 0.5


def test_a_strength_beyond_the_whole_is_refused(alice: User, team: Team) -> None:
    able_of_both("one")
    with pytest.raises(HeyGemError) as refused:
        update_preset(actor=alice, preset=default_preset(team), backend="wav2lip", enhance=1.5)
    assert refused.value.code == "bad_preset"
    with pytest.raises(ValidationError):
        Preset(team=team, name="x", enhance=-0.1).full_clean()


def test_the_form_offers_it_with_the_licences_notice_where_it_can_be_had(alice: User, team: Team) -> None:
    address = f"/t/{team.public_id}/presets/new/"
    able("one")
    assert 'name="enhance"' not in browser(alice).get(address).content.decode()
    able_of_both("two")
    page = browser(alice).get(address).content.decode()
    assert 'name="enhance"' in page
    assert "face restorers rule out commercial use" in page
    sent = {"name": "Sharp", "backend": "wav2lip", "enhance": "0.6", "amplitude": "1", "when_shorter": "cut"}
    assert browser(alice).post(address, {**sent, "crf": "18", "speed": "fast"}).status_code == 302
    assert Preset.objects.get(team=team, name="Sharp").snapshot()["enhance"] == 0.6
    assert "0.6" in browser(alice).get(f"/t/{team.public_id}/presets/").content.decode()


def test_a_form_that_asks_for_what_no_machine_has_says_so_at_the_field(alice: User, team: Team) -> None:
    able_of_both("one")
    preset = create_preset(actor=alice, team=team, name="Sharp", backend="wav2lip")
    Preset.objects.filter(pk=preset.pk).update(enhance=0.4, backend="exemplar")
    WorkerNode.objects.update(backends=["exemplar", "wav2lip"], weights={"wav2lip": "ab12"})
    sent = {"name": "Sharp", "backend": "wav2lip", "enhance": "0.6", "amplitude": "1", "when_shorter": "cut"}
    answer = browser(alice).post(f"/presets/{preset.public_id}/", {**sent, "crf": "18", "speed": "fast"})
    assert answer.status_code == 200
    assert "the machines that render have no model for that" in answer.content.decode()
    assert Preset.objects.get(pk=preset.pk).backend == "exemplar"
