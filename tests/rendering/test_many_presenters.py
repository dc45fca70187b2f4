"""One worker, four presenters with networks of their own, twenty videos: what is read and loaded once stays."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from projects.models import Footage, MediaBlob, Team
from projects.services import blobs
from rendering.engine.analysis import read_analysis
from rendering.engine.demo import make_demo_footage, write_wav
from rendering.engine.neural import gate, learn, model
from rendering.engine.neural.net import MouthNet
from rendering.engine.neural.train import Trained
from rendering.engine.prepare import prepare
from rendering.engine.voice.speak import speak
from rendering.execution import node as this_process
from rendering.execution import render
from rendering.execution.child import engine
from rendering.fingerprint import ENGINE_VERSION
from rendering.models import RenderAttempt, RenderVersion, WorkerNode
from rendering.services.batches import start_batch
from rendering.services.presets import create_preset
from tests import factories
from tests.engine.test_neural_draw import GOOD
from tests.rendering import teaching

PRESENTERS, SCRIPTS = 4, 5
SIZE = 128


@pytest.fixture
def real_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch, db: None, media: Path) -> Iterator[None]:
    """Of a worker with a card, for which the processor stands in."""
    monkeypatch.setattr(this_process, "_node", None)
    monkeypatch.setenv("PYTHONPATH", str(settings.BASE_DIR))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings.ENGINE_DEVICE = "fake"
    yield
    engine().stop()


def packed(team: Team, folder: Path) -> MediaBlob:
    blobs.pack(folder, folder.with_suffix(".zip"))
    return blobs.store(team, folder.with_suffix(".zip"), "application/zip")


def filmed(team: Team, tmp_path: Path) -> list[Footage]:
    """The same four seconds of four presenters, as far as anybody can tell who compares bytes, each with a network."""
    video, analysis = tmp_path / "film.mp4", tmp_path / "analysis"
    make_demo_footage(video, seconds=4, size=256, seed=3)
    prepare(video, analysis)
    lips, made = read_analysis(analysis).lips, []
    for number in range(PRESENTERS):
        (analysis / "poster.jpg").write_bytes(bytes([number]))
        mark = b"free" + bytes([number])
        footage = factories.footage(
            factories.presenter(team),
            blob=factories.blob(team, video.read_bytes() + (4 + len(mark)).to_bytes(4, "big") + mark),
            analysis=packed(team, analysis),
            analysis_engine=ENGINE_VERSION,
        )
        mouths = tmp_path / f"mouths {number}"
        mouths.mkdir()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            learn.save(mouths, Trained(MouthNet(2).eval(), SIZE, 1, 28.0, (), 0))
        also = {"identity": model.identity(mouths), "space": model.space(lips)}
        gate.write_report(mouths, gate.judge(GOOD), SIZE, 1, **also)
        teaching.model(footage, also["identity"], blob=packed(team, mouths))
        made.append(footage)
    return made


def memory_of(pid: int) -> int:
    """Bytes that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_twenty_videos_of_four_presenters_read_each_analysis_and_load_each_network_once(
    alice: User, team: Team, real_engine: None, tmp_path: Path
) -> None:
    footage = filmed(team, tmp_path)
    preset = create_preset(actor=alice, team=team, name="Neural", backend="neural", speed="ultrafast")
    held = []
    for number in range(SCRIPTS):  # one board after the other: a worker would rather stay with one presenter
        script = factories.script(team)
        said = speak(f"{number}", "en", rate=16_000)
        write_wav(tmp_path / "take.wav", said.audio, said.rate)
        take = factories.blob(team, (tmp_path / "take.wav").read_bytes(), "audio/wav")
        factories.take(script, blob=take, duration_s=said.duration_s)
        project = factories.project(team, presenters=[each.presenter for each in footage], scripts=[script])
        start_batch(actor=alice, project=project, preset=preset)
        while render.run_ticket() != render.NOTHING:
            held.append(memory_of(engine().pid or 0) if os.path.exists("/proc/self/statm") else 0)
    worker = WorkerNode.objects.get()
    assert (worker.device, "neural" in worker.backends) == ("fake", True)
    versions = list(RenderVersion.objects.all())
    assert len(versions) == len(held) == PRESENTERS * SCRIPTS
    assert {version.drawn_by for version in versions} == {"neural"}
    assert Counter(version.mouths for version in versions).keys() == set(
        footage[0].mouths.model.objects.values_list("identity", flat=True)
    )
    digests = {hashlib.sha256(factories.path_of(version.video).read_bytes()).digest() for version in versions}
    assert len(digests) == len(versions), "every network draws mouths of its own"
    logs = "".join(RenderAttempt.objects.values_list("log", flat=True))
    assert logs.count("analysis read") == PRESENTERS
    assert logs.count("analysis still in memory") == PRESENTERS * (SCRIPTS - 1)
    for identity in {version.mouths for version in versions}:
        assert logs.count(f"network {identity} loaded") == 1
        assert logs.count(f"network {identity} still in memory") == SCRIPTS - 1
    assert held[-1] <= 1.1 * held[4], f"{held} bytes"
