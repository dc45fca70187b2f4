"""A footage's mouth model: learnt into a folder of its own, and drawing only where it may."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from rendering.engine import backends, device
from rendering.engine.__main__ import main
from rendering.engine.analysis import read_analysis
from rendering.engine.contract import (
    LearntMouths,
    MouthsRequest,
    RenderOptions,
    RenderRequest,
    RenderResult,
    is_card,
)
from rendering.engine.demo import write_wav
from rendering.engine.errors import EngineError
from rendering.engine.evaluate import mouths as measuring
from rendering.engine.evaluate.clips import Clip, study
from rendering.engine.evaluate.filming import dub, write_take
from rendering.engine.evaluate.own_voice import hidden
from rendering.engine.media.frames import read_frames
from rendering.engine.neural import gate, kept, learn, measure, model
from rendering.engine.neural.footage import Lessons
from rendering.engine.neural.learn import learn_mouths
from rendering.engine.neural.train import Schedule, Trained
from rendering.engine.prepare import prepare
from rendering.engine.render import render
from rendering.engine.voice.speak import speak
from tests.engine import restorers
from tests.engine.conftest import Filmed
from tests.engine.test_neural_draw import GOOD, SIZE

ROOT = Path(__file__).resolve().parents[2]
TWO_STEPS = Schedule(steps=2, batch=2, warm_up=1, validate_every=2, checkpoint_every=1)


class StoppedError(Exception):
    pass


@dataclass(frozen=True)
class Learnt:
    footage: Path
    analysis: Path
    out: Path
    interrupted: set[str]
    """Files that the first, interrupted sitting left."""
    stages: list[str]
    measured: list[tuple[int, int]]
    """Reports of the last stage."""
    result: LearntMouths


@pytest.fixture(scope="module")
def learnt(filmed: Filmed, tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    folder = tmp_path_factory.mktemp("learnt")
    prepare(filmed.video, folder / "analysis")
    request = MouthsRequest(footage=filmed.video, analysis=folder / "analysis", out=folder / "mouths", size=SIZE)

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("train", 1):
            raise StoppedError

    def write_down(stage: str, done: int, total: int) -> None:
        stages.append(f"{stage} {done}" if stage == "train" else stage)
        if stage == "measure":
            measured.append((done, total))

    stages: list[str] = []
    measured: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(learn, "LEAST_S", 4.0)  # six seconds are enough to see that it works
        patched.setattr(measure, "DULL", 2.0)  # after two steps it is still more lent than drawn
        with pytest.raises(StoppedError):
            learn_mouths(request, schedule=TWO_STEPS, report=stop)
        interrupted = {path.name for path in request.out.iterdir()}
        result = learn_mouths(request, schedule=TWO_STEPS, report=write_down)
    return Learnt(
        filmed.video, request.analysis, request.out, interrupted, list(dict.fromkeys(stages)), measured, result
    )


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, said = tmp_path_factory.mktemp("take") / "take.wav", speak("Hello.", "en", rate=16_000)
    write_wav(path, said.audio, said.rate)
    return path


@pytest.fixture
def good(learnt: Learnt, tmp_path: Path) -> Path:
    """The same model with the figures of a good one."""
    return called_good(learnt, tmp_path / "good")


def called_good(learnt: Learnt, folder: Path) -> Path:
    shutil.copytree(learnt.out, folder)
    lips = read_analysis(learnt.analysis).lips
    also = {"identity": model.identity(folder), "space": model.space(lips)}
    gate.write_report(folder, gate.judge(GOOD), SIZE, 2, **also)
    return folder


def made(learnt: Learnt, take: Path, out: Path, mouths: Path | None, backend: str = "neural") -> RenderResult:
    options = RenderOptions(backend=backend, speed="ultrafast")
    asked = RenderRequest(
        footage=learnt.footage, analysis=learnt.analysis, audio=take, out=out, options=options, mouths=mouths
    )
    return render(asked)


def test_mouths_are_learnt_from_film_to_verdict(learnt: Learnt) -> None:
    assert not learnt.result.passed
    assert learnt.stages == ["collect", "train 1", "train 2", "measure"], "it went on where it was interrupted"
    assert learnt.measured == sorted(learnt.measured), "it never goes back"
    assert learnt.measured[-1] == (1000, 1000)
    assert (learnt.result.size, learnt.result.steps) == (SIZE, 2)
    assert learnt.result.identity == model.identity(learnt.out)
    assert {"psnr", "usable_s"} <= set(learnt.result.failed) <= learnt.result.figures.keys()
    measured = [value for value in learnt.result.figures.values() if value is not None]
    assert len(measured) == len(learnt.result.figures), "everything could be measured"
    assert (learnt.result.figures["exemplar_planned"] or 0) > 0.7
    verdict = gate.read_report(learnt.out)
    assert verdict is not None
    assert [each.name for each in verdict.failed] == list(learnt.result.failed)
    json.dumps(dataclasses.asdict(learnt.result), allow_nan=False)


def test_what_would_be_refused_for_too_little_footage_is_not_begun(
    learnt: Learnt, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mouths", str(learnt.footage), str(learnt.analysis), str(tmp_path / "mouths")]) == 1
    assert "too little of the presenter's whole face" in capsys.readouterr().err
    assert not (tmp_path / "mouths").exists()
    for seconds, enough in ((learn.LEAST_S, True), (learn.LEAST_S - 0.1, False)):
        assert gate.judge(dataclasses.replace(GOOD, usable_s=seconds)).passed is enough


def test_how_far_it_is_can_be_seen_and_only_the_model_stays(learnt: Learnt) -> None:
    assert learnt.interrupted == {"neural.training", "progress.json"}
    assert {path.name for path in learnt.out.iterdir()} == {
        "neural.pt",
        "neural.json",
        "progress.json",
        "progress.jpg",
    }
    said = json.loads((learnt.out / "progress.json").read_text())
    assert (said["step"], said["steps"], said["eta_s"]) == (2, 2, 0)
    assert said["psnr"] == round(learnt.result.psnr, 2)
    assert cv2.imread(str(learnt.out / "progress.jpg")).shape[0] == 3 * SIZE
    assert (learnt.out / "neural.pt").stat().st_size < 6_000_000


def test_a_good_model_draws_and_its_network_is_loaded_once(learnt: Learnt, good: Path, take: Path) -> None:
    first = made(learnt, take, good / "a.mp4", good)
    assert (first.backend, first.instead, first.mouths) == ("neural", "", learnt.result.identity)
    assert not first.mouths_kept
    moved = shutil.copytree(good, good.parent / "unpacked anew")
    second = made(learnt, take, good / "b.mp4", moved)
    assert second.mouths_kept
    assert (good / "a.mp4").read_bytes() == (good / "b.mp4").read_bytes()
    made(learnt, take, good / "c.mp4", None, backend="exemplar")
    assert (good / "a.mp4").read_bytes() != (good / "c.mp4").read_bytes()


def test_a_model_that_is_not_good_leaves_the_work_to_the_exemplar(learnt: Learnt, take: Path, tmp_path: Path) -> None:
    said = made(learnt, take, tmp_path / "a.mp4", learnt.out)
    assert (said.backend, said.instead, said.mouths) == ("exemplar", "mouths_not_good", "")
    plain = made(learnt, take, tmp_path / "b.mp4", None, backend="exemplar")
    assert (plain.backend, plain.instead) == ("exemplar", "")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_what_a_model_lacks_is_told(learnt: Learnt, good: Path, tmp_path: Path) -> None:
    lips = read_analysis(learnt.analysis).lips
    assert model.standing(good, "A", lips) == model.Standing("", learnt.result.identity)
    assert model.standing(good, "C", lips).instead == "footage_tier"
    assert model.standing(None, "A", lips).instead == "no_mouths"
    assert model.standing(tmp_path, "A", lips).instead == "no_mouths"
    assert model.standing(learnt.out, "A", lips).instead == "mouths_not_good"
    other = dataclasses.replace(lips, mean=lips.mean + 0.02)
    assert model.standing(good, "A", other).instead == "stale_mouths"
    nearly = dataclasses.replace(lips, mean=lips.mean + 0.001)
    assert model.standing(good, "A", nearly).instead == "", "analysed again on another machine"


@pytest.mark.parametrize("how", ["another engine", "half a network", "no network", "no report that can be read"])
def test_a_model_that_does_not_fit_or_is_damaged_is_stale(learnt: Learnt, good: Path, how: str) -> None:
    report, network = good / "neural.json", good / "neural.pt"
    if how == "another engine":
        report.write_text(json.dumps(json.loads(report.read_text()) | {"engine": "0.1"}))
    elif how == "half a network":
        network.write_bytes(network.read_bytes()[:1000])
    elif how == "no network":
        network.unlink()
    else:
        report.write_text("[")
    lips = read_analysis(learnt.analysis).lips
    assert model.standing(good, "A", lips).instead == "stale_mouths"


def test_a_network_of_another_engine_is_not_loaded(tmp_path: Path) -> None:
    for stored in (None, {"form": kept.FORM, "engine": "0.1", "size": SIZE, "weights": {}}, [1]):
        if stored is not None:
            torch.save(stored, tmp_path / "neural.pt")
        with pytest.raises(EngineError) as refused:
            kept.load(tmp_path, torch.device("cpu"))
        assert refused.value.code == "stale_mouths"


def test_what_was_found_out_about_its_detail_is_kept_with_the_network(learnt: Learnt, good: Path) -> None:
    said = model.read_said(learnt.out)
    assert said["dull"] is True
    assert kept.load(learnt.out, torch.device("cpu")).dull
    assert not kept.load(good, torch.device("cpu")).dull, "a report that says nothing of it is an older one"


def test_the_served_engine_learns_mouths_and_says_who_drew(learnt: Learnt, take: Path, tmp_path: Path) -> None:
    shared = {"footage": str(learnt.footage), "analysis": str(learnt.analysis)}
    video, options = {"audio": str(take), "out": str(tmp_path / "a.mp4")}, {"backend": "neural", "speed": "ultrafast"}
    asked = [
        {"id": 1, "op": "mouths", "args": {**shared, "out": str(tmp_path / "mouths"), "limits": {"max_seconds": 60}}},
        {"id": 2, "op": "render", "args": {**shared, **video, "mouths": str(learnt.out), "options": options}},
    ]
    command = [sys.executable, "-m", "rendering.engine", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write("".join(json.dumps(each) + "\n" for each in asked))
        child.stdin.flush()
        ended: list[dict[str, Any]] = []
        while len(ended) < 2:
            event = json.loads(child.stdout.readline())
            ended += [event] if event["event"] in ("failed", "done") else []
        child.stdin.close()
    assert (ended[0]["event"], ended[0]["code"]) == ("failed", "mouths_too_little")
    said = ended[1]["result"]
    assert (said["backend"], said["instead"], said["mouths"]) == ("exemplar", "mouths_not_good", "")


def test_only_the_last_few_networks_are_kept(learnt: Learnt, tmp_path: Path) -> None:
    recent, folders = kept.RecentNetworks(kept=2), []
    for number in range(3):
        folders.append(shutil.copytree(learnt.out, tmp_path / str(number)))
        stored = kept.read(folders[-1]) | {"number": number}
        torch.save(stored, folders[-1] / "neural.pt")
        recent.get(folders[-1])
    assert len(recent) == 2
    assert [recent.holds(model.identity(folder)) for folder in folders] == [False, True, True]
    assert recent.get(folders[1]) is recent.get(folders[1])


def test_a_networks_mouths_are_enhanced_and_the_exemplars_are_not(
    learnt: Learnt, good: Path, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENHANCER_MODEL", str(restorers.saved(restorers.Sharpen(1.0), good / "sharpen.ts")))
    monkeypatch.setenv("ENHANCER_SIZE", "64")
    analysis = read_analysis(learnt.analysis)
    lips, track = analysis.lips, analysis.track
    plan, order = lips.encode(track, 7)[:4].copy(), np.arange(4)
    scene = backends.Scene(
        track, lips, "A", learnt.analysis, order, plan, track, np.zeros(1, np.float32), 25.0, mouths=good
    )
    pictures = {}
    for enhance in (0.0, 1.0):
        frames = list(read_frames(filmed.video, filmed.info, stop=4))
        drawn = backends.make("neural", scene, enhance)
        assert all(drawn.maker.compose(frames, 0))
        drawn.maker.close()
        pictures[enhance] = frames, drawn
    plain, enhanced = pictures[0.0][0], pictures[1.0][0]
    assert pictures[1.0][1].maker.weights.startswith("+")
    assert any((a.y != b.y).any() for a, b in zip(plain, enhanced, strict=True))
    fallen_back = backends.make("neural", dataclasses.replace(scene, mouths=None), 1.0)
    assert isinstance(fallen_back.maker, backends.Exemplar)
    assert (fallen_back.backend, fallen_back.instead) == ("exemplar", "no_mouths")


def test_the_processor_may_pose_as_a_card(monkeypatch: pytest.MonkeyPatch, learnt: Learnt) -> None:
    said = {}
    for name in ("cpu", "fake"):
        monkeypatch.setenv(device.VARIABLE, name)
        said[name] = device.announced(), device.chosen().type, kept.load(learnt.out, device.chosen()).together
    assert said == {"cpu": ("cpu", "cpu", 4), "fake": ("fake", "cpu", 32)}
    assert [is_card(words) for words in ("", "cpu", "fake", "cuda:0: NVIDIA H100")] == [False, False, True, True]


def test_a_piece_is_measured_with_a_network_that_never_saw_it(
    learnt: Learnt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = []

    def train(lessons: Lessons, *arguments: Any, **named: Any) -> Trained:
        taught.append(lessons.frames)
        return measuring_train(lessons, *arguments, **named)

    measuring_train = measuring.train
    monkeypatch.setattr(measuring, "train", train)
    studied = study(Clip("presenter", learnt.footage, learnt.analysis))
    learned = hidden(studied.analysis.track, 0, 50, 9)
    mouths = measuring.Mouths(tmp_path / "kept", steps=1, size=SIZE)
    network = mouths.network(studied, learned, "third-1")
    assert taught[0].min() >= 59
    mouths.network(studied, learned, "third-1")
    assert len(taught) == 1, "the second time it is there"
    sound = np.random.default_rng(1).normal(0, 0.1, 8000).astype(np.float32)
    take, order = write_take(tmp_path / "take.wav", sound, 0.0, 0.4), np.arange(10)
    drawn = []
    for name, by in (("lent", None), ("drawn", network)):
        out = tmp_path / f"{name}.mp4"
        scene = (studied, studied.analysis, learned, order, tmp_path / "take.wav", take, studied.truth[order])
        piece = dub(*scene, out, lambda stage, done, total: None, network=by)
        assert (len(piece.made), piece.stretched) == (10, 0)
        drawn.append(out.read_bytes())
    assert drawn[0] != drawn[1]
