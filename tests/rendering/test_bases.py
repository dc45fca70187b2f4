"""A team's own base model: made by a real child process (a fake engine), used by that team's renders alone."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, AuditEvent, Footage, MediaBlob, Presenter, Project, Team, TeamBase
from projects.problems import HeyGemError
from projects.services import analysis, blobs
from rendering.execution import analyse, render
from rendering.execution import node as this_process
from rendering.execution.child import engine
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import RenderJob, RenderVersion
from rendering.selectors.boards import board
from rendering.selectors.storage import sizes_by_team
from rendering.selectors.usage import Kind
from rendering.services import bases, storage
from rendering.services.batches import start_batch
from tests import factories
from tests.cast import browser


@pytest.fixture(autouse=True)
def _fake_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[None]:
    monkeypatch.setattr(this_process, "_node", None)
    settings.ENGINE_COMMAND = [sys.executable, "-m", "tests.fake_engine"]
    settings.ENGINE_SILENCE_SECONDS = 30
    settings.BACKOFF_SECONDS = 0
    yield
    engine().stop()


def archive(lesson: bytes | None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("track.npz", b"fake track")
        if lesson is not None:
            made.writestr("lesson.npz", lesson)
    return packed.getvalue()


def film(presenter: Presenter, lesson: str = "fake:ok:0.05", *, seconds: float = 25.0, **fields: object) -> Footage:
    """Analysed footage of ``presenter`` that has so many seconds to teach."""
    stored = factories.blob(presenter.team, archive(f"{lesson}\n{presenter.pk}".encode()), "application/zip")
    known = {"analysis": stored, "analysis_engine": ENGINE_VERSION, "figures": {"lesson_s": seconds}}
    return factories.footage(presenter, **(known | fields))


def fill(team: Team, lesson: str = "fake:ok:0.05", *, people: int = 3, seconds: float = 25.0) -> list[Footage]:
    return [film(factories.presenter(team), lesson, seconds=seconds) for _ in range(people)]


def learnt(team: Team, lesson: str = "fake:ok:0.05") -> TeamBase:
    """A base that a worker made of three presenters' footage."""
    fill(team, lesson)
    made = bases.consider(team)
    assert made is not None
    analyse.run_ticket()
    made.refresh_from_db()
    return made


def cells(team: Team) -> Project:
    """A board of one cell that can be rendered."""
    presenter, script = factories.presenter(team), factories.script(team)
    film(presenter, seconds=0.0, blob=factories.blob(team, b"footage"))
    factories.take(script, blob=factories.blob(team, b"fake:ok:0.05\n", "audio/wav"))
    return factories.project(team, presenters=[presenter], scripts=[script])


def render_all(actor: User, project: Project) -> RenderVersion:
    start_batch(actor=actor, project=project, cells=[cell.key for row in board(project).rows for cell in row.cells])
    render.run_ticket()
    return RenderVersion.objects.filter(deliverable__project=project).latest("pk")


def test_enough_footage_brings_a_base_about_by_itself(alice: User, team: Team, media: Path) -> None:
    people = [factories.presenter(team) for _ in range(4)]
    for person in people:
        stored = factories.blob(team, f"fake:ok:0.05\n{person.pk}".encode())
        factories.footage(person, AnalysisState.WAITING, blob=stored)
    for number in range(4):
        assert bases.current(team) is None
        assert "done" in analyse.run_ticket(), f"footage {number} goes before the base"
    assert OrmQ.objects.filter(key="worker").exists(), "somebody is woken"
    assert analyse.run_ticket().startswith("base ")
    made = bases.current(team)
    assert made is not None
    assert (made.presenters, made.speech_s, made.engine) == (4, 76.0, ENGINE_VERSION)
    assert made.figures["opening_after"] == 0.55
    assert set(made.footage) == set(Footage.objects.values_list("public_id", flat=True))
    assert AuditEvent.objects.filter(team=team, action="base.made", actor=None).exists()
    assert analyse.run_ticket() == "nothing to do", "the same footage is not learnt from twice"
    assert bases.consider_all() == 0


@pytest.mark.parametrize(
    ("people", "seconds", "due"), [(3, 25.0, True), (2, 60.0, False), (3, 15.0, False), (3, 0.0, False)]
)
def test_it_takes_three_presenters_and_a_minute(team: Team, people: int, seconds: float, due: bool) -> None:
    fill(team, people=people, seconds=seconds)
    assert (bases.consider(team) is not None) is due


def test_footage_put_away_refused_or_of_an_older_analysis_teaches_nothing(team: Team) -> None:
    one, two, three = fill(team)
    assert bases.material_of(team).is_enough
    now = timezone.now()
    for change in ({"archived_at": now}, {"state": "refused", "error_code": "x"}, {"analysis_engine": "0.1"}):
        Footage.objects.filter(pk=three.pk).update(**change)
        assert not bases.material_of(team).is_enough, change
        Footage.objects.filter(pk=three.pk).update(
            archived_at=None, state="ready", error_code="", analysis_engine=ENGINE_VERSION
        )
    Presenter.objects.filter(pk=one.presenter_id).update(archived_at=now)
    assert not bases.material_of(team).is_enough
    assert two in bases.material_of(team).footage


def test_much_more_speech_or_footage_put_away_is_a_reason_to_learn_again(team: Team, media: Path) -> None:
    learnt(team)
    film(factories.presenter(team), seconds=10.0)
    assert not bases.is_due(team)
    extra = film(factories.presenter(team), seconds=10.0)
    assert bases.is_due(team), "75 s have become 95"
    Footage.objects.filter(pk=extra.pk).update(archived_at=timezone.now())
    assert not bases.is_due(team)
    used = Footage.objects.filter(public_id=TeamBase.objects.get(team=team).footage[0])
    used.update(state=AnalysisState.WAITING)
    film(factories.presenter(team), seconds=12.0)
    assert not bases.is_due(team), "it will be back when it has been looked at again"
    used.update(state=AnalysisState.READY, archived_at=timezone.now())
    film(factories.presenter(team), seconds=30.0)
    assert bases.is_due(team), "nobody shall go on talking like somebody whose footage was put away"


def test_a_newer_base_takes_the_place_of_the_older_and_its_file_stays_while_a_job_wants_it(
    alice: User, team: Team, media: Path
) -> None:
    first = learnt(team)
    project = cells(team)
    start_batch(actor=alice, project=project)
    film(factories.presenter(team), seconds=40.0)
    bases.start(actor=alice, team=team)
    assert analyse.run_ticket().startswith("base ")
    second = bases.current(team)
    assert second is not None
    assert second.identity != first.identity
    assert bases.let_go() == 0
    render.run_ticket()
    assert RenderVersion.objects.get().base == first.identity
    assert bases.let_go() == 1
    assert bases.current(team) == second


def test_what_does_not_pay_is_told_and_not_used(team: Team, media: Path) -> None:
    made = learnt(team, "fake:no_gain:0.05")
    assert (made.state, made.error_code, made.blob) == (AnalysisState.REFUSED, "base_no_gain", None)
    assert made.figures["opening_before"] == 0.4
    assert bases.current(team) is None
    assert not bases.is_due(team)


def test_a_machine_at_fault_is_another_try_and_later_one_more(team: Team, media: Path) -> None:
    made = learnt(team, "fake:oom:0.05")
    assert (made.state, made.attempts) == (AnalysisState.WAITING, 1)
    analyse.run_ticket()
    analyse.run_ticket()
    made.refresh_from_db()
    assert (made.state, made.error_code) == (AnalysisState.REFUSED, "out_of_memory")
    assert not bases.is_due(team)
    TeamBase.objects.update(analysed_at=timezone.now() - timedelta(days=2))
    assert bases.is_due(team)


def test_lessons_that_are_gone_leave_too_little(team: Team, media: Path) -> None:
    fill(team)
    made = bases.consider(team)
    assert made is not None
    lost = factories.blob(team, archive(None), "application/zip")
    Footage.objects.filter(presenter__team=team).update(analysis=lost)
    analyse.run_ticket()
    made.refresh_from_db()
    assert made.figures["presenters"] == 0, "an analysis without a lesson is left out"


def test_one_is_made_at_a_time_and_a_lost_machine_gives_it_back(alice: User, team: Team) -> None:
    fill(team)
    made = bases.start(actor=alice, team=team)
    with pytest.raises(HeyGemError) as caught:
        bases.start(actor=alice, team=team)
    assert caught.value.code == "base_being_made"
    claim = analysis.claim_for_analysis(("take", "footage", "base"))
    assert claim is not None
    assert claim.kind == "base"
    TeamBase.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    analyse.reap()
    made.refresh_from_db()
    assert made.state == AnalysisState.WAITING
    bases.cancel(actor=alice, team=team)
    assert analysis.claim_for_analysis(("base",)) is None
    with pytest.raises(analysis.LeaseLost):
        analysis.report(claim, stage="train", percent=5)


def test_renders_use_the_teams_base_and_a_new_one_makes_nothing_outdated(alice: User, team: Team, media: Path) -> None:
    project = cells(team)
    plain = render_all(alice, project)
    assert plain.base == ""
    made = learnt(team)
    assert board(project).counts.by_state == {"done": 1}
    better = render_all(alice, project)
    assert (better.number, better.base) == (2, made.identity)
    assert better.fingerprint != plain.fingerprint
    assert board(project).counts.by_state == {"done": 1}
    with pytest.raises(HeyGemError) as caught:
        render_all(alice, project)
    assert caught.value.code == "up_to_date"


def test_another_teams_base_is_never_used(alice: User, team: Team, media: Path) -> None:
    bob = factories.user("bobby")
    theirs = factories.team("Bobby's team", owner=bob)
    made = learnt(theirs)
    mine = cells(team)
    version = render_all(alice, mine)
    assert (version.base, RenderJob.objects.get(version=version).base) == ("", None)
    assert bases.current(team) is None
    assert render_all(bob, cells(theirs)).base == made.identity
    assert version.fingerprint != RenderVersion.objects.latest("pk").fingerprint
    for act in (bases.start, bases.cancel):
        with pytest.raises(Http404):
            act(actor=alice, team=theirs)
    with pytest.raises(Http404):
        bases.let_learn(actor=alice, team=theirs, learns=False)


@pytest.mark.parametrize("fault", ["lost", "unknown to the engine"])
def test_a_base_that_cannot_be_used_leaves_the_render_to_the_built_in_model(
    fault: str, alice: User, team: Team, media: Path
) -> None:
    made = learnt(team)
    project = cells(team)
    before = start_batch(actor=alice, project=project).jobs.get().fingerprint
    assert made.blob is not None
    if fault == "lost":
        factories.path_of(made.blob).unlink()
    else:
        other = io.BytesIO()
        with zipfile.ZipFile(other, "w") as packed:
            packed.writestr("base.npz", "of an older engine")
        TeamBase.objects.update(blob=factories.blob(team, other.getvalue(), "application/zip"))
    render.run_ticket()
    version = RenderVersion.objects.get()
    assert (version.base, version.job.state) == ("", "succeeded")
    assert version.fingerprint != before, "it is not what was asked for, and says so"


def test_switching_off_takes_everything_that_was_learnt(alice: User, team: Team, media: Path) -> None:
    made = learnt(team)
    project = cells(team)
    job = start_batch(actor=alice, project=project).jobs.get()
    bases.let_learn(actor=alice, team=team, learns=False)
    assert not TeamBase.objects.exists()
    assert made.blob in blobs.unreferenced(older_than=timedelta(0))
    assert bases.current(team) is None
    assert bases.consider(team) is None
    with pytest.raises(HeyGemError) as caught:
        bases.start(actor=alice, team=team)
    assert caught.value.code == "base_switched_off"
    render.run_ticket()
    version = RenderVersion.objects.get()
    assert version.base == ""
    assert version.fingerprint != job.fingerprint
    bases.let_learn(actor=alice, team=team, learns=True)
    assert TeamBase.objects.get().state == AnalysisState.WAITING
    actions = AuditEvent.objects.filter(team=team).values_list("action", flat=True)
    assert {"team.learning_off", "team.learning_on"} <= set(actions)


def test_its_file_is_counted_as_a_kind_of_its_own_and_made_again_when_lost(team: Team, media: Path) -> None:
    made = learnt(team)
    assert made.blob is not None
    assert sizes_by_team()[team.pk][Kind.BASES] == made.blob.size
    factories.path_of(made.blob).unlink()
    MediaBlob.objects.update(created_at=timezone.now() - timedelta(days=2))
    storage.mend()
    assert TeamBase.objects.get().state == AnalysisState.WAITING


def test_the_settings_page_tells_what_is_missing_what_is_used_and_what_went_wrong(
    alice: User, team: Team, media: Path
) -> None:
    def shown() -> str:
        return browser(alice).get(reverse("projects:team_settings", args=[team.public_id])).content.decode()

    def act(word: str) -> int:
        answer = browser(alice).post(reverse("rendering:learning_act", args=[team.public_id]), {"act": word})
        return int(answer.status_code)

    film(factories.presenter(team), seconds=20.0)
    assert "So far: 1 presenter, 0:20." in shown()
    assert "Learn now" not in shown()
    fill(team)
    assert "Learn now" in shown()
    assert act("start") == 302
    assert "Waiting for a machine" in shown()
    changes = reverse("rendering:learning_changes", args=[team.public_id])
    assert b"hx-get" in browser(alice).get(changes).content
    analyse.run_ticket()
    page = shown()
    assert "0.40 → 0.55" in page
    assert "4 presenters" in page
    assert act("off") == 302
    assert "Switched off" in shown()
    assert act("on") == 302
    Footage.objects.update(analysis=factories.blob(team, archive(b"fake:no_gain:0.05"), "application/zip"))
    analyse.run_ticket()
    assert "does not understand new voices better" in shown()
    assert act("nonsense") == 404


def test_programs_read_how_far_it_is_and_start_it(alice: User, team: Team, charlie: User) -> None:
    fill(team)
    address = reverse("api:team-base", args=[team.public_id])
    assert browser(charlie).get(address).status_code == 404
    told = browser(alice).get(address).json()
    assert (told["learns"], told["presenters"], told["speech_s"], told["current"]) == (True, 3, 75.0, None)
    bases.start(actor=alice, team=team)
    assert browser(alice).get(address).json()["newest"]["state"] == "waiting"
