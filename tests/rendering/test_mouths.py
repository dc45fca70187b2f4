"""Mouth models: who may have one learnt, which machine learns which, and what renders make of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import Http404
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, AuditEvent, Footage, MediaBlob, MouthModel, Presenter, Role, Team
from projects.problems import HeyGemError
from projects.services import analysis, blobs
from rendering import queue, training
from rendering.models import JobState, Preset, RenderJob, RetentionRule, TeamShare, WorkerNode
from rendering.selectors import retention as retained
from rendering.selectors.boards import board
from rendering.selectors.storage import sizes_by_team
from rendering.selectors.usage import Kind, usage
from rendering.services import bases, mouths, mouths_kept, restored, storage, upkeep
from rendering.services.presets import default_preset
from tests import factories
from tests.rendering import teaching, work

LONG_AGO = timedelta(minutes=11)


@pytest.fixture
def film(presenter: Presenter, media: Path) -> Footage:
    return teaching.film(presenter)


def claimed(node: WorkerNode) -> MouthModel:
    claim = training.claim_next(node)
    assert claim is not None
    return MouthModel.objects.get(pk=claim.pk)


def learnt(model: MouthModel, **changes: Any) -> dict[str, Any]:
    told = {"figures": {"psnr": 28.0}, "failed": (), "identity": "beef", "size": 128, "steps": 20, "psnr": 28.0}
    return told | {"initial": ""} | changes


# Asking for one


def test_a_creator_orders_one_and_a_machine_is_woken(bob: User, film: Footage) -> None:
    made = mouths.start(actor=bob, footage=film)
    assert (made.state, made.automatic, made.created_by) == (AnalysisState.WAITING, False, bob)
    assert OrmQ.objects.filter(key="gpu").exists()
    assert AuditEvent.objects.filter(action="mouths.started", actor=bob, team=film.presenter.team).exists()
    with pytest.raises(HeyGemError, match="mouths_being_made"):
        mouths.start(actor=bob, footage=film)


@pytest.mark.parametrize("act", [mouths.start, mouths.cancel, mouths.remove])
def test_a_viewer_may_not_and_a_stranger_finds_nothing(act: Any, victor: User, charlie: User, film: Footage) -> None:
    with pytest.raises(HeyGemError, match="not_allowed"):
        act(actor=victor, footage=film)
    with pytest.raises(Http404):
        act(actor=charlie, footage=film)
    assert not MouthModel.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"duration_s": 14.0}, "mouths_too_little"),
        ({"duration_s": 40.0, "figures": {"tracked": 0.3}}, "mouths_too_little"),
        ({"tier": "C"}, "footage_tier"),
        ({"state": "waiting"}, "mouths_not_analysed"),
        ({"state": "refused", "error_code": "no_face"}, "mouths_not_analysed"),
        ({"archived_at": timezone.now()}, "mouths_put_away"),
    ],
)
def test_footage_that_cannot_teach_is_refused_in_a_sentence(
    wrong: dict[str, Any], code: str, bob: User, film: Footage
) -> None:
    Footage.objects.filter(pk=film.pk).update(**wrong)
    film.refresh_from_db()
    with pytest.raises(HeyGemError) as caught:
        mouths.start(actor=bob, footage=film)
    assert caught.value.code == code
    assert "%(" not in caught.value.sentence
    assert caught.value.remedy


def test_a_team_whose_storage_is_spent_learns_nothing_more(bob: User, film: Footage, settings: Settings) -> None:
    settings.TEAM_STORAGE_BYTES = 1
    with pytest.raises(HeyGemError, match="team_storage_spent"):
        mouths.start(actor=bob, footage=film)


def test_what_a_machine_began_by_itself_becomes_the_persons_who_asks(bob: User, film: Footage) -> None:
    teaching.used(film.presenter.team, film)
    teaching.card()
    assert mouths.consider_all() == 1
    made = mouths.start(actor=bob, footage=film)
    assert (made.automatic, made.created_by) == (False, bob)
    assert MouthModel.objects.count() == 1


def test_stopping_leaves_the_model_in_use_and_the_machine_finds_that_it_is_not_asked(bob: User, film: Footage) -> None:
    kept = teaching.model(film)
    mouths.start(actor=bob, footage=film)
    claim = training.claim_next(teaching.card())
    assert claim is not None
    mouths.cancel(actor=bob, footage=film)
    with pytest.raises(analysis.LeaseLost):
        training.place(claim, waiting=0)
    with pytest.raises(analysis.LeaseLost):
        analysis.report(claim, stage="train", percent=5)
    assert mouths.current(film) == kept
    stopped = MouthModel.objects.exclude(pk=kept.pk).get()
    assert (stopped.state, stopped.error_code) == (AnalysisState.REFUSED, "cancelled")


# Which machine learns which


def test_two_machines_never_learn_the_same(bob: User, film: Footage) -> None:
    mouths.start(actor=bob, footage=film)
    one, two = teaching.card("one"), teaching.card("two")
    assert claimed(one).worker == "one/gpu"
    assert training.claim_next(two) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_machines_that_ask_at_once_each_model_goes_to_one(bob: User, team: Team, media: Path) -> None:
    wanted = {mouths.start(actor=bob, footage=teaching.film(factories.presenter(team))).pk for _ in range(3)}
    nodes = [teaching.card(f"card{number}") for number in range(6)]

    def claim(node: WorkerNode) -> int | None:
        try:
            claim = training.claim_next(node)
            return claim.pk if claim is not None else None
        finally:
            connection.close()

    with ThreadPoolExecutor(len(nodes)) as pool:
        got = [pk for pk in pool.map(claim, nodes) if pk is not None]
    assert sorted(got) == sorted(wanted)
    assert set(MouthModel.objects.values_list("attempts", flat=True)) == {1}


def test_a_processor_learns_what_a_person_wants_and_only_where_there_is_no_card(bob: User, film: Footage) -> None:
    teaching.used(film.presenter.team, film)
    slow, card = teaching.processor("slow"), teaching.card("fast")
    mouths.consider_all()
    assert not training.is_wanted(slow)
    mouths.start(actor=bob, footage=film)
    assert not training.is_wanted(slow)
    WorkerNode.objects.filter(pk=card.pk).update(state=WorkerNode.State.DRAINING)
    assert training.is_wanted(slow)
    assert claimed(slow).automatic is False


@pytest.mark.parametrize("other", [{"backends": ["exemplar"]}, {"engine": "0.1"}, {"state": "paused"}])
def test_a_machine_that_cannot_or_may_not_learn_it_is_passed_over(
    other: dict[str, Any], bob: User, film: Footage
) -> None:
    mouths.start(actor=bob, footage=film)
    assert training.claim_next(teaching.card(**other)) is None


def test_a_paused_team_waits_and_so_does_footage_that_is_looked_at_again(bob: User, film: Footage) -> None:
    mouths.start(actor=bob, footage=film)
    node = teaching.card()
    TeamShare.objects.create(team=film.presenter.team, paused_at=timezone.now())
    assert training.claim_next(node) is None
    TeamShare.objects.update(paused_at=None)
    Footage.objects.update(state=AnalysisState.WAITING)
    assert training.claim_next(node) is None
    Footage.objects.update(state=AnalysisState.READY)
    assert training.claim_next(node) is not None


def test_people_go_before_machines_wishes_and_teams_take_turns(bob: User, team: Team, media: Path) -> None:
    other = factories.team()
    carol = factories.member(other, Role.CREATOR)
    many = [teaching.film(factories.presenter(team)) for _ in range(4)]
    teaching.used(team, many[3])
    teaching.card("idle")
    assert mouths.consider_all() == 1
    mine = [mouths.start(actor=bob, footage=footage) for footage in many[:3]]
    theirs = mouths.start(actor=carol, footage=teaching.film(factories.presenter(other)))
    nodes = [teaching.card(f"card{number}") for number in range(5)]
    order = [claimed(node) for node in nodes]
    assert order[:4] == [mine[0], theirs, mine[1], mine[2]]
    assert order[4].automatic


def test_what_was_begun_is_finished_before_another_is_begun(bob: User, team: Team, media: Path) -> None:
    first, second = (teaching.film(factories.presenter(team)) for _ in range(2))
    mouths.start(actor=bob, footage=first)
    begun = mouths.start(actor=bob, footage=second)
    MouthModel.objects.filter(pk=begun.pk).update(checkpoint=factories.blob(team))
    assert claimed(teaching.card()) == begun


def test_after_ten_minutes_a_persons_goes_before_renders_and_a_machines_own_never_does(
    bob: User, film: Footage
) -> None:
    made = mouths.start(actor=bob, footage=film)
    node = teaching.card()
    assert not training.is_wanted(node, only_pressing=True)
    assert not training.is_pressing(made)
    MouthModel.objects.update(created_at=timezone.now() - LONG_AGO)
    made.refresh_from_db()
    assert training.is_wanted(node, only_pressing=True)
    assert training.is_pressing(made)
    MouthModel.objects.update(automatic=True)
    assert not training.is_wanted(node, only_pressing=True)


def test_one_whose_machine_was_lost_waits_again_and_tickets_are_there_for_it(bob: User, film: Footage) -> None:
    mouths.start(actor=bob, footage=film)
    claimed(teaching.card())
    OrmQ.objects.all().delete()
    MouthModel.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    analysis.reap()
    assert MouthModel.objects.get().state == AnalysisState.WAITING
    assert queue.top_up() == 1
    assert OrmQ.objects.filter(key="gpu").count() == 1
    assert not analysis.is_waiting(), "the machines that analyse have nothing to do with it"


def test_attempts_that_got_further_do_not_count_and_standing_still_does(bob: User, team: Team, film: Footage) -> None:
    mouths.start(actor=bob, footage=film)
    node = teaching.card()
    for step in (10, 20, 30, 40):
        claim = training.claim_next(node)
        assert claim is not None
        mouths_kept.keep_checkpoint(claim, factories.blob(team, f"at {step}".encode()), step=step)
        assert analysis.give_back(claim, code="out_of_memory")
    again = []
    while (claim := training.claim_next(node)) is not None:
        mouths_kept.keep_checkpoint(claim, factories.blob(team, b"at 40"), step=40)
        again.append(analysis.give_back(claim, code="out_of_memory"))
    assert again == [True, False]
    model = MouthModel.objects.get()
    assert (model.state, model.error_code, model.checkpoint) == (AnalysisState.REFUSED, "out_of_memory", None)


def test_a_newer_checkpoint_takes_the_older_ones_place_at_once(bob: User, team: Team, film: Footage) -> None:
    mouths.start(actor=bob, footage=film)
    claim = training.claim_next(teaching.card())
    assert claim is not None
    first, second = (factories.blob(team, word) for word in (b"one", b"two"))
    mouths_kept.keep_checkpoint(claim, first, step=1)
    mouths_kept.keep_checkpoint(claim, second, step=2)
    assert MouthModel.objects.get().checkpoint == second
    assert not factories.path_of(first).exists()
    assert factories.path_of(second).exists()
    assert not MediaBlob.objects.filter(pk=first.pk).exists()


def test_a_checkpoint_of_another_face_is_not_gone_on_with(bob: User, team: Team, film: Footage) -> None:
    made = mouths.start(actor=bob, footage=film)
    MouthModel.objects.update(checkpoint=factories.blob(team), checkpoint_step=7)
    Footage.objects.update(chosen_face=[0.2, 0.3])
    claim = training.claim_next(teaching.card())
    assert claim is not None
    made = claim.item()
    begun = mouths_kept.begin(claim, made, engine=queue.ENGINE_VERSION)
    assert begun.checkpoint is None
    made.refresh_from_db()
    assert (made.checkpoint, made.checkpoint_step, made.face) == (None, 0, [0.2, 0.3])


# What to begin with


def test_it_begins_with_what_the_team_has_never_with_another_teams(bob: User, team: Team, film: Footage) -> None:
    others = teaching.film(factories.presenter(factories.team()))
    teaching.model(others, "theirs")

    def begun_with() -> MouthModel | None:
        MouthModel.objects.filter(footage=film).delete()
        mouths.start(actor=bob, footage=film)
        claim = training.claim_next(WorkerNode.objects.first() or teaching.card())
        assert claim is not None
        mouths_kept.begin(claim, claim.item(), engine=queue.ENGINE_VERSION)
        return MouthModel.objects.get(pk=claim.pk).initial

    assert begun_with() is None
    colleague = teaching.model(teaching.film(factories.presenter(team)), "colleague")
    assert begun_with() == colleague
    assert MouthModel.objects.get(footage=film).borrowed
    own = teaching.model(teaching.film(film.presenter), "own")
    teaching.model(teaching.film(factories.presenter(team)), "newer")
    assert begun_with() == own
    assert not MouthModel.objects.get(footage=film).borrowed
    Team.objects.filter(pk=team.pk).update(learns=False)
    MouthModel.objects.filter(pk=own.pk).delete()
    assert begun_with() is None


def test_switching_learning_off_takes_what_machines_took_and_leaves_what_people_ordered(
    alice: User, bob: User, team: Team, media: Path
) -> None:
    films = [teaching.film(factories.presenter(team)) for _ in range(4)]
    ordered = teaching.model(films[0], "ordered", created_by=bob)
    teaching.model(films[1], "automatic", automatic=True)
    teaching.model(films[2], "borrowed", created_by=bob, borrowed=True)
    teaching.used(team, films[3])
    teaching.card()
    assert mouths.consider_all() == 1
    job = teaching.order(alice, teaching.board(team, films[1]))
    assert job.mouths is not None
    bases.let_learn(actor=alice, team=team, learns=False)
    assert [mouths.current(footage) for footage in films] == [ordered, None, None, None]
    assert not MouthModel.objects.filter(state=AnalysisState.WAITING).exists()
    assert mouths.consider_all() == 0
    before = job.fingerprint
    job.refresh_from_db()
    assert (job.mouths, job.backend) == (None, "exemplar")
    assert job.fingerprint != before


# By itself


def test_an_idle_card_learns_what_is_used_and_one_for_each_card(team: Team, media: Path) -> None:
    films = [teaching.film(factories.presenter(team)) for _ in range(4)]
    assert mouths.consider_all() == 0, "nobody is idle"
    for footage in films[:3]:
        teaching.used(team, footage)
    teaching.card("one")
    teaching.card("two")
    teaching.processor("three")
    teaching.card("busy", busy_since=timezone.now(), idle_since=None)
    teaching.card("only just", idle_since=timezone.now())
    assert mouths.consider_all() == 2
    assert mouths.consider_all() == 0
    made = MouthModel.objects.all()
    assert {model.footage for model in made} == set(films[1:3]), "what was used last"
    assert all(model.automatic for model in made)


@pytest.mark.parametrize("why", ["unused", "has one", "learns not", "put away", "too short", "switched off", "renders"])
def test_nothing_is_learnt_by_itself_when(why: str, team: Team, film: Footage, settings: Settings) -> None:
    teaching.card()
    if why != "unused":
        teaching.used(team, film)
    match why:
        case "has one":
            teaching.model(film)
        case "learns not":
            Team.objects.update(learns=False)
        case "put away":
            Presenter.objects.update(archived_at=timezone.now())
        case "too short":
            Footage.objects.update(duration_s=9.0)
        case "switched off":
            settings.MOUTHS_AUTOMATIC = False
        case "renders":
            work.new_job(team)
    assert mouths.consider_all() == 0


@pytest.mark.parametrize(
    ("last", "again"),
    [
        ({"engine": "0.1"}, True),
        ({"face": [0.1, 0.1]}, True),
        ({"state": "refused", "error_code": "mouths_not_good", "blob": None}, False),
        ({"state": "refused", "error_code": "mouths_removed", "blob": None}, False),
        ({"state": "refused", "error_code": "out_of_memory", "blob": None}, False),
        ({"state": "refused", "error_code": "out_of_memory", "blob": None, "analysed_at": "long ago"}, True),
    ],
)
def test_it_is_learnt_again_by_itself_for_a_new_engine_or_face_or_when_a_machine_was_at_fault(
    last: dict[str, Any], again: bool, team: Team, film: Footage
) -> None:
    teaching.card()
    teaching.used(team, film)
    if "analysed_at" in last:
        last = last | {"analysed_at": timezone.now() - timedelta(days=2)}
    teaching.model(film, **last)
    assert mouths.consider_all() == int(again)


def test_what_waits_for_footage_that_was_put_away_is_stopped(bob: User, film: Footage) -> None:
    mouths.start(actor=bob, footage=film)
    assert mouths.tidy() == 0
    Footage.objects.update(archived_at=timezone.now())
    assert mouths.tidy() == 1
    assert MouthModel.objects.get().error_code == "cancelled"


def test_one_that_is_learnt_of_another_face_than_was_chosen_since_begins_anew(bob: User, film: Footage) -> None:
    mouths.start(actor=bob, footage=film)
    node = teaching.card()
    claim = training.claim_next(node)
    assert claim is not None
    mouths_kept.begin(claim, claim.item(), engine=queue.ENGINE_VERSION)
    assert mouths.tidy() == 0
    Footage.objects.update(chosen_face=[0.4, 0.4])
    assert mouths.tidy() == 1
    with pytest.raises(analysis.LeaseLost):
        training.place(claim, waiting=0)
    assert claimed(node).attempts == 1


def test_what_a_backups_machines_were_learning_waits_again_with_its_checkpoint(
    bob: User, team: Team, film: Footage
) -> None:
    mouths.start(actor=bob, footage=film)
    claim = training.claim_next(teaching.card())
    assert claim is not None
    kept = factories.blob(team)
    mouths_kept.keep_checkpoint(claim, kept, step=5)
    OrmQ.objects.all().delete()
    restored.resume()
    model = MouthModel.objects.get()
    assert (model.state, model.attempts, model.checkpoint) == (AnalysisState.WAITING, 0, kept)
    assert OrmQ.objects.filter(key="gpu").exists()


# What came of it


def test_a_good_one_is_used_and_puts_the_older_away(bob: User, team: Team, film: Footage) -> None:
    older = teaching.model(film, "older")
    made = mouths.start(actor=bob, footage=film)
    claim = training.claim_next(teaching.card())
    assert claim is not None
    mouths_kept.finish(claim, claim.item(), learnt=learnt(made), blob=factories.blob(team))
    now = mouths.current(film)
    assert now is not None
    assert (now, now.identity, now.steps) == (made, "beef", 20)
    assert AuditEvent.objects.filter(action="mouths.made", actor=None).exists()
    assert mouths.let_go() == 1
    older.refresh_from_db()
    assert older.blob is None


def test_one_that_is_not_good_enough_says_which_figures_and_leaves_the_older_in_use(bob: User, film: Footage) -> None:
    older = teaching.model(film, "older")
    made = mouths.start(actor=bob, footage=film)
    claim = training.claim_next(teaching.card())
    assert claim is not None
    mouths_kept.finish(claim, claim.item(), learnt=learnt(made, failed=("psnr", "leak_r")), blob=None)
    made.refresh_from_db()
    assert (made.state, made.error_code) == (AnalysisState.REFUSED, "mouths_not_good")
    assert (made.failed, made.figures) == (["psnr", "leak_r"], {"psnr": 28.0})
    assert mouths.current(film) == older


def test_a_model_of_another_engine_face_or_tracker_is_not_used(film: Footage) -> None:
    assert mouths.lacking(film) == "no_mouths"
    made = teaching.model(film)
    assert mouths.lacking(film) == ""
    for other in ({"engine": "0.1"}, {"face": [0.5, 0.5]}, {"tracker": "another"}):
        MouthModel.objects.filter(pk=made.pk).update(**other)
        assert mouths.current(film) is None, other
        assert mouths.lacking(film) == "stale_mouths"
        MouthModel.objects.filter(pk=made.pk).update(engine=queue.ENGINE_VERSION, face=None, tracker="")
    MouthModel.objects.filter(pk=made.pk).update(state="refused", error_code="mouths_not_good", blob=None)
    assert mouths.lacking(film) == "mouths_not_good"


# Renders


def test_automatic_takes_the_model_of_footage_that_has_one(alice: User, team: Team, film: Footage) -> None:
    project = teaching.board(team, film)
    plain = teaching.order(alice, project)
    assert (plain.mouths, plain.options["backend"], plain.backend) == (None, "exemplar", "exemplar")
    RenderJob.objects.update(state=JobState.CANCELLED)
    made = teaching.model(film)
    drawn = teaching.order(alice, project, cells=[cell.key for row in board(project).rows for cell in row.cells])
    assert (drawn.mouths, drawn.options["backend"], drawn.backend) == (made, "neural", "neural")
    assert drawn.fingerprint != plain.fingerprint
    assert drawn.batch.preset["backend"] == "exemplar", "a machine of the release before can render what it asks for"


def test_automatic_stays_with_exemplar_while_no_machine_draws_otherwise(alice: User, team: Team, film: Footage) -> None:
    teaching.model(film)
    teaching.card(backends=["exemplar"])
    assert teaching.order(alice, teaching.board(team, film)).mouths is None


@pytest.mark.parametrize(("backend", "has"), [("exemplar", False), ("neural", True)])
def test_a_preset_that_names_a_way_is_taken_at_its_word(
    backend: str, has: bool, alice: User, team: Team, film: Footage
) -> None:
    made = teaching.model(film)
    Preset.objects.filter(pk=default_preset(team).pk).update(backend=backend)
    job = teaching.order(alice, teaching.board(team, film))
    assert job.mouths == (made if has else None)
    assert job.options["backend"] == backend


def test_removing_one_lets_waiting_jobs_go_on_without(alice: User, bob: User, team: Team, film: Footage) -> None:
    made = teaching.model(film)
    job = teaching.order(alice, teaching.board(team, film))
    mouths.remove(actor=bob, footage=film)
    assert mouths.current(film) is None
    assert made.blob in blobs.unreferenced(older_than=timedelta(0))
    job.refresh_from_db()
    assert (job.mouths, job.backend) == (None, "exemplar")
    assert AuditEvent.objects.filter(action="mouths.removed", actor=bob).exists()
    assert "feed" in AuditEvent.objects.get(action="mouths.removed").label


# Files


def test_files_are_counted_as_a_kind_of_their_own_and_stay_while_a_job_wants_them(
    alice: User, team: Team, film: Footage
) -> None:
    made = teaching.model(film, checkpoint=factories.blob(team, b"unfinished"))
    assert made.blob is not None
    assert sizes_by_team()[team.pk][Kind.MOUTHS] == made.blob.size + len(b"unfinished")
    assert usage(team).mouths == made.blob.size + len(b"unfinished")
    job = teaching.order(alice, teaching.board(team, film))
    MouthModel.objects.update(archived_at=timezone.now())
    upkeep.keep_house()
    assert MouthModel.objects.get().blob is not None
    RenderJob.objects.filter(pk=job.pk).update(state=JobState.CANCELLED)
    upkeep.keep_house()
    assert MouthModel.objects.get().blob is None


def test_a_rule_of_retention_lets_go_of_what_nothing_was_drawn_with_and_use_brings_it_back(
    alice: User, team: Team, film: Footage
) -> None:
    long_ago = timezone.now() - timedelta(days=40)
    made = teaching.model(film, analysed_at=long_ago, log="steps")
    RetentionRule.objects.create(team=team, mouth_days=30, work_days=30)
    job = teaching.order(alice, teaching.board(team, film))
    assert not [thing for thing in retained.plan(team).things if thing.part == retained.Part.MOUTHS], "a job wants it"
    RenderJob.objects.filter(pk=job.pk).update(state=JobState.CANCELLED)
    MediaBlob.objects.update(used_at=timezone.now())
    assert not [thing for thing in retained.plan(team).things if thing.part == retained.Part.MOUTHS], "used lately"
    MediaBlob.objects.update(used_at=None)
    upkeep.keep_house()
    made.refresh_from_db()
    assert (made.blob, made.log, mouths.lacking(film)) == (None, "", "no_mouths")
    teaching.card()
    assert mouths.consider_all() == 0, "nobody has used the footage since"
    RenderJob.objects.all().delete()
    teaching.used(team, film)
    assert mouths.consider_all() == 1


def test_pictures_of_what_newer_ones_replaced_go(team: Team, film: Footage) -> None:
    older, newer = (teaching.model(film, name, picture=factories.blob(team)) for name in ("older", "newer"))
    upkeep.keep_house()
    assert [MouthModel.objects.get(pk=model.pk).picture for model in (older, newer)] == [None, newer.picture]


def test_one_that_the_storage_lost_is_learnt_again_and_told_whose_it_was(bob: User, film: Footage) -> None:
    made = teaching.model(film, created_by=bob)
    assert made.blob is not None
    factories.path_of(made.blob).unlink()
    MediaBlob.objects.update(created_at=timezone.now() - timedelta(days=2))
    found = storage.check()
    assert film.presenter.name in next(lost.belongs_to for lost in found.lost_list if lost.blob == made.blob)
    storage.mend()
    again = MouthModel.objects.get()
    assert (again.state, again.created_by, again.blob) == (AnalysisState.WAITING, bob, None)
