"""Which tracker followed the face: told to the engine, kept with the analysis, part of what makes a video the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, Footage, Presenter, Script
from rendering.engine.errors import EngineError
from rendering.execution import analyse
from rendering.execution import node as this_process
from rendering.execution.child import EngineChild, engine
from rendering.fingerprint import fingerprint
from tests import factories


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
