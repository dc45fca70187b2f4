"""The whole way of a mouth model with the real engine: filmed, analysed, learnt from and drawn with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from projects.models import AnalysisState, Presenter, Team
from projects.services import blobs
from rendering.engine.demo import make_demo_footage, write_wav
from rendering.engine.voice.speak import speak
from rendering.execution import analyse, render
from rendering.execution import node as this_process
from rendering.execution.child import engine
from rendering.models import RenderVersion
from rendering.services import mouths
from tests import factories
from tests.rendering import teaching


@pytest.fixture
def real_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch, db: None, media: Path) -> Iterator[None]:
    monkeypatch.setattr(this_process, "_node", None)
    monkeypatch.setenv("PYTHONPATH", str(settings.BASE_DIR))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(mouths, "MIN_SECONDS", 4.0)
    settings.ENGINE_COMMAND = [sys.executable, "-m", "tests.lenient_engine"]
    settings.ENGINE_DEVICE, settings.MOUTHS_STEPS = "cpu", 4
    yield
    engine().stop()


def test_a_person_has_one_learnt_and_the_next_video_is_drawn_with_it(
    bob: User, team: Team, presenter: Presenter, tmp_path: Path, real_engine: None
) -> None:
    make_demo_footage(tmp_path / "Ada.mp4", seconds=6, size=256, seed=3)
    said = speak("Hello.", "en", rate=16_000)
    write_wav(tmp_path / "hello.wav", said.audio, said.rate)
    film = factories.footage(
        presenter, AnalysisState.WAITING, blob=factories.blob(team, (tmp_path / "Ada.mp4").read_bytes())
    )
    sound = factories.blob(team, (tmp_path / "hello.wav").read_bytes(), "audio/wav")
    script = factories.script(team)
    factories.take(script, state=AnalysisState.WAITING, blob=sound)
    while analyse.run_ticket() != "nothing to do":
        pass
    film.refresh_from_db()

    made = mouths.start(actor=bob, footage=film)
    assert render.run_ticket() == f"mouths {made.public_id}: done"
    made.refresh_from_db()
    assert (made.state, made.step, made.steps, made.size) == (AnalysisState.READY, 4, 4, 128)
    assert {"psnr", "leak_r", "seam"} <= made.figures.keys()
    assert all(f" {stage} " in made.log for stage in ("collect", "train", "measure")), "its own log"
    assert made.picture is not None
    with blobs.on_disk(made.picture) as picture:
        assert picture.read_bytes().startswith(b"\xff\xd8"), "a JPEG"

    project = factories.project(team, presenters=[presenter], scripts=[script])
    teaching.order(bob, project)
    render.run_ticket()
    version = RenderVersion.objects.get()
    assert (version.drawn_by, version.mouths, version.instead) == ("neural", made.identity, "")
    assert version.quality["sharpness"] > 0
