"""Which tracker followed the face: told to the engine, kept with the analysis, part of what makes a video the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, Footage, Presenter, Script
from rendering import workers
from rendering.engine.errors import EngineError
from rendering.execution import analyse
from rendering.execution import node as this_process
from rendering.execution.child import EngineChild, engine
from rendering.fingerprint import ENGINE_VERSION, fingerprint
from rendering.models import WorkerNode
from tests import factories
from tests.cast import browser

DEAD = 1 << 22
"""A number that no process has."""


@pytest.fixture
def _fake_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch, db: None, media: Path) -> Iterator[None]:
    monkeypatch.setattr(this_process, "_node", None)
    settings.ENGINE_COMMAND = [sys.executable, "-m", "tests.fake_engine"]
    yield
    engine().stop()


@pytest.mark.parametrize("name", ["bundled", "face-alignment"])
@pytest.mark.usefixtures("_fake_engine")
def test_an_analysis_says_which_tracker_made_it(presenter: Presenter, settings: Settings, name: str) -> None:
    settings.TRACKER = name
    blob = factories.blob(presenter.team, b"fake:ok:0.05\n")
    footage = factories.footage(presenter, AnalysisState.WAITING, blob=blob)
    assert "done" in analyse.run_ticket()
    footage.refresh_from_db()
    assert footage.analysis_tracker == ("" if name == "bundled" else name)


def test_what_two_trackers_followed_makes_two_videos(presenter: Presenter, script: Script, alice: User) -> None:
    footage, take = factories.footage(presenter), factories.take(script, "en")
    bundled = fingerprint(footage, take, {})
    Footage.objects.filter(pk=footage.pk).update(analysis_tracker="face-alignment-0123456789abcdef")
    footage.refresh_from_db()
    other = fingerprint(footage, take, {})
    footage.analysis_tracker = "face-alignment-fedcba9876543210"
    assert len({bundled, other, fingerprint(footage, take, {})}) == 3


def test_a_worker_without_the_weights_says_so_before_it_opens_anything(settings: Settings, tmp_path: Path) -> None:
    settings.TRACKER, settings.FACE_ALIGNMENT_WEIGHTS = "face-alignment", tmp_path
    child = EngineChild()
    try:
        with pytest.raises(EngineError) as refused:
            child.run(
                "prepare",
                {"footage": str(tmp_path / "none.mp4"), "out": str(tmp_path / "out")},
                report=lambda stage, done, total: None,
            )
    finally:
        child.stop()
    assert refused.value.code == "no_tracker_weights"
    assert refused.value.failure.kind == "suspect", "another machine may have them"


def machine(**fields: str) -> WorkerNode:
    known = {"name": "other/worker", "host": "other", "cluster": "worker", "last_seen_at": timezone.now()}
    return WorkerNode.objects.create(**(known | fields))


@pytest.mark.usefixtures("_fake_engine")
def test_footage_is_followed_again_by_the_tracker_that_followed_it_before(presenter: Presenter) -> None:
    """Where machines differ, whether finished videos become out of date is not left to chance."""
    other = machine(tracker="face-alignment-0123456789abcdef")
    blob = factories.blob(presenter.team, b"fake:ok:0.05\n")
    known = {"analysis_engine": ENGINE_VERSION, "analysis_tracker": "face-alignment-0123456789abcdef"}
    footage = factories.footage(presenter, AnalysisState.WAITING, blob=blob, **known)
    assert analyse.run_ticket() == "nothing to do"
    assert OrmQ.objects.filter(key="worker", lock__gt=timezone.now()).count() == 1, "the other one is woken"
    new = factories.footage(presenter, AnalysisState.WAITING, blob=blob)
    assert new.public_id in analyse.run_ticket()
    WorkerNode.objects.filter(pk=other.pk).update(state=WorkerNode.State.DRAINING)
    assert footage.public_id in analyse.run_ticket(), "there is nobody else"


@pytest.mark.usefixtures("_fake_engine")
def test_a_machine_that_cannot_follow_faces_leaves_footage_to_others_and_says_so(
    presenter: Presenter, script: Script, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE_REFUSED", '{"tracker": "no_tracker_weights"}')
    footage = factories.footage(presenter, AnalysisState.WAITING)
    blob = factories.blob(script.team, b"fake:ok:0.05\n", "audio/wav")
    take = factories.take(script, "en", AnalysisState.WAITING, blob=blob)
    assert take.public_id in analyse.run_ticket()
    assert analyse.run_ticket() == "nothing to do"
    footage.refresh_from_db()
    assert (footage.state, footage.attempts) == (AnalysisState.WAITING, 0)
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    node = WorkerNode.objects.get()
    page = browser(alice).get(f"/farm/workers/{node.pk}/").content.decode()
    assert "its weights are not there" in page
    assert "Something set up on it cannot be used" in browser(alice).get("/farm/").content.decode()
    told = browser(alice).get(f"/api/v1/workers/{node.pk}/").json()
    assert told["refused"] == {"tracker": "no_tracker_weights"}


@pytest.mark.django_db
def test_the_farms_page_says_that_machines_follow_faces_in_different_ways(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    machine(tracker="bundled")
    assert "in different ways" not in browser(alice).get("/farm/").content.decode()
    machine(name="card/worker", tracker="face-alignment-0123")
    page = browser(alice).get("/farm/").content.decode()
    assert "in different ways: bundled, face-alignment-0123." in page


@pytest.mark.django_db
def test_a_worker_tells_which_tracker_is_set_up_before_its_engine_has_started(settings: Settings) -> None:
    settings.WORKER_NAME, settings.TRACKER = "box", "face-alignment"
    node, _ = workers.register("worker")
    assert node.tracker == "face-alignment"
    WorkerNode.objects.update(tracker="face-alignment-0123", pid=DEAD)
    assert workers.register("worker")[0].tracker == "face-alignment-0123", "its weights are taken to be the same"
    settings.TRACKER = "bundled"
    WorkerNode.objects.update(pid=DEAD)
    assert workers.register("worker")[0].tracker == "bundled"
