"""Footage and takes are looked at by a real child process (a fake engine that speaks the real protocol)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, AudioTake, Footage, Presenter, Project, Script, Team
from projects.services import analysis, blobs, work
from projects.services.footage import reanalyse_footage
from rendering import queue
from rendering.execution import analyse
from rendering.execution import node as this_process
from rendering.execution.child import engine
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import Board, JobState, RenderJob, WorkerNode
from rendering.services.batches import start_batch
from tests import factories


@pytest.fixture(autouse=True)
def _fake_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[None]:
    monkeypatch.setattr(this_process, "_node", None)
    settings.ENGINE_COMMAND = [sys.executable, "-m", "tests.fake_engine"]
    settings.ENGINE_SILENCE_SECONDS = 1
    yield
    engine().stop()


def waiting_footage(presenter: Presenter, mode: str = "ok") -> Footage:
    blob = factories.blob(presenter.team, f"fake:{mode}:0.05\n{presenter.pk}".encode())
    return factories.footage(presenter, AnalysisState.WAITING, blob=blob)


def waiting_take(script: Script, mode: str = "ok") -> AudioTake:
    blob = factories.blob(script.team, f"fake:{mode}:0.05\n{script.pk}".encode(), "audio/wav")
    return factories.take(script, "en", AnalysisState.WAITING, blob=blob)


def test_footage_is_looked_at_once_and_what_was_found_is_kept(presenter: Presenter, media: Path) -> None:
    footage = waiting_footage(presenter)
    assert "done" in analyse.run_ticket()
    footage.refresh_from_db()
    assert footage.state == AnalysisState.READY
    assert (footage.width, footage.fps, footage.duration_s, footage.tier) == (320, 25.0, 20.0, "A")
    assert footage.speech_spans == [[0.5, 19.5]]
    assert footage.poster is not None
    assert factories.path_of(footage.poster).read_bytes() == b"fake picture"
    assert factories.path_of(footage.playable).read_bytes() == b"fake preview"
    assert footage.analysis is not None
    with blobs.unpacked(footage.analysis) as folder:
        assert (folder / "track.npz").read_bytes() == b"fake track"
    assert list(work.root().iterdir()) == []
    assert footage.lease_token is None
    assert analyse.run_ticket() == "nothing to do"


def test_the_engine_is_told_which_face_was_chosen(presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    footage.chosen_face = [0.7, 0.4]
    footage.save(update_fields=["chosen_face"])
    assert "done" in analyse.run_ticket()
    footage.refresh_from_db()
    assert footage.faces == [[0.1, 0.2, 0.2, 0.4], [0.6, 0.2, 0.2, 0.4]]
    assert footage.presenter_face == 1


def test_takes_go_before_footage(presenter: Presenter, script: Script) -> None:
    waiting_footage(presenter)
    take = waiting_take(script)
    analyse.run_ticket()
    take.refresh_from_db()
    assert take.state == AnalysisState.READY
    assert take.duration_s == 4.0
    assert len(take.waveform) == 400


def test_what_has_no_face_is_refused_at_once_with_the_reason(presenter: Presenter) -> None:
    footage = waiting_footage(presenter, "no_face")
    analyse.run_ticket()
    footage.refresh_from_db()
    assert (footage.state, footage.error_code, footage.attempts) == (AnalysisState.REFUSED, "no_face", 1)
    assert [finding["code"] for finding in footage.findings] == ["no_face"]


@pytest.mark.parametrize("mode", ["crash", "hang"])
def test_what_ends_the_engine_is_tried_three_times_and_then_refused(presenter: Presenter, mode: str) -> None:
    footage = waiting_footage(presenter, mode)
    other = waiting_footage(factories.presenter(presenter.team))
    for attempt in (1, 2, 3):
        assert "engine_" in analyse.run_ticket()
        footage.refresh_from_db()
        assert footage.attempts == attempt
    assert (footage.state, footage.error_code) == (AnalysisState.REFUSED, "engine_crashed")
    analyse.run_ticket()
    other.refresh_from_db()
    assert other.state == AnalysisState.READY, "the next footage is looked at by a fresh engine"


def test_a_machine_out_of_memory_is_another_try_with_its_own_code(presenter: Presenter) -> None:
    footage = waiting_footage(presenter, "oom")
    analyse.run_ticket()
    footage.refresh_from_db()
    assert footage.state == AnalysisState.WAITING
    assert OrmQ.objects.filter(key="worker").exists(), "somebody is woken for the next try"
    analyse.run_ticket()
    analyse.run_ticket()
    footage.refresh_from_db()
    assert (footage.state, footage.error_code) == (AnalysisState.REFUSED, "out_of_memory")


def test_what_a_lost_worker_held_is_taken_back_and_at_last_refused(presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    for attempt in (1, 2, 3):
        claim = analysis.claim_for_analysis()
        assert claim is not None
        assert claim.attempt == attempt
        assert analysis.reap() == [], "a lease that lasts is left alone"
        Footage.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        analyse.reap()
        analyse.reap()
    assert OrmQ.objects.filter(key="worker").count() == 1, "one ticket is enough for what waits"
    footage.refresh_from_db()
    assert (footage.state, footage.error_code) == (AnalysisState.REFUSED, "engine_crashed")


def test_a_late_analyser_is_refused_and_changes_nothing(presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    late = analysis.claim_for_analysis()
    assert late is not None
    Footage.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    analysis.reap()
    current = analysis.claim_for_analysis()
    assert current is not None
    with pytest.raises(analysis.LeaseLost):
        analysis.finish_footage(late, measured={"width": 1}, findings=[])
    with pytest.raises(analysis.LeaseLost):
        analysis.report(late, stage="track", percent=50)
    with pytest.raises(analysis.LeaseLost):
        analysis.refuse(late, code="no_face")
    analysis.report(current, stage="track", percent=50)
    footage.refresh_from_db()
    assert (footage.state, footage.stage, footage.progress) == (AnalysisState.RUNNING, "track", 50)


def test_progress_is_what_extends_the_lease(presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    claim = analysis.claim_for_analysis()
    assert claim is not None
    soon = timezone.now() + timedelta(seconds=1)
    Footage.objects.update(lease_expires_at=soon)
    analysis.report(claim, stage="track", percent=1)
    footage.refresh_from_db()
    assert footage.lease_expires_at is not None
    assert footage.lease_expires_at > soon


def test_a_worker_that_is_told_to_stop_does_not_spend_an_attempt(presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    claim = analysis.claim_for_analysis()
    assert claim is not None
    analysis.put_back(claim)
    footage.refresh_from_db()
    assert (footage.state, footage.attempts) == (AnalysisState.WAITING, 0)


def test_warnings_are_a_verdict_of_their_own(presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    claim = analysis.claim_for_analysis()
    assert claim is not None
    finding = {"code": "little_speech", "level": "warning", "figure": 4.0}
    analysis.finish_footage(claim, measured={}, findings=[finding])
    footage.refresh_from_db()
    assert footage.state == AnalysisState.WARNINGS
    assert footage.is_usable


def test_a_render_goes_on_with_the_analysis_it_began_with(bob: User, presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    analyse.run_ticket()
    footage.refresh_from_db()
    first = footage.analysis
    assert first is not None
    with blobs.unpacked(first) as folder:
        reanalyse_footage(actor=bob, footage=footage)
        Footage.objects.update(analysis=None)
        blobs.delete_unreferenced(older_than=timedelta(days=-1))
        analyse.run_ticket()
        assert (folder / "track.npz").read_bytes() == b"fake track"
    footage.refresh_from_db()
    assert footage.analysis is not None
    with blobs.unpacked(footage.analysis) as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["lesson.npz", "track.npz"]


def test_footage_whose_analysis_is_no_longer_kept_is_looked_at_again_when_it_is_needed(
    bob: User, project: Project, presenter: Presenter, script: Script
) -> None:
    waiting_take(script)
    footage = waiting_footage(presenter)
    for _ in range(2):
        analyse.run_ticket()
    start_batch(actor=bob, project=project)
    assert queue.claimable().count() == 1
    Footage.objects.update(analysis=None)
    assert not queue.claimable().exists()
    queue.tidy()
    footage.refresh_from_db()
    assert footage.state == AnalysisState.WAITING
    analyse.run_ticket()
    assert queue.claimable().count() == 1


def test_waiting_jobs_are_woken_or_fail_with_the_footages_code(
    bob: User, team: Team, project: Project, presenter: Presenter, script: Script
) -> None:
    waiting_take(script)
    waiting_footage(presenter)
    bad = factories.presenter(team, "Bad")
    waiting_footage(bad, "no_face")
    project.rows.create(presenter=bad, position=1)
    start_batch(actor=bob, project=project)
    OrmQ.objects.all().delete()  # tickets that found nothing to do yet
    before = Board.objects.get(project=project).revision
    for _ in range(3):
        analyse.run_ticket()
    assert Board.objects.get(project=project).revision > before
    states = {job.deliverable.presenter.name: (job.state, job.error_code) for job in RenderJob.objects.all()}
    assert states == {"Ada": (JobState.QUEUED, ""), "Bad": (JobState.FAILED, "no_face")}
    assert OrmQ.objects.filter(key="gpu").exists()


def test_deleted_while_it_was_looked_at(presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    claim = analysis.claim_for_analysis()
    assert claim is not None
    footage.delete()
    with pytest.raises(analysis.LeaseLost):
        claim.item()


def test_a_picture_that_was_put_away_is_not_looked_at(presenter: Presenter) -> None:
    footage = waiting_footage(presenter)
    Footage.objects.update(archived_at=timezone.now())
    assert analysis.claim_for_analysis() is None
    footage.refresh_from_db()
    assert footage.state == AnalysisState.WAITING


def analyser(**fields: object) -> WorkerNode:
    """The row of this very process, as it registers when it takes its first ticket."""
    analyse.run_ticket()
    node = WorkerNode.objects.get(cluster="worker")
    WorkerNode.objects.filter(pk=node.pk).update(**fields)
    return node


def test_an_analyser_that_is_paused_leaves_what_waits_to_others(presenter: Presenter) -> None:
    node = analyser(state=WorkerNode.State.PAUSED)
    footage = waiting_footage(presenter)
    assert analyse.run_ticket() == "this worker is not active"
    footage.refresh_from_db()
    assert footage.state == AnalysisState.WAITING
    assert OrmQ.objects.filter(key="worker", lock__gt=timezone.now()).count() == 1, "its ticket is there a little later"
    WorkerNode.objects.filter(pk=node.pk).update(state=WorkerNode.State.ACTIVE)
    assert "done" in analyse.run_ticket()


def test_an_analyser_leaves_footage_alone_that_no_worker_could_render_afterwards(
    presenter: Presenter, script: Script
) -> None:
    """Its engine is older or newer than those of all workers that render."""
    known = {"host": "box", "cluster": "gpu", "last_seen_at": timezone.now(), "backends": ["exemplar"]}
    renderer = WorkerNode.objects.create(name="box/gpu", engine="another", **known)
    footage, take = waiting_footage(presenter), waiting_take(script)
    assert "done" in analyse.run_ticket()
    assert analyse.run_ticket() == "nothing to do"
    footage.refresh_from_db()
    take.refresh_from_db()
    assert (footage.state, take.state) == (AnalysisState.WAITING, AnalysisState.READY)
    WorkerNode.objects.filter(pk=renderer.pk).update(engine=ENGINE_VERSION)
    assert "done" in analyse.run_ticket()
