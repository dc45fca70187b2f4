"""Mouths that a Wav2Lip network draws are blended in like any other, rest in pauses and never spoil a frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rendering.engine.backends import Exemplar, Scene
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.points import LIPS
from rendering.engine.face.track import Follower, opening_width
from rendering.engine.media.frame import Frame
from rendering.engine.media.frames import read_frames
from rendering.engine.wav2lip import checkpoint
from rendering.engine.wav2lip.crops import SIZE, Crops
from rendering.engine.wav2lip.maker import Network, Wav2LipMouths
from tests.engine import checkpoints
from tests.engine.conftest import Filmed

CPU = torch.device("cpu")
FPS = 25.0
Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def lips(filmed: Filmed) -> LipSpace:
    return LipSpace.fit(filmed.track)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def scene(filmed: Filmed, lips: LipSpace, *, frames: int, spoken_s: float, first: int = 0) -> Scene:
    """The footage's own speech backwards, over its frames from ``first`` on; noise for as long as somebody speaks."""
    audio = 0.2 * np.random.default_rng(2).standard_normal(round((frames / FPS + 0.5) * 16_000)).astype(np.float32)
    audio[round(spoken_s * 16_000) :] = 0
    return Scene(
        track=filmed.track,
        lips=lips,
        tier="A",
        analysis=filmed.patches.parent,
        order=np.arange(first, first + frames),
        plan=lips.encode(filmed.track, 7)[::-1][:frames].copy(),
        library=filmed.track,
        audio16k=audio,
        fps=FPS,
    )


def made(filmed: Filmed, scene: Scene, network: Network | None) -> Iterator[tuple[Frame, bool]]:
    """The frames as ``network`` draws them over the exemplar's; as the exemplar draws them where it is None."""
    maker = Wav2LipMouths(scene, network, Exemplar(scene)) if network is not None else Exemplar(scene)
    frames = read_frames(filmed.video, filmed.info, start=int(scene.order[0]), stop=int(scene.order[-1]) + 1)
    waiting = list(frames)
    for first in range(0, len(waiting), maker.together):
        some = waiting[first : first + maker.together]
        yield from zip(some, maker.compose(some, first), strict=True)
    maker.close()


def network(path: Path, together: int = 3) -> Network:
    return Network(checkpoint.load(path, CPU), CPU, together)


def test_a_crop_put_back_lies_where_it_was_cut(filmed: Filmed) -> None:
    crops = Crops(filmed.track)
    for frame in read_frames(filmed.video, filmed.info, stop=1):
        cut = crops.cut(frame, 0)
        corners = np.array([[0, 0], [SIZE, SIZE]]) @ crops.matrix(0)[:, :2].T + crops.matrix(0)[:, 2]
        x, y = np.ceil(corners[0] / 2).astype(int) * 2 + 14
        box = (int(x), int(y), int(corners[1, 0] - x) - 16, int(corners[1, 1] - y) - 16)
        laid, covered = crops.lay(cut, 0, box)
        assert np.abs(laid.astype(int) - frame.bgr(box)).mean() < 6, "no sharper than 96 pixels"
        shifted = np.abs(np.roll(laid, 4, axis=1).astype(int) - frame.bgr(box)).mean()
        assert np.abs(laid.astype(int) - frame.bgr(box)).mean() < 0.6 * shifted
        assert covered.min() > 0.99


def test_the_crop_holds_the_face_upright_with_the_mouth_in_its_lower_half(filmed: Filmed) -> None:
    crops = Crops(filmed.track)
    for index in range(0, 100, 20):
        matrix = np.vstack([crops.matrix(index), [0, 0, 1]])
        points = filmed.track.steady.points[index][:, :2]
        places = np.column_stack([points, np.ones(len(points))]) @ np.linalg.inv(matrix).T
        assert places[LIPS, 1].min() > SIZE / 2
        assert places[152, 1] < SIZE - 1, "the chin"
        assert abs(places[33, 1] - places[263, 1]) < 2, "the eyes"


def test_a_network_that_copies_its_reference_shows_the_planned_mouth(
    filmed: Filmed, lips: LipSpace, weights: Path
) -> None:
    """Cut, network, and laying back end to end: what comes out is the planned mouth, blurred to 96 pixels."""
    given = scene(filmed, lips, frames=28, spoken_s=9.0)
    copied = [frame for frame, _ in made(filmed, given, network(checkpoints.copying(weights / "copying.pth"), 4))]
    follower = Follower(None)
    seen = [float(opening_width(follower(frame, cut=False)[0][None, LIPS])[0][0]) for frame in copied]
    planned = lips.opening_width(given.plan)[:, 0]
    assert np.corrcoef(seen, planned)[0, 1] > 0.85
    assert np.corrcoef(seen, planned)[0, 1] > np.corrcoef(seen, filmed.track.opening[:28])[0, 1] + 0.3


def planes(frame: Frame) -> Planes:
    return frame.y.copy(), frame.u.copy(), frame.v.copy()


def test_in_pauses_the_presenters_own_mouth_rests_untouched(filmed: Filmed, lips: LipSpace, weights: Path) -> None:
    given = scene(filmed, lips, frames=24, spoken_s=0.32)
    grey = network(checkpoints.painting(weights / "grey.pth", 0.5), 5)
    drawn = [planes(frame) for frame, _ in made(filmed, given, grey)]
    own = [planes(frame) for frame, _ in made(filmed, given, None)]
    changed = [any((a != b).any() for a, b in zip(*pair, strict=True)) for pair in zip(drawn, own, strict=True)]
    assert all(changed[:8])
    assert not any(changed[16:])


def test_only_the_lower_face_is_painted_and_no_rectangle_shows(filmed: Filmed, lips: LipSpace, weights: Path) -> None:
    given = scene(filmed, lips, frames=4, spoken_s=9.0)
    grey = network(checkpoints.painting(weights / "grey.pth", 0.5), 4)
    drawn, own = (list(made(filmed, given, by)) for by in (grey, None))
    for t, ((frame, _), (before, _)) in enumerate(zip(drawn, own, strict=True)):
        points, io = filmed.track.steady.points[t][:, :2], filmed.track.io[t]
        change = np.abs(frame.y.astype(int) - before.y)
        rows, columns = np.nonzero(change)
        assert rows.min() > points[5, 1], "nothing above the nose"
        away = np.linalg.norm(np.column_stack([columns, rows])[:, None] - points[LIPS], axis=2).min(axis=1)
        assert away.max() < 0.4 * io, "nothing far from the lips"
        assert change[int(points[14, 1]), int(points[14, 0])] > 5, "the mouth is covered"
        outside = away > 0.75 * away.max()
        assert np.percentile(change[rows, columns][outside], 95) < 20, "it fades out"


def test_frames_without_a_face_keep_every_byte(filmed: Filmed, lips: LipSpace, weights: Path) -> None:
    gone = np.zeros(len(filmed.track), bool)
    gone[4:6] = True
    lost = dataclasses.replace(filmed.track, covered=filmed.track.covered | gone)
    given = dataclasses.replace(scene(filmed, lips, frames=8, spoken_s=9.0), track=lost)
    grey = network(checkpoints.painting(weights / "grey.pth", 0.5), 4)
    filmed_planes = [planes(frame) for frame in read_frames(filmed.video, filmed.info, stop=8)]
    for t, (frame, drawn) in enumerate(made(filmed, given, grey)):
        assert drawn == (t not in (4, 5))
        same = all((a == b).all() for a, b in zip(planes(frame), filmed_planes[t], strict=True))
        assert same == (not drawn)


def test_a_frame_for_which_the_network_has_no_answer_keeps_its_own_pixels(
    filmed: Filmed, lips: LipSpace, weights: Path
) -> None:
    def fails_once(_: object, given: object, answer: torch.Tensor) -> torch.Tensor:
        answer[1, 0, 50, 50] = float("nan")
        return answer

    given = scene(filmed, lips, frames=3, spoken_s=9.0)
    grey = network(checkpoints.painting(weights / "grey.pth", 0.5), 3)
    with grey.net.register_forward_hook(fails_once):
        result = list(made(filmed, given, grey))
    assert [drawn for _, drawn in result] == [True, False, True]
    before = [planes(frame) for frame in read_frames(filmed.video, filmed.info, stop=3)]
    same = [all((a == b).all() for a, b in zip(planes(result[t][0]), before[t], strict=True)) for t in range(3)]
    assert same == [False, True, False]


def test_the_video_does_not_depend_on_how_many_frames_are_drawn_together(
    filmed: Filmed, lips: LipSpace, weights: Path
) -> None:
    path = checkpoints.random_weights(weights / "random.pth")
    given = scene(filmed, lips, frames=7, spoken_s=9.0)
    one, four = ([planes(frame) for frame, _ in made(filmed, given, network(path, n))] for n in (1, 4))
    for first, second in zip(one, four, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
