"""Stopping what machines learn: by a person of the team, by an operator who says why, and what is heard of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.http import Http404
from django.urls import reverse
from django.utils import timezone

from projects.models import AnalysisState, AuditEvent, Footage, MouthModel, Presenter, Team, TeamBase, Webhook
from projects.problems import HeyGemError
from projects.services import analysis, footage, webhooks
from rendering import training
from rendering.services import bases, farm, farm_many, mouths
from tests import factories
from tests.cast import browser
from tests.rendering import teaching
from tests.rendering.test_bases import fill
from tests.rendering.test_bases import film as lesson

pytestmark = pytest.mark.django_db
REASON = "This machine is needed for a trade fair."


@pytest.fixture
def olga() -> User:
    """Runs the installation, and is in none of its teams."""
    return factories.user("olga", is_staff=True)


@pytest.fixture
def film(presenter: Presenter, media: Path) -> Footage:
    return teaching.film(presenter)


@pytest.fixture
def hook(alice: User, team: Team) -> Webhook:
    events = [name for name in webhooks.EVENTS if name.startswith("mouths.")]
    return webhooks.create_webhook(actor=alice, team=team, url="https://example.com/", events=events)[0]


def heard(hook: Webhook) -> list[tuple[str, str]]:
    """The events, oldest first, with the code that came with each."""
    bodies = [json.loads(delivery.body) for delivery in hook.deliveries.order_by("pk")]
    return [(body["type"], body["data"]["error_code"]) for body in bodies]


# Mouth models


def test_an_operator_stops_one_training_and_the_team_reads_why(olga: User, bob: User, film: Footage) -> None:
    teaching.used(film.presenter.team, film)
    model = mouths.start(actor=bob, footage=film)
    claim = training.claim_next(teaching.card())
    assert claim is not None
    farm.stop_mouths(actor=olga, model=model, reason=f" {REASON} ")
    with pytest.raises(analysis.LeaseLost):
        analysis.report(claim, stage="train", percent=5)
    model.refresh_from_db()
    assert (model.state, model.error_code, model.reason) == (AnalysisState.REFUSED, "stopped_by_operator", REASON)
    event = AuditEvent.objects.get(action="mouths.cancelled")
    assert (event.actor, event.team, event.detail) == (olga, film.presenter.team, {"reason": REASON})
    for page in (reverse("rendering:mouths", args=[film.public_id]), f"/presenters/{film.presenter.public_id}/"):
        shown = browser(bob).get(page).content.decode()
        assert "An operator of this installation stopped it." in shown
        assert REASON in shown
    assert not list(mouths.due()), "it is not begun again by itself"
    assert mouths.start(actor=bob, footage=film).reason == ""


def test_what_an_operator_stopped_leaves_the_model_in_use(olga: User, bob: User, film: Footage) -> None:
    kept = teaching.model(film)
    farm.stop_mouths(actor=olga, model=mouths.start(actor=bob, footage=film), reason=REASON)
    assert mouths.current(film) == kept
    shown = browser(bob).get(reverse("rendering:mouths", args=[film.public_id])).content.decode()
    assert f"Their reason: {REASON}" in shown
    assert "Stopped by an operator" in shown


def test_what_is_over_cannot_be_stopped(olga: User, film: Footage) -> None:
    model = teaching.model(film)
    with pytest.raises(HeyGemError, match="no_such_act"):
        farm.stop_mouths(actor=olga, model=model)
    assert mouths.current(film) == model
    assert not AuditEvent.objects.exists()


def test_nobody_but_an_operator_stops_anything_so(alice: User, charlie: User, team: Team, film: Footage) -> None:
    model = teaching.model(film, state=AnalysisState.WAITING, blob=None)
    base = TeamBase.objects.create(team=team)
    for person in (alice, charlie):
        for kind, key in (("mouths", model.public_id), ("bases", base.public_id)):
            assert browser(person).post(f"/farm/{kind}/{key}/act/", {"act": "cancel"}).status_code == 404
            address = f"/api/v1/farm/{kind}/{key}/act/"
            sent = browser(person).post(address, {"act": "cancel"}, content_type="application/json")
            assert sent.status_code == 404
        with pytest.raises(Http404):
            farm.stop_mouths(actor=person, model=model)
        with pytest.raises(Http404):
            farm.stop_base(actor=person, base=base)
    assert {MouthModel.objects.get().state, TeamBase.objects.get().state} == {AnalysisState.WAITING}
    assert not AuditEvent.objects.exists()


# A team's base model


def test_an_operator_stops_learning_from_a_teams_footage(olga: User, alice: User, team: Team, media: Path) -> None:
    fill(team)
    base = bases.start(actor=alice, team=team)
    farm.stop_base(actor=olga, base=base, reason=REASON)
    TeamBase.objects.update(analysed_at=timezone.now() - 2 * bases.AGAIN_AFTER)
    assert bases.consider(team) is None, "it is not begun again by itself"
    settings = browser(alice).get(reverse("projects:team_settings", args=[team.public_id])).content.decode()
    assert "An operator of this installation stopped it." in settings
    assert REASON in settings
    event = AuditEvent.objects.get(action="base.cancelled")
    assert (event.actor, event.team, event.detail) == (olga, team, {"reason": REASON})
    lesson(factories.presenter(team, "Zoe"), seconds=60.0)
    assert bases.consider(team) is not None, "there is much more to learn from"


def test_cancelling_all_of_a_teams_work_stops_what_is_learnt_of_it(olga: User, team: Team, film: Footage) -> None:
    other = teaching.film(factories.presenter(factories.team("Another", owner=factories.user("dan"))))
    for item in (film, other):
        teaching.model(item, state=AnalysisState.WAITING, blob=None)
    TeamBase.objects.create(team=team)
    assert farm_many.act_on_team(actor=olga, team=team, act="cancel", reason=REASON).done == 2
    assert set(MouthModel.objects.values_list("footage", "state", "reason")) == {
        (film.pk, "refused", REASON),
        (other.pk, "waiting", ""),
    }
    assert TeamBase.objects.get().error_code == "stopped_by_operator"
    event = AuditEvent.objects.get(action="team.work_cancelled")
    assert event.detail == {"jobs": 0, "trainings": 2, "reason": REASON}
    with pytest.raises(HeyGemError, match="nothing_chosen"):
        farm_many.act_on_team(actor=olga, team=team, act="cancel")


# The farm's page and programs


def test_the_farm_shows_what_is_learnt_and_stops_it(olga: User, team: Team, film: Footage) -> None:
    model = teaching.model(film, state=AnalysisState.WAITING, blob=None)
    base = TeamBase.objects.create(team=team, presenters=3, speech_s=75.0)
    client = browser(olga)
    page = client.get("/farm/").content.decode()
    for name, key in (("farm_mouths_act", model.public_id), ("farm_base_act", base.public_id)):
        address = reverse(f"rendering:{name}", args=[key])
        assert f'formaction="{address}"' in page
        assert client.post(address, {"act": "explode"}).status_code == 409
        assert client.post(address, {"act": "cancel", "reason": REASON}).status_code == 302
    assert set(MouthModel.objects.values_list("error_code", "reason")) == {("stopped_by_operator", REASON)}
    assert set(TeamBase.objects.values_list("error_code", "reason")) == {("stopped_by_operator", REASON)}
    assert 'formaction="/farm/mouths/' not in client.get("/farm/").content.decode()


def test_an_operators_program_stops_it_and_sees_the_reason(olga: User, team: Team, film: Footage) -> None:
    model = teaching.model(film, state=AnalysisState.WAITING, blob=None)
    base = TeamBase.objects.create(team=team)
    client = browser(olga)
    glance = client.get("/api/v1/farm/").json()
    assert [item["model"] for item in glance["mouths"]] == [model.public_id]
    assert [item["base"] for item in glance["bases"]] == [base.public_id]
    for kind, key in (("mouths", model.public_id), ("bases", base.public_id)):
        body = {"act": "cancel", "reason": REASON}
        told = client.post(f"/api/v1/farm/{kind}/{key}/act/", body, content_type="application/json").json()
        assert (told["id"], told["error_code"], told["reason"]) == (key, "stopped_by_operator", REASON)
        again = client.post(f"/api/v1/farm/{kind}/{key}/act/", body, content_type="application/json")
        assert (again.status_code, again.json()["code"]) == (409, "no_such_act")


# Webhooks


def test_webhooks_hear_who_stopped_it_and_that_it_was_removed(
    olga: User, bob: User, charlie: User, film: Footage, hook: Webhook
) -> None:
    others = factories.team("Charlie's team", owner=charlie)
    theirs, _secret = webhooks.create_webhook(actor=charlie, team=others, url=hook.url, events=hook.events)
    mouths.start(actor=bob, footage=film)
    mouths.cancel(actor=bob, footage=film)
    mouths.cancel(actor=bob, footage=film)
    farm.stop_mouths(actor=olga, model=mouths.start(actor=bob, footage=film), reason=REASON)
    assert json.loads(hook.deliveries.order_by("pk").last().body)["data"]["reason"] == REASON  # type: ignore[union-attr]
    teaching.model(film)
    mouths.remove(actor=bob, footage=film)
    mouths.remove(actor=bob, footage=film)
    assert heard(hook) == [
        ("mouths.cancelled", "cancelled"),
        ("mouths.cancelled", "stopped_by_operator"),
        ("mouths.removed", "mouths_removed"),
    ]
    assert not theirs.deliveries.exists()


def test_webhooks_hear_what_ends_because_of_its_footage_or_of_the_teams_switch(
    alice: User, bob: User, team: Team, film: Footage, hook: Webhook
) -> None:
    refused = teaching.film(factories.presenter(team, "Bea"))
    for item in (film, refused):
        mouths.start(actor=bob, footage=item)
    footage.archive_footage(actor=bob, footage=film)
    Footage.objects.filter(pk=refused.pk).update(state=AnalysisState.REFUSED, error_code="no_face")
    assert mouths.tidy() == 2
    assert heard(hook) == [("mouths.cancelled", "cancelled"), ("mouths.refused", "no_face")]
    hook.deliveries.all().delete()
    teaching.model(film, automatic=True)
    teaching.model(refused, automatic=True, state=AnalysisState.WAITING, blob=None)
    bases.let_learn(actor=alice, team=team, learns=False)
    assert heard(hook) == [("mouths.cancelled", "cancelled"), ("mouths.removed", "mouths_removed")]


# Removing


@pytest.mark.parametrize(
    ("kept", "said"),
    [(1, "It is gone for good."), (2, "It and the earlier ones that are still kept, 2 in all, are gone for good.")],
)
def test_what_removing_takes_is_told_before(bob: User, film: Footage, kept: int, said: str) -> None:
    for number in range(kept):
        teaching.model(film, f"feed{number}", archived_at=None if number == kept - 1 else timezone.now())
    page = browser(bob).get(reverse("rendering:mouths", args=[film.public_id])).content.decode()
    assert said in page
    assert "New videos and those that wait are made with the presenter’s own mouths again" in page
    mouths.remove(actor=bob, footage=film)
    assert not MouthModel.objects.exclude(blob=None).exists()
