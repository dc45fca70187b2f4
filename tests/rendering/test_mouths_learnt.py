"""Mouth models learnt by a worker's ticket, with a real child process (a fake engine), and drawn with."""

from __future__ import annotations

import errno
import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, Footage, MediaBlob, MouthModel, Presenter, Team
from projects.services import analysis, blobs, webhooks
from projects.services.work import folder as work_folder
from projects.storage import StorageUnavailable
from rendering import training
from rendering.execution import learn, render
from rendering.execution import node as this_process
from rendering.execution.child import engine
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import JobState, Preset, RenderJob, RenderVersion, WorkerNode
from rendering.selectors.boards import board
from rendering.services import mouths
from rendering.services.presets import default_preset
from tests import factories
from tests.rendering import teaching, work

LONG_AGO = timedelta(minutes=11)


@pytest.fixture(autouse=True)
def _fake_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[None]:
    monkeypatch.setattr(this_process, "_node", None)
    monkeypatch.setattr(render._Turn, "renders", False)
    settings.ENGINE_COMMAND = [sys.executable, "-m", "tests.fake_engine"]
    settings.ENGINE_SILENCE_SECONDS = 30
    settings.BACKOFF_SECONDS = 0
    settings.ENGINE_DEVICE = "fake"
    settings.WORKER_NAME = "here"
    yield
    engine().stop()


@pytest.fixture
def often(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is done now and then is done all the time."""
    settings.MOUTHS_CHECKPOINT_SECONDS = 0
    for name in ("CHECK_S", "SHOW_S"):
        monkeypatch.setattr(learn, name, 0.0)


def drawn(actor: User, team: Team, film: Footage) -> RenderVersion:
    """A new video of ``film``, made by this process."""
    project = teaching.board(team, film)
    teaching.order(actor, project, cells=[cell.key for row in board(project).rows for cell in row.cells])
    render.run_ticket()
    return RenderVersion.objects.latest("pk")


def test_it_is_learnt_kept_and_drawn_with(bob: User, team: Team, presenter: Presenter, often: None) -> None:
    film = teaching.film(presenter)
    mouths.start(actor=bob, footage=film)
    assert render.run_ticket().endswith("done")
    made = mouths.current(film)
    assert made is not None
    assert (made.engine, made.worker, made.size, made.attempts) == (ENGINE_VERSION, "here/gpu", 128, 1)
    assert (made.step, made.steps, made.figures["psnr"], made.failed) == (10, 10, 30.0, [])
    assert made.picture is not None
    assert made.checkpoint is None
    assert "attempt 1 on here/gpu" in made.log
    assert "mouths done" in made.log
    version = drawn(bob, team, film)
    assert (version.drawn_by, version.mouths, version.instead) == ("neural", made.identity, "")
    assert version.preset["backend"] == "neural"
    assert version.fingerprint == version.job.fingerprint
    assert render.run_ticket() == "nothing to do"


def test_one_that_is_not_good_enough_is_told_with_its_figures_and_not_used(
    bob: User, team: Team, presenter: Presenter
) -> None:
    film = teaching.film(presenter, "not_good")
    mouths.start(actor=bob, footage=film)
    render.run_ticket()
    made = MouthModel.objects.get()
    assert (made.state, made.error_code, made.blob) == (AnalysisState.REFUSED, "mouths_not_good", None)
    assert (made.failed, made.figures) == (["psnr"], {"psnr": 20.0, "leak_r": None, "begun": 0.0})
    assert made.picture is not None, "how it draws is seen"
    version = drawn(bob, team, film)
    assert (version.drawn_by, version.mouths, version.instead) == ("exemplar", "", "mouths_not_good")


def test_renders_go_first_and_one_that_waited_long_goes_before_one_of_them(
    bob: User, team: Team, presenter: Presenter
) -> None:
    mouths.start(actor=bob, footage=teaching.film(presenter))
    second = mouths.start(actor=bob, footage=teaching.film(factories.presenter(team)))
    jobs = [_job(team, number) for number in range(2)]
    assert render.run_ticket().startswith(jobs[0].public_id)
    MouthModel.objects.update(created_at=timezone.now() - LONG_AGO)
    assert render.run_ticket().startswith("mouths ")
    assert render.run_ticket().startswith(jobs[1].public_id), "not one training after the other"
    assert render.run_ticket() == f"mouths {second.public_id}: done"


def _job(team: Team, number: int = 0) -> RenderJob:
    """A job that this process can render."""
    footage = teaching.film(factories.presenter(team))
    sound = factories.blob(team, f"fake:ok:0.05\n{number}".encode(), "audio/wav")
    return work.new_job(team, footage=footage, take=factories.take(factories.script(team), blob=sound))


@pytest.mark.parametrize(("waited", "where"), [(False, "disk"), (False, "bucket"), (True, "disk")])
def test_it_gives_way_to_a_render_with_a_checkpoint_unless_it_has_waited_long(
    waited: bool,
    where: str,
    bob: User,
    team: Team,
    presenter: Presenter,
    often: None,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if where == "bucket":
        request.getfixturevalue("s3")
    monkeypatch.setattr(learn, "WAITS_S", 0.1)
    made = mouths.start(actor=bob, footage=teaching.film(presenter, seconds=3.0))
    if waited:
        MouthModel.objects.update(created_at=timezone.now() - LONG_AGO)
    jobs: list[RenderJob] = []

    def a_render_comes(model: MouthModel) -> None:
        if not jobs:
            jobs.append(_job(team))

    _when(monkeypatch, lambda model: model.checkpoint_step >= 3, a_render_comes)
    told = render.run_ticket()
    assert jobs, "it was ordered while the training ran"
    made.refresh_from_db()
    if waited:
        assert (told, made.state) == (f"mouths {made.public_id}: done", AnalysisState.READY)
        return
    assert told == f"mouths {made.public_id}: gave way to a render"
    assert (made.state, made.attempts) == (AnalysisState.WAITING, 0)
    assert made.checkpoint is not None
    assert len([file for file in blobs.all_keys() if file.size == made.checkpoint.size]) == 1, "those before are gone"
    step = made.checkpoint_step
    assert step >= 3
    assert OrmQ.objects.filter(key="gpu").exists()
    assert render.run_ticket().startswith(jobs[0].public_id)
    assert render.run_ticket() == f"mouths {made.public_id}: done"
    made.refresh_from_db()
    assert step <= made.figures["begun"] <= step + 1, "it went on from there"
    begun, engine_ran, stopped, again, went_on, *_rest = _said(made)
    assert (begun, again) == ("attempt 1 on here/gpu",) * 2
    assert engine_ran == "mouths begins"
    assert stopped == f"gave way to a render, kept up to step {step}"
    assert went_on == f"goes on at step {step}"
    assert made.log_end == len(made.log)


def _said(model: MouthModel) -> list[str]:
    """Its log without the times and without how far the engine was."""
    lines = [line.partition("Z ")[2] if line[:4].isdigit() else line for line in model.log.splitlines()]
    return [line for line in lines if " of " not in line]


def _when(monkeypatch: pytest.MonkeyPatch, ready: Callable[[MouthModel], bool], act: Callable[..., None]) -> None:
    """``act`` in the middle of a training, as soon as its row is ``ready``."""
    look = learn.Training.look

    def looking(self: learn.Training) -> None:
        look(self)
        model = MouthModel.objects.get(pk=self.claim.pk)
        if ready(model):
            act(model)

    monkeypatch.setattr(learn.Training, "look", looking)


def test_of_several_trainings_one_gives_way_to_one_render(team: Team, presenter: Presenter) -> None:
    nodes = [teaching.card(f"card{number}") for number in range(3)]
    claims = []
    for node in nodes:
        teaching.model(teaching.film(factories.presenter(team)), state=AnalysisState.WAITING, blob=None)
        claims.append(training.claim_next(node))
    own, others, last = claims
    assert own is not None
    assert others is not None
    assert last is not None
    MouthModel.objects.filter(pk=own.pk).update(automatic=True)
    assert [training.place(claim, waiting=1) for claim in (own, last, others)] == [0, 1, 2]
    assert [training.place(claim, waiting=2) for claim in (own, last, others)] == [0, 0, 1]
    assert training.place(own, waiting=0) is None


def test_stopping_it_ends_the_engine_and_nothing_is_kept(
    bob: User, presenter: Presenter, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = teaching.film(presenter, seconds=3.0)
    mouths.start(actor=bob, footage=film)
    _when(monkeypatch, lambda model: model.step >= 1, lambda model: mouths.cancel(actor=bob, footage=film))
    assert render.run_ticket().endswith("lease lost")
    made = MouthModel.objects.get()
    assert (made.state, made.error_code, made.checkpoint) == (AnalysisState.REFUSED, "cancelled", None)
    assert engine().pid is None


@pytest.mark.parametrize(
    ("mode", "code"), [("crash", "engine_crashed"), ("oom", "out_of_memory"), ("no_face", "no_face")]
)
def test_what_goes_wrong_is_told_and_never_stops_renders(
    mode: str, code: str, alice: User, bob: User, team: Team, presenter: Presenter
) -> None:
    events = ["mouths.ready", "mouths.refused"]
    hook, _secret = webhooks.create_webhook(actor=alice, team=team, url="https://example.com/", events=events)
    film = teaching.film(presenter, mode)
    mouths.start(actor=bob, footage=film)
    for _ in range(3):
        render.run_ticket()
    made = MouthModel.objects.get()
    assert (made.state, made.error_code) == (AnalysisState.REFUSED, code)
    assert made.attempts == (1 if mode == "no_face" else 3)
    assert [line for line in _said(made) if line == code] == [code] * made.attempts, "its log says what ended each try"
    assert [delivery.event for delivery in hook.deliveries.all()] == ["mouths.refused"]
    job = _job(team)
    assert render.run_ticket() == f"{job.public_id}: version 1"


def test_a_machine_that_dies_loses_what_came_after_the_last_checkpoint(
    bob: User, presenter: Presenter, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process were gone: nothing after the checkpoint reaches the database."""

    class Dead(BaseException):
        pass

    def die(model: MouthModel) -> None:
        raise Dead

    made = mouths.start(actor=bob, footage=teaching.film(presenter, seconds=1.0))
    with monkeypatch.context() as patched:
        _when(patched, lambda model: model.checkpoint_step >= 4, die)
        with pytest.raises(Dead):
            render.run_ticket()
    made.refresh_from_db()
    assert (made.state, made.attempts) == (AnalysisState.RUNNING, 1)
    WorkerNode.objects.update(pid=999_999_999)
    monkeypatch.setattr(this_process, "_node", None)
    assert render.run_ticket() == f"mouths {made.public_id}: done", "its successor takes it back at once"
    step = made.checkpoint_step
    made.refresh_from_db()
    assert step <= made.figures["begun"] <= step + 1
    assert "attempt 2 on here/gpu" in made.log


@pytest.mark.parametrize("fault", ["lost", "damaged"])
def test_a_checkpoint_that_cannot_be_read_costs_time_alone(
    fault: str, bob: User, team: Team, presenter: Presenter
) -> None:
    film = teaching.film(presenter)
    made = mouths.start(actor=bob, footage=film)
    kept = factories.blob(team, b"no archive", "application/zip")
    if fault == "lost":
        factories.path_of(kept).unlink()
    MouthModel.objects.update(checkpoint=kept, checkpoint_step=7)
    assert render.run_ticket() == f"mouths {made.public_id}: done"
    made.refresh_from_db()
    assert made.figures["begun"] == 0.0
    assert "begins anew, its checkpoint cannot be read" in _said(made)


def test_a_damaged_model_of_other_footage_does_not_keep_a_new_one_from_being_learnt(
    bob: User, team: Team, presenter: Presenter
) -> None:
    spoilt = factories.blob(team, b"no archive", "application/zip")
    teaching.model(teaching.film(presenter), blob=spoilt)
    made = mouths.start(actor=bob, footage=teaching.film(presenter, seconds=0.05))
    assert render.run_ticket() == f"mouths {made.public_id}: done"
    made.refresh_from_db()
    assert (made.attempts, made.initial) == (1, None), "it began with nothing"


def test_a_storage_that_is_away_costs_the_picture_and_not_the_training(
    bob: User, presenter: Presenter, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = teaching.film(presenter, seconds=0.5)
    store, tried = blobs.store, []

    def away(team: Team, source: Path, content_type: str, **more: object) -> object:
        tried.append(content_type)
        if len(tried) <= 2:
            raise StorageUnavailable("away")
        return store(team, source, content_type, **more)

    monkeypatch.setattr(blobs, "store", away)
    made = mouths.start(actor=bob, footage=film)
    assert render.run_ticket() == f"mouths {made.public_id}: done"
    assert MouthModel.objects.get().attempts == 1
    assert len(tried) > 2


def test_a_database_that_is_away_for_a_moment_costs_nothing(
    bob: User, presenter: Presenter, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, asked = training.place, []

    def away(claim: analysis.Claim, *, waiting: int) -> int | None:
        asked.append(waiting)
        if len(asked) == 2:
            raise OperationalError("away")
        return place(claim, waiting=waiting)

    monkeypatch.setattr(training, "place", away)
    made = mouths.start(actor=bob, footage=teaching.film(presenter, seconds=2.0))
    assert render.run_ticket() == f"mouths {made.public_id}: done"
    assert len(asked) > 2


def test_a_full_disk_at_the_end_is_another_try(
    bob: User, presenter: Presenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mouths.start(actor=bob, footage=teaching.film(presenter))
    store = blobs.store

    def full(team: Team, source: Path, content_type: str, **more: object) -> object:
        if content_type == "application/zip":
            raise OSError(errno.ENOSPC, "no space left on device")
        return store(team, source, content_type, **more)

    with monkeypatch.context() as patched:
        patched.setattr(blobs, "store", full)
        assert render.run_ticket() == f"mouths {made.public_id}: disk_full, waits again"
    assert render.run_ticket() == f"mouths {made.public_id}: done"


def test_a_processor_leaves_what_nobody_asked_for_and_starts_no_engine_for_it(
    team: Team, presenter: Presenter, settings: Settings
) -> None:
    settings.ENGINE_DEVICE = "cpu"
    film = teaching.film(presenter)
    teaching.model(film, state=AnalysisState.WAITING, blob=None, automatic=True)
    assert render.run_ticket() == "nothing to do"
    assert engine().pid is None
    assert not OrmQ.objects.filter(key="gpu").exists(), "no ticket that would find nothing"


# Drawing


def test_a_preset_that_asks_for_one_is_told_why_there_is_none(bob: User, team: Team, presenter: Presenter) -> None:
    film = teaching.film(presenter)
    Preset.objects.filter(pk=default_preset(team).pk).update(backend="neural")
    version = drawn(bob, team, film)
    assert (version.drawn_by, version.instead) == ("exemplar", "no_mouths")
    teaching.model(film, engine="0.1")
    project = version.deliverable.project
    assert board(project).counts.by_state == {"done": 1}
    version = drawn(bob, team, film)
    assert (version.drawn_by, version.instead) == ("exemplar", "stale_mouths")


@pytest.mark.parametrize("fault", ["lost", "not good"])
def test_a_model_that_cannot_be_used_leaves_the_render_to_exemplar_and_says_so(
    fault: str, bob: User, team: Team, presenter: Presenter
) -> None:
    film = teaching.film(presenter)
    made = teaching.model(film)
    project = teaching.board(team, film)
    asked = teaching.order(bob, project)
    assert made.blob is not None
    if fault == "lost":
        factories.path_of(made.blob).unlink()
    else:
        bad = factories.blob(team, teaching.packed("feed", passed=False), "application/zip")
        MouthModel.objects.update(blob=bad)
    render.run_ticket()
    version = RenderVersion.objects.get()
    assert (version.drawn_by, version.mouths) == ("exemplar", "")
    assert version.instead == ("no_mouths" if fault == "lost" else "mouths_not_good")
    assert version.fingerprint != asked.fingerprint, "it is not what was asked for"
    assert board(project).counts.by_state == {"done": 1}


def _cut(archive: bytes) -> bytes:
    return archive[: len(archive) // 2]


def _flipped(archive: bytes) -> bytes:
    """One byte of its network is another one."""
    at = archive.index(b"fake network")
    return archive[:at] + b"F" + archive[at + 1 :]


def _packed_otherwise(archive: bytes) -> bytes:
    """It says of its files that they are packed in a way that nobody knows."""
    return archive.replace(b"PK\x03\x04\x14\x00\x00\x00\x00\x00", b"PK\x03\x04\x14\x00\x00\x00\x63\x00").replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x63\x00"
    )


@pytest.mark.parametrize(
    ("automatic", "damage", "where"),
    [
        (True, _cut, "disk"),
        (True, _flipped, "bucket"),
        (False, _packed_otherwise, "disk"),
        (False, _cut, "bucket"),
    ],
)
def test_a_damaged_model_is_used_no_more_and_the_video_is_made_without_it(
    automatic: bool,
    damage: Callable[[bytes], bytes],
    where: str,
    bob: User,
    team: Team,
    presenter: Presenter,
    client: Client,
    request: pytest.FixtureRequest,
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]],
) -> None:
    if where == "bucket":
        request.getfixturevalue("s3")
    film = teaching.film(presenter)
    if not automatic:
        Preset.objects.filter(pk=default_preset(team).pk).update(backend="neural")
    made = teaching.model(film)
    assert made.blob is not None
    project, later = teaching.board(team, film), teaching.board(team, film)
    asked, waits = teaching.order(bob, project), teaching.order(bob, later)
    _spoil(made.blob, damage)
    with django_capture_on_commit_callbacks(execute=True):
        assert render.run_ticket() == f"{asked.public_id}: version 1"
    version = RenderVersion.objects.get()
    assert (version.drawn_by, version.mouths, version.instead) == ("exemplar", "", "stale_mouths")
    assert version.fingerprint != asked.fingerprint, "it is not what was asked for"
    made.refresh_from_db()
    assert (made.state, made.error_code, made.blob) == (AnalysisState.REFUSED, "stale_mouths", None)
    assert mouths.lacking(film) == "stale_mouths"
    client.force_login(bob)
    page = client.get(f"/footage/{film.public_id}/mouths/").content.decode()
    assert "or its files are damaged. Train it again." in " ".join(re.sub("<[^>]*>", " ", page).split())
    waits.refresh_from_db()
    assert waits.mouths is None
    assert board(project).counts.by_state == {"done": 1}

    again = mouths.start(actor=bob, footage=film)
    while render.run_ticket() != "nothing to do":
        pass
    again.refresh_from_db()
    assert mouths.current(film) == again
    assert drawn(bob, team, film).drawn_by == "neural"


def _spoil(blob: MediaBlob, damage: Callable[[bytes], bytes]) -> None:
    kept = b"".join(blobs.read(blob))
    spoilt = damage(kept)
    assert spoilt != kept
    with work_folder() as folder:
        (folder / "spoilt").write_bytes(spoilt)
        blobs.storage().put(folder / "spoilt", blob.path, blob.content_type, lambda *_: None)


def test_a_network_learnt_again_with_the_same_bytes_does_not_find_the_damaged_ones(
    team: Team, presenter: Presenter, django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]]
) -> None:
    made = teaching.model(teaching.film(presenter))
    assert made.blob is not None
    _spoil(made.blob, _flipped)
    with django_capture_on_commit_callbacks(execute=True):
        mouths.damaged(model=made)
    whole = teaching.packed("feed")
    with blobs.on_disk(blobs.store(team, io.BytesIO(whole), "application/zip")) as path:
        assert path.read_bytes() == whole


def test_a_model_that_is_learnt_later_makes_nothing_outdated_and_rendering_again_uses_it(
    bob: User, team: Team, presenter: Presenter
) -> None:
    film = teaching.film(presenter)
    project = teaching.board(team, film)
    teaching.order(bob, project)
    render.run_ticket()
    teaching.model(film, "beef")
    assert board(project).counts.by_state == {"done": 1}
    keys = [cell.key for row in board(project).rows for cell in row.cells]
    again = teaching.order(bob, project, cells=keys)
    assert (again.state, again.mouths is not None) == (JobState.QUEUED, True)
    render.run_ticket()
    assert RenderVersion.objects.latest("pk").mouths == "beef"
    assert board(project).counts.by_state == {"done": 1}
