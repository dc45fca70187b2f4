"""Mouths drawn by a network into the presenter's frames, and whether a network may do so."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from rendering.engine import backends
from rendering.engine.errors import EngineError
from rendering.engine.face.blend import box_around, neck
from rendering.engine.face.lips import LipSpace
from rendering.engine.media.frames import read_frames
from rendering.engine.neural import gate, profile
from rendering.engine.neural.crops import Crops
from rendering.engine.neural.draw import Network, NeuralMouths, able
from rendering.engine.neural.footage import GAIN
from rendering.engine.neural.measure import measure
from rendering.engine.neural.net import MouthNet
from rendering.engine.neural.train import Schedule
from rendering.engine.prepare import prepare

COUNT, SIZE = 6, 128

GOOD = gate.Figures(
    usable_s=20.0,
    psnr=28.0,
    ssim=0.85,
    exemplar_psnr=26.5,
    exemplar_ssim=0.83,
    own_opening=0.95,
    own_width=0.9,
    planned=0.96,
    planned_lag=0,
    exemplar_planned=0.95,
    amplitude=1.0,
    leak=0.2,
    leak_r=0.1,
    exemplar_leak=0.3,
    exemplar_leak_r=0.2,
    flicker=0.95,
    middle=0.8,
    finest=1.0,
    seam=2.0,
    exemplar_seam=2.2,
)


@pytest.fixture(scope="module")
def lips(filmed):
    return LipSpace.fit(filmed.track)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Network(MouthNet(2), SIZE, torch.device("cpu"))


@pytest.fixture
def scene(filmed, lips):
    plan = lips.encode(filmed.track, 7)[::-1][:COUNT].copy()
    folder, order = filmed.patches.parent, np.arange(COUNT)
    return backends.Scene(filmed.track, lips, "A", folder, order, plan, filmed.track, np.zeros(1, np.float32), 25.0)


def _frames(filmed):
    return list(read_frames(filmed.video, filmed.info, stop=COUNT))


def _drawn(filmed, scene, network, together):
    frames, maker = _frames(filmed), NeuralMouths(scene, network)
    done = []
    for first in range(0, COUNT, together):
        done += maker.compose(frames[first : first + together], first)
    maker.close()
    return frames, done


def test_only_the_lower_face_changes(filmed, scene, network):
    frames, done = _drawn(filmed, scene, network, 1)
    assert done == [True] * COUNT
    for before, after in zip(_frames(filmed), frames, strict=True):
        changed = before.y != after.y
        points = filmed.track.steady.points[after.index]
        rows, columns = np.nonzero(changed)
        assert changed.mean() > 0.005
        assert rows.min() > points[197, 1]
        left, _, width, _ = box_around(neck(points, float(filmed.track.io[after.index])))
        assert columns.min() >= left
        assert columns.max() < left + width


def test_frames_drawn_together_are_those_drawn_one_by_one(filmed, scene, network):
    single, together = (_drawn(filmed, scene, network, count)[0] for count in (1, 4))
    for a, b in zip(single, together, strict=True):
        assert np.abs(a.y.astype(int) - b.y).max() <= 2  # bfloat16 adds up in another order


def test_a_head_turned_as_it_never_was_keeps_the_exemplars_mouth(filmed, scene, lips, network):
    yaw = filmed.track.yaw.copy()
    turned = dataclasses.replace(filmed.track, yaw=yaw)
    turned.yaw[:COUNT] += 40
    assert not able(turned, Crops(turned, lips, SIZE))[:COUNT].any()
    scene = dataclasses.replace(scene, track=turned)
    frames, _ = _drawn(filmed, scene, network, 3)
    exemplar = backends.Exemplar(scene, GAIN)
    for t, frame in enumerate(_frames(filmed)):
        exemplar.compose([frame], t)
        assert (frame.y == frames[t].y).all()
    exemplar.close()


def test_a_good_network_may_draw():
    assert gate.judge(GOOD).passed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("psnr", 26.9),
        ("ssim", 0.7),
        ("planned", 0.9),
        ("planned_lag", 1),
        ("finest", 1.5),
        ("leak_r", -0.6),
        ("seam", 3.0),
    ],
)
def test_what_is_not_good_enough_is_named(name, value):
    verdict = gate.judge(dataclasses.replace(GOOD, **{name: value}))
    assert not verdict.passed
    assert (name, value) in [(each.name, each.figure) for each in verdict.failed]


def test_a_figure_that_could_not_be_measured_does_not_pass():
    for each in gate.CRITERIA:
        assert not gate.judge(dataclasses.replace(GOOD, **{each.name: float("nan")})).passed, each.name


def test_the_report_is_read_back_and_not_that_of_another_version(tmp_path):
    assert gate.read_report(tmp_path) is None
    verdict = gate.judge(dataclasses.replace(GOOD, leak_r=float("nan")))
    gate.write_report(tmp_path, verdict, SIZE, 100)
    read = gate.read_report(tmp_path)
    assert [each.name for each in read.failed] == ["leak_r"]
    assert read.figures.psnr == GOOD.psnr
    said = json.loads((tmp_path / gate.REPORT).read_text())
    (tmp_path / gate.REPORT).write_text(json.dumps(said | {"engine": "0.1"}))
    assert gate.read_report(tmp_path) is None


def test_what_the_gate_measures_of_an_untaught_network_fails(filmed, lips, network):
    figures = measure(filmed.video, filmed.info, filmed.patches.parent, filmed.track, lips, network)
    failed = {each.name for each in gate.judge(figures).failed}
    assert {"usable_s", "psnr"} <= failed
    assert figures.exemplar_planned > 0.7
    assert all(np.isfinite(value) for value in dataclasses.astuple(figures))


def test_a_presenters_mouths_are_learnt_from_film_to_verdict(filmed, tmp_path):
    prepare(filmed.video, tmp_path)
    stages = []
    schedule = Schedule(steps=2, batch=2, warm_up=1, validate_every=2, checkpoint_every=1)
    verdict = profile.learn_mouths(
        filmed.video, tmp_path, schedule=schedule, size=SIZE, report=lambda stage, done, total: stages.append(stage)
    )
    assert not verdict.passed
    assert gate.read_report(tmp_path) == verdict
    assert list(dict.fromkeys(stages)) == ["collect", "train", "measure"]
    assert not (tmp_path / profile.CHECKPOINT).exists()
    assert (tmp_path / profile.NETWORK).stat().st_size < 6_000_000
    assert profile.load(tmp_path, torch.device("cpu")).size == SIZE


def test_a_network_of_another_version_is_not_drawn_with(tmp_path):
    with pytest.raises(EngineError) as missing:
        profile.load(tmp_path, torch.device("cpu"))
    assert missing.value.code == "stale_analysis"
    torch.save({"form": 1, "engine": "0.1", "size": SIZE, "weights": {}}, tmp_path / profile.NETWORK)
    with pytest.raises(EngineError) as old:
        profile.load(tmp_path, torch.device("cpu"))
    assert old.value.code == "stale_analysis"
