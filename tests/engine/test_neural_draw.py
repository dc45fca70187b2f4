"""Mouths drawn by a network into the presenter's frames, and whether a network may do so."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from rendering.engine import backends
from rendering.engine.check import correlation
from rendering.engine.contract import MOUTHS_REPORT
from rendering.engine.face.blend import box_around, neck
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.media.frames import read_frames
from rendering.engine.neural import gate
from rendering.engine.neural.crops import Crops
from rendering.engine.neural.draw import FADED, LASTING, Network, NeuralMouths, able, lasting
from rendering.engine.neural.footage import GAIN
from rendering.engine.neural.measure import without_head
from rendering.engine.neural.net import MouthNet, composite

COUNT, SIZE = 6, 128

GOOD = gate.Figures(
    usable_s=20.0,
    psnr=25.0,
    ssim=0.81,
    exemplar_psnr=23.5,
    exemplar_ssim=0.78,
    own_opening=0.95,
    own_width=0.9,
    exemplar_own_opening=0.93,
    exemplar_own_width=0.9,
    planned=0.80,
    planned_lag=0,
    exemplar_planned=0.81,
    amplitude=1.0,
    exemplar_amplitude=1.1,
    leak=0.2,
    leak_r=0.1,
    exemplar_leak=0.3,
    exemplar_leak_r=0.2,
    flicker=0.95,
    exemplar_flicker=1.0,
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


def test_what_is_drawn_in_half_as_many_bits_is_the_same_to_a_grey_level(scene, filmed, network):
    maker = NeuralMouths(scene, network)
    frames = _frames(filmed)
    given = [maker._fed(frame, t, maker._under.composer.begin(frame, t)) for t, frame in enumerate(frames)]
    maker.close()
    seen, condition = (np.stack(part) for part in zip(*given, strict=True))
    with torch.inference_mode():
        parts = [torch.from_numpy(part) for part in (seen, condition)]
        exact = 255 * composite(network.net(*parts), parts[0]).permute(0, 2, 3, 1).numpy()
    assert np.abs(network.draw(seen, condition) - exact).max() < 1.5


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


def _differences(filmed, scene, network):
    """(n,) mean distance of each frame drawn by the network to the exemplar's."""
    count = len(scene.order)
    drawn, theirs = (list(read_frames(filmed.video, filmed.info, stop=count)) for _ in range(2))
    makers = NeuralMouths(scene, network), backends.Exemplar(scene, GAIN)
    for maker, frames in zip(makers, (drawn, theirs), strict=True):
        for t, frame in enumerate(frames):
            maker.compose([frame], t)
        maker.close()
    return np.array([np.abs(a.y.astype(int) - b.y).mean() for a, b in zip(drawn, theirs, strict=True)])


def test_what_is_planned_far_beyond_the_footages_mouths_is_left_to_the_exemplar_and_faded(filmed, lips, network):
    count, far = LASTING + 2 * FADED, LASTING + FADED
    plan = lips.encode(filmed.track, 7)[:count].copy()
    plan[far:, 0] = lips.high[0] + 6
    folder, order = filmed.patches.parent, np.arange(count)
    scene = backends.Scene(filmed.track, lips, "A", folder, order, plan, filmed.track, np.zeros(1, np.float32), 25.0)
    apart = _differences(filmed, scene, network)
    assert (apart[far:] == 0).all()
    assert (apart[:far] > 0).all()
    assert apart[far - 1] < apart[: far - FADED].min()


def test_a_mouth_beside_the_pictures_edge_is_the_exemplars(filmed, lips, network):
    width, height = filmed.track.size
    cut = dataclasses.replace(filmed.track, size=(width, height // 2))
    assert not able(cut, Crops(cut, lips, SIZE)).any()


def test_the_network_does_not_come_and_go_frame_by_frame():
    fit = np.ones(60, bool)
    fit[[20, 25, 50]] = False
    fit = lasting(fit)
    assert fit[:20].all()
    assert not fit[20:26].any()
    assert fit[26:50].all()
    assert not fit[50:].any()
    assert lasting(np.ones(3, bool)).all()


def test_a_network_that_answers_with_no_numbers_leaves_the_exemplars_mouth(filmed, scene):
    broken = MouthNet(2)
    torch.nn.init.constant_(broken.leave.bias, float("nan"))
    assert (_differences(filmed, scene, Network(broken, SIZE, torch.device("cpu"))) == 0).all()


def test_fewer_squares_are_drawn_together_when_the_device_has_no_memory_for_more(network):
    class Small(torch.nn.Module):
        def forward(self, seen, condition):
            if len(seen) > 2:
                raise torch.OutOfMemoryError("too many")
            return network.net(seen, condition)

    random = np.random.default_rng(0)
    seen, condition = (random.random(shape, np.float32) for shape in ((5, 10, SIZE, SIZE), (5, 43)))
    small = Network(Small(), SIZE, torch.device("cpu"), 8)
    drawn = small.draw(seen, condition)
    assert small.together == 2
    np.testing.assert_allclose(drawn, network.draw(seen, condition), atol=2)


def test_a_good_network_may_draw():
    assert gate.judge(GOOD).passed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("usable_s", 14.0),
        ("psnr", 24.1),
        ("ssim", 0.77),
        ("own_opening", 0.85),
        ("planned", 0.78),
        ("planned_lag", 1),
        ("amplitude", 0.8),
        ("leak", 0.4),
        ("leak_r", -0.8),
        ("flicker", 1.2),
        ("finest", 1.5),
        ("seam", 2.4),
    ],
)
def test_what_is_not_good_enough_is_named(name, value):
    verdict = gate.judge(dataclasses.replace(GOOD, **{name: value}))
    assert not verdict.passed
    assert (name, value) in [(each.name, each.figure) for each in verdict.failed]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"exemplar_planned": 0.99}, {"planned": 0.94}),
        ({"exemplar_psnr": 26.8}, {"psnr": 27.1}),
        ({"exemplar_own_opening": 0.8, "exemplar_own_width": 0.75}, {"own_opening": 0.79, "own_width": 0.74}),
        ({"exemplar_amplitude": 1.4}, {"amplitude": 1.3}),
        ({"exemplar_leak": 0.5, "exemplar_leak_r": 0.6}, {"leak": 0.45, "leak_r": 0.6}),
        ({"exemplar_flicker": 1.3}, {"flicker": 1.25}),
    ],
)
def test_what_the_clip_itself_makes_hard_is_no_fault_of_a_network(theirs, ours):
    assert gate.judge(dataclasses.replace(GOOD, **theirs, **ours)).passed


def test_a_figure_that_could_not_be_measured_does_not_pass():
    for each in gate.CRITERIA:
        assert not gate.judge(dataclasses.replace(GOOD, **{each.name: float("nan")})).passed, each.name


def test_what_the_tracker_reads_from_a_nod_is_no_leak(filmed):
    track, random = filmed.track, np.random.default_rng(2)
    frames = np.arange(len(track))
    nod = 0.003 * head_turn(track)[:, 1]
    own = random.normal(0, nod.std(), len(frames))
    seen_own = without_head(own + nod, track, frames)
    still = random.normal(0, 0.1 * nod.std(), len(frames)) + nod
    assert correlation(still, own + nod) > 0.5
    assert abs(correlation(without_head(still, track, frames), seen_own)) < 0.25
    assert correlation(without_head(0.3 * own + still, track, frames), seen_own) > 0.9


def test_the_report_is_read_back_and_not_that_of_another_version(tmp_path):
    assert gate.read_report(tmp_path) is None
    verdict = gate.judge(dataclasses.replace(GOOD, leak_r=float("nan")))
    gate.write_report(tmp_path, verdict, SIZE, 100)
    read = gate.read_report(tmp_path)
    assert [each.name for each in read.failed] == ["leak_r"]
    assert read.figures.psnr == GOOD.psnr
    said = json.loads((tmp_path / MOUTHS_REPORT).read_text())
    (tmp_path / MOUTHS_REPORT).write_text(json.dumps(said | {"engine": "0.1"}))
    assert gate.read_report(tmp_path) is None


@pytest.mark.parametrize(
    "said", [b"\xff\xfe", b"{", b"[]", json.dumps({"engine": gate.ENGINE_VERSION, "figures": []}).encode()]
)
def test_a_report_that_cannot_be_read_is_none(said, tmp_path):
    (tmp_path / MOUTHS_REPORT).write_bytes(said)
    assert gate.read_report(tmp_path) is None
