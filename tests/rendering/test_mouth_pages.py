"""Mouth models on pages and in the API: how one stands, who may have one learnt, what came of it, who drew a video."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from projects.models import AnalysisState, Footage, MouthModel, Presenter, Role, Team
from projects.services import analysis, webhooks
from rendering import training
from rendering.engine.neural.gate import CRITERIA
from rendering.models import TeamShare, WorkerNode
from rendering.selectors import mouths as selectors
from rendering.selectors.mouths import Stand, Waits
from rendering.services import mouths_kept
from rendering.templatetags.mouths import FAILED, mark
from tests import factories
from tests.cast import browser
from tests.rendering import making, teaching

LATER = timezone.now() + timedelta(hours=1)
BEGUN = {"state": AnalysisState.RUNNING, "lease_token": "0" * 32, "lease_expires_at": LATER, "blob": None}


@pytest.fixture
def footage(presenter: Presenter) -> Footage:
    return teaching.film(presenter)


def page_of(user: User, footage: Footage) -> str:
    return str(browser(user).get(f"/presenters/{footage.presenter.public_id}/").content.decode())


def own_page(user: User, footage: Footage, query: str = "") -> str:
    return str(browser(user).get(f"/footage/{footage.public_id}/mouths/{query}").content.decode())


def waiting(footage: Footage, **fields: Any) -> MouthModel:
    return teaching.model(footage, state=AnalysisState.WAITING, identity="", blob=None, **fields)


# The presenter's page


def test_the_presenters_page_says_what_a_mouth_model_is_for_and_lets_creators_have_one_learnt(
    bob: User, team: Team, footage: Footage
) -> None:
    teaching.card()
    page = page_of(bob, footage)
    assert "it draws every mouth that the words ask for" in page
    assert "Here it takes some minutes" in page
    assert "Learn a mouth model" in page
    answer = browser(bob).post(f"/footage/{footage.public_id}/mouths/act/", {"act": "start"})
    assert answer["Location"].endswith(f"/footage/{footage.public_id}/")
    assert MouthModel.objects.get().created_by == bob
    assert "Waiting for a machine" in page_of(bob, footage)
    assert "Learn a mouth model" not in page_of(factories.member(team, Role.VIEWER), footage)


@pytest.mark.parametrize(
    ("device", "said"),
    [("fake", "some minutes"), ("cpu", "about five to fifteen minutes"), ("", "No machine can learn one")],
)
def test_how_long_it_takes_is_told_by_the_machines_that_are_there(
    bob: User, footage: Footage, device: str, said: str
) -> None:
    if device:
        teaching.card(device=device)
    assert said in page_of(bob, footage)


def test_how_long_it_took_lately_is_better_than_a_rule_of_thumb(bob: User, footage: Footage) -> None:
    node, now = teaching.card(), timezone.now()
    other = teaching.film(factories.presenter(footage.presenter.team, "Bea"))
    begun = now - timedelta(minutes=7)
    teaching.model(other, worker=node.name, started_at=begun, claimed_at=begun, analysed_at=now)
    for name in ("Cy", "Dee"):  # taken up again by the next morning's worker
        late = teaching.film(factories.presenter(footage.presenter.team, name))
        teaching.model(late, worker=node.name, started_at=now - timedelta(hours=9), claimed_at=begun, analysed_at=now)
    assert "Here it took about 7 minutes lately." in page_of(bob, footage)


def test_every_figure_that_a_model_is_refused_for_has_its_sentence() -> None:
    assert FAILED.keys() == {each.name for each in CRITERIA}


@pytest.mark.parametrize(
    ("fields", "stand", "said"),
    [
        ({}, Stand.READY, "New videos of this footage are drawn with it"),
        ({"engine": "0.9"}, Stand.STALE, "learnt with another engine"),
        ({"tracker": "face-alignment-0123"}, Stand.STALE, "another face or analysis"),
        (
            {"state": "refused", "error_code": "mouths_not_good", "blob": None, "failed": ["planned", "new"]},
            Stand.NOT_GOOD,
            "does not follow the words closely enough",
        ),
        ({"state": "refused", "error_code": "cancelled", "blob": None}, Stand.FAILED, "The work was cancelled."),
        ({"state": "refused", "error_code": "mouths_removed", "blob": None}, Stand.NONE, "draws every mouth"),
    ],
)
def test_what_came_of_the_last_one_is_told_in_sentences(
    bob: User, footage: Footage, fields: dict[str, Any], stand: Stand, said: str
) -> None:
    teaching.model(footage, **fields)
    assert selectors.view_of(footage).stand == stand
    assert said in page_of(bob, footage)


def test_a_figure_that_this_site_has_no_words_for_is_named(bob: User, footage: Footage) -> None:
    teaching.model(footage, state="refused", error_code="mouths_not_good", blob=None, failed=["brand_new"])
    assert "“brand_new” is not good enough" in page_of(bob, footage)


def test_a_good_one_stays_in_use_while_and_after_a_newer_one_is_tried(bob: User, footage: Footage) -> None:
    teaching.model(footage)
    teaching.model(footage, state="refused", error_code="mouths_not_good", blob=None, identity="bad")
    view = selectors.view_of(footage)
    assert (view.stand, view.current and view.current.identity) == (Stand.READY, "feed")
    assert "A newer one was not good enough, so this one stays in use." in page_of(bob, footage)


def test_footage_that_is_too_short_says_so_instead_of_a_button(bob: User, presenter: Presenter) -> None:
    short = teaching.film(presenter, duration_s=8.0)
    page = page_of(bob, short)
    assert "too little of the presenter" in page
    assert "Not from this footage" in page
    assert "Learn a mouth model" not in page


def test_the_page_shows_stage_percent_time_left_and_the_picture_while_it_is_learnt(bob: User, footage: Footage) -> None:
    picture = factories.blob(footage.presenter.team, b"picture", "image/jpeg")
    about = {"stage": "train", "progress": 40, "step": 1200, "steps": 3000, "eta_s": 130.0, "picture": picture}
    model = teaching.model(footage, **(BEGUN | about))
    for page in (page_of(bob, footage), own_page(bob, footage)):
        assert "Learning to draw the mouths" in page
        assert "about 2 minutes left" in page
        assert "41 %" in page
        assert f"/media/{picture.public_id}/mouths.jpg" in page
        assert "This is how it draws now." in page
    client, address = browser(bob), f"/footage/{footage.public_id}/mouths/changes"
    seen = selectors.view_of(footage)
    assert client.get(f"{address}?seen=nothing").status_code == 200
    assert client.get(f"{address}?seen={mark(seen)}").status_code == 204, "nothing new to draw"
    MouthModel.objects.filter(pk=model.pk).update(progress=41)
    assert client.get(f"{address}?seen={mark(seen)}").status_code == 200


def test_its_percent_does_not_go_back_when_it_was_interrupted(footage: Footage) -> None:
    model = teaching.model(footage, **(BEGUN | {"stage": "train", "progress": 40, "step": 1200, "steps": 3000}))
    reached = selectors.view_of(footage).percent
    for about in ({"state": "waiting", "stage": ""}, {"state": "running"}, {"stage": "collect", "progress": 10}):
        MouthModel.objects.filter(pk=model.pk).update(**about)
        assert selectors.view_of(footage).percent == reached


def test_it_can_be_stopped_and_what_was_learnt_removed(bob: User, footage: Footage) -> None:
    good, act = teaching.model(footage), f"/footage/{footage.public_id}/mouths/act/"
    model = waiting(footage)
    assert "Stop learning this mouth model?" not in page_of(bob, footage), "there is nothing to lose"
    MouthModel.objects.filter(pk=model.pk).update(step=1200, steps=3000, checkpoint_step=1200)
    assert "Stop learning this mouth model?" in page_of(bob, footage)
    assert browser(bob).post(act, {"act": "cancel", "next": "/elsewhere/"})["Location"] == "/elsewhere/"
    assert selectors.view_of(footage).stand == Stand.READY
    browser(bob).post(act, {"act": "remove"})
    good.refresh_from_db()
    assert (good.state, good.error_code, good.blob) == ("refused", "mouths_removed", None)
    assert browser(bob).post(act, {"act": "paint"}).status_code == 404


# Why it waits


@pytest.mark.parametrize(
    ("about", "ago", "device", "why"),
    [
        ({}, 0, "fake", Waits.RENDERS_FIRST),
        ({}, 11, "fake", Waits.TURN),
        ({}, 0, "", Waits.NO_MACHINE),
        ({"automatic": True}, 0, "fake", Waits.IDLE_CARD),
        ({"automatic": True}, 0, "cpu", Waits.NO_MACHINE),
    ],
)
def test_why_it_waits_is_told(
    footage: Footage, about: dict[str, Any], ago: int, device: str, why: Waits, alice: User
) -> None:
    if device:
        teaching.card(device=device)
    model = waiting(footage, **about)
    MouthModel.objects.filter(pk=model.pk).update(created_at=timezone.now() - timedelta(minutes=ago))
    assert selectors.view_of(footage).waits == why
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    page = browser(alice).get("/farm/").content.decode()
    assert "Mouth models" in page
    assert footage.presenter.name in page
    (told,) = browser(alice).get("/api/v1/farm/").json()["mouths"]
    assert (told["model"], told["state"], told["why"]) == (model.public_id, "waiting", why)


def test_it_waits_for_its_footages_analysis_and_for_a_paused_team(footage: Footage, team: Team) -> None:
    teaching.card()
    waiting(footage)
    TeamShare.objects.update_or_create(team=team, defaults={"paused_at": timezone.now()})
    assert selectors.view_of(footage).waits == Waits.PAUSED
    Footage.objects.update(state=AnalysisState.WAITING)
    footage.refresh_from_db()
    assert selectors.view_of(footage).waits == Waits.FOOTAGE


def test_the_farm_says_which_worker_learns_what(alice: User, footage: Footage) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    node = teaching.card(busy_since=timezone.now())
    teaching.model(footage, **BEGUN, worker=node.name, stage="collect", progress=50)
    page = browser(alice).get("/farm/").content.decode()
    assert f"Learns the mouth model of {footage.presenter.name}" in page
    assert "Mouth models are being learnt; no video waits." in page
    assert "Learns the mouth model" in browser(alice).get(f"/farm/workers/{node.pk}/").content.decode()


# Its own page: figures, log, history


def test_figures_are_told_beside_what_the_presenters_own_mouths_reach(bob: User, footage: Footage) -> None:
    figures = {"planned": 0.951, "exemplar_planned": 0.913, "psnr": 27.93, "amplitude": 1.04, "leak_r": None}
    teaching.model(footage, figures=figures)
    page = own_page(bob, footage)
    for said in ("Follows the words", "0.95", "the presenter&#x27;s own mouths: 0.91", "27.9 dB", "104 %"):
        assert said in page


def test_the_log_grows_while_it_is_read_and_is_kept_afterwards(bob: User, team: Team, footage: Footage) -> None:
    text = "collect 1 of 500\ntrain 1 of 3000 in /var/lib/work/ab/neural.training\n"
    model = teaching.model(footage, **BEGUN, log=text, log_end=len(text))
    assert "train 1 of 3000 in …/neural.training" in own_page(bob, footage)
    client, address = browser(bob), f"/footage/{footage.public_id}/mouths/log?made={model.public_id}"
    first = client.get(f"{address}&from=0").json()
    assert (first["cut"], first["running"], first["end"]) == (False, True, len(text))
    MouthModel.objects.update(log=text + "more\n", log_end=len(text) + 5)
    assert client.get(f"{address}&from={len(text)}").json()["text"] == "more\n"
    MouthModel.objects.update(log="the end alone\n", log_end=90_000)
    assert client.get(f"{address}&from={len(text)}").json() | {"end": 0} == {
        **{"text": "the end alone\n", "cut": True, "running": True, "end": 0, "number": 0}
    }
    assert "the end alone" not in own_page(factories.member(team, Role.VIEWER), footage)


def test_history_tells_every_making_and_whose_log_to_open(bob: User, footage: Footage) -> None:
    old = teaching.model(footage, "aaaa", archived_at=timezone.now(), log="the old one\n", log_end=12)
    teaching.model(footage, "bbbb", created_by=bob)
    page = own_page(bob, footage)
    assert "Put away for a newer one" in page
    assert "the old one" not in page
    assert "the old one" in own_page(bob, footage, f"?made={old.public_id}")
    other = teaching.model(teaching.film(factories.presenter(footage.presenter.team, "Bea")), "cccc")
    assert browser(bob).get(f"/footage/{footage.public_id}/mouths/?made={other.public_id}").status_code == 404


# Where else it is seen


def test_the_list_of_presenters_marks_who_has_one(bob: User, team: Team, footage: Footage) -> None:
    address = f"/t/{team.public_id}/presenters/"
    assert "Mouth model" not in browser(bob).get(address).content.decode()
    model = teaching.model(footage)
    assert "Mouth model" in browser(bob).get(address).content.decode()
    model.delete()
    waiting(footage)
    assert "Mouth model ordered" in browser(bob).get(address).content.decode()
    MouthModel.objects.update(**BEGUN)
    assert "Mouth model being learnt" in browser(bob).get(address).content.decode()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"drawn_by": "neural", "mouths": "feed0123"}, ("Drawn by the presenter&#x27;s own network", "feed0123")),
        (
            {"drawn_by": "exemplar", "instead": "stale_mouths"},
            ("own mouths, as filmed", "belongs to another analysis of the footage"),
        ),
        ({"preset": {"backend": "exemplar"}}, ("own mouths, as filmed",)),
    ],
)
def test_a_video_says_who_drew_its_mouths_and_why_not_who_was_asked(
    bob: User, team: Team, footage: Footage, made: dict[str, Any], said: tuple[str, ...]
) -> None:
    project = teaching.board(team, footage)
    version = making.version(project, footage.presenter, project.scripts.get(), footage=footage, **made)
    page = browser(bob).get(f"/cells/{version.deliverable.public_id}/").content.decode()
    versions, _rest = page.split("</ol></section>", 1)
    for words in said:
        assert words in page
    for words in said[:2] if "instead" in made else said[:1]:
        assert words in versions, "every version in the list tells it"


def test_a_cell_without_a_video_says_nothing_of_who_drew_it(bob: User, team: Team, footage: Footage) -> None:
    project = teaching.board(team, footage)
    job = teaching.order(bob, project)
    page = browser(bob).get(f"/cells/{job.deliverable.public_id}/")
    assert page.status_code == 200
    assert "<dt>Mouths</dt>" not in page.content.decode()


@pytest.mark.parametrize(
    ("drawn_by", "weights", "checkpoint", "enhancer"),
    [("neural", "cd34", False, True), ("exemplar", "", False, False), ("wav2lip", "ab12+cd34", True, True)],
)
def test_a_video_names_only_the_operators_weights_that_took_part(
    bob: User, team: Team, footage: Footage, drawn_by: str, weights: str, checkpoint: bool, enhancer: bool
) -> None:
    project = teaching.board(team, footage)
    made = {"preset": {"backend": "neural", "enhance": 0.5}, "drawn_by": drawn_by, "weights": weights}
    version = making.version(project, footage.presenter, project.scripts.get(), footage=footage, **made)
    page = browser(bob).get(f"/cells/{version.deliverable.public_id}/").content.decode()
    assert ("drawn by a Wav2Lip checkpoint" in page) is checkpoint
    assert ("enhanced by a model" in page) is enhancer


def test_a_preset_explains_every_way_and_names_who_has_a_mouth_model(bob: User, team: Team, footage: Footage) -> None:
    address = f"/t/{team.public_id}/presets/new/"
    page = browser(bob).get(address).content.decode()
    assert "No presenter has one yet" in page
    teaching.model(footage)
    page = browser(bob).get(address).content.decode()
    assert f"One presenter has such a model: {footage.presenter.name}." in page
    assert 'name="backend" value="auto"' in page
    assert "Nothing is learnt or drawn." in page
    assert 'aria-describedby="way-neural"' in page
    assert 'id="way-neural"' in page


# The API


def asked(user: User, footage: Footage, **headers: str) -> Any:
    data = {"footage": footage.public_id}
    return browser(user).post("/api/v1/mouths/", data, content_type="application/json", headers=headers)


def test_a_program_has_one_learnt_once_for_each_key_and_sees_how_far_it_is(bob: User, footage: Footage) -> None:
    first, again = (asked(bob, footage, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.json()["id"], again["Idempotency-Replayed"]) == (first.json()["id"], "true")
    refused = asked(bob, footage)
    assert (refused.status_code, refused.json()["code"]) == (409, "mouths_being_made")
    far = {"stage": "train", "progress": 50, "step": 1500, "steps": 3000, "eta_s": 99.0}
    MouthModel.objects.update(**(BEGUN | far))
    told = browser(bob).get(f"/api/v1/mouths/{first.json()['id']}/").json()
    assert (told["state"], told["percent"], told["eta_s"], told["in_use"]) == ("running", 50, 99.0, False)
    stopped = browser(bob).post(f"/api/v1/mouths/{first.json()['id']}/cancel/").json()
    assert (stopped["state"], stopped["error_code"]) == ("refused", "cancelled")


def test_a_program_finds_removes_and_reads_the_log_of_one(bob: User, team: Team, footage: Footage) -> None:
    model = teaching.model(footage, log="in /srv/media/blobs/x.zip\n", log_end=26)
    client = browser(bob)
    found = client.get(f"/api/v1/mouths/?footage={footage.public_id}&state=ready").json()["results"]
    assert [one["in_use"] for one in found] == [True]
    assert client.get(f"/api/v1/mouths/{model.public_id}/log/").json() == {"log": "in …/x.zip\n", "log_end": 26}
    viewer = browser(factories.member(team, Role.VIEWER))
    assert viewer.delete(f"/api/v1/mouths/{model.public_id}/").status_code == 403
    assert client.delete(f"/api/v1/mouths/{model.public_id}/").status_code == 204
    assert client.get(f"/api/v1/mouths/{model.public_id}/").json()["error_code"] == "mouths_removed"
    answer = client.delete(f"/api/v1/mouths/{model.public_id}/")
    assert (answer.status_code, answer.json()["code"]) == (410, "mouths_removed")


def test_what_cannot_be_learnt_from_is_refused_to_a_program_with_the_reason(bob: User, presenter: Presenter) -> None:
    short = teaching.film(presenter, duration_s=8.0)
    answer = asked(bob, short)
    assert (answer.status_code, answer.json()["code"]) == (422, "mouths_too_little")


def test_a_version_tells_a_program_who_drew_it(bob: User, team: Team, footage: Footage) -> None:
    project = teaching.board(team, footage)
    made = {"drawn_by": "exemplar", "instead": "no_mouths"}
    version = making.version(project, footage.presenter, project.scripts.get(), **made)
    told = browser(bob).get(f"/api/v1/versions/{version.public_id}/").json()
    assert (told["drawn_by"], told["instead"], told["mouths"]) == ("exemplar", "no_mouths", "")


# Webhooks


@pytest.mark.parametrize(("passed", "event"), [(True, "mouths.ready"), (False, "mouths.refused")])
def test_webhooks_hear_what_came_of_it(alice: User, team: Team, footage: Footage, passed: bool, event: str) -> None:
    hook, _secret = webhooks.create_webhook(
        actor=alice, team=team, url="https://example.com/", events=["mouths.ready", "mouths.refused"]
    )
    teaching.card()
    waiting(footage)
    claim = training.claim_next(WorkerNode.objects.get())
    assert claim is not None
    item = claim.item()
    assert isinstance(item, MouthModel)
    learnt = {"figures": {}, "identity": "beef", "size": 128, "psnr": 28.0, "steps": 9, "failed": []}
    blob = factories.blob(team, b"packed") if passed else None
    mouths_kept.finish(claim, item, learnt=learnt, blob=blob)
    assert [delivery.event for delivery in hook.deliveries.all()] == [event]
    with pytest.raises(analysis.LeaseLost):
        mouths_kept.finish(claim, item, learnt=learnt, blob=blob)
