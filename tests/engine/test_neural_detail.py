"""Detail that the lent mouth lends to a drawn one: coarser between the lips of a dull network than around them."""

import cv2
import numpy as np
import pytest
import torch

from rendering.engine import backends
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.points import LIPS_OUTER
from rendering.engine.media.frames import read_frames
from rendering.engine.neural.crops import Crops
from rendering.engine.neural.detail import DULL, FINE, FINE_INSIDE, coarse
from rendering.engine.neural.draw import Network, NeuralMouths
from rendering.engine.neural.measure import BAND, Look

COUNT, SIZE, IO = 8, 128, 100.0


class Grey(torch.nn.Module):
    """Draws every mouth as nothing but grey."""

    def forward(self, seen, condition):
        return torch.full_like(seen[:, :3], 0.5)


@pytest.fixture(scope="module")
def lips(filmed):
    return LipSpace.fit(filmed.track)


@pytest.fixture
def scene(filmed, lips):
    """The footage's widest mouths, in the frames that have them."""
    codes = lips.encode(filmed.track, 7)
    order = np.argsort(lips.opening_width(np.nan_to_num(codes))[:, 0])[-COUNT:]
    order = np.arange(order[-1] - COUNT // 2, order[-1] + COUNT // 2)
    folder = filmed.patches.parent
    return backends.Scene(
        filmed.track, lips, "A", folder, order, codes[order], filmed.track, np.zeros(1, np.float32), 25.0
    )


def _stripes():
    """(200, 400, 3) of a pitch of .08 IO: what is coarse around the lips holds a third of it."""
    return np.tile(np.sin(2 * np.pi * np.arange(400) / (0.08 * IO))[None, :, None], (200, 1, 3)).astype(np.float32)


def _inside():
    inside = np.zeros((200, 400), np.float32)
    inside[80:120, 100:300] = 1
    return inside


def test_what_is_coarse_around_the_lips_is_detail_between_them():
    left = np.abs(coarse(_stripes(), _inside(), IO)[..., 0])
    assert left[80:120, 100:300].max() < 0.1
    assert left[:80].max() > 0.25


def test_only_the_pixels_near_by_count():
    picture = np.random.default_rng(0).normal(size=(200, 400, 3)).astype(np.float32)
    coarser, fine = (cv2.GaussianBlur(picture, (0, 0), way * IO) for way in (FINE_INSIDE, FINE))
    wanted = np.where(_inside()[..., None] > 0, coarser, fine)
    np.testing.assert_allclose(coarse(picture, _inside(), IO), wanted, atol=1e-5)


def test_a_closed_mouth_and_a_network_that_is_not_dull_are_lent_the_finest_only():
    picture = _stripes()
    fine = cv2.GaussianBlur(picture, (0, 0), FINE * IO)
    for inside in (np.zeros((200, 400), np.float32), None):
        np.testing.assert_array_equal(coarse(picture, inside, IO), fine)


def test_a_blurred_mouth_is_dull_and_a_filmed_one_is_not(filmed, lips):
    crops, indices = Crops(filmed.track, lips, SIZE), (10, 30, 50)
    frames = list(read_frames(filmed.video, filmed.info, stop=51))
    squares = np.stack([crops.cut(frames[index], index) for index in indices])
    blurred = np.stack([cv2.GaussianBlur(square, (0, 0), FINE * crops.pixels_per_io) for square in squares])
    look = Look(crops, [crops.wanted(crops.own_codes()[index], index) for index in indices])
    assert look.share(squares, squares, BAND) == 1
    assert look.share(blurred, squares, BAND) < DULL


def _drawn(filmed, scene, dull):
    """(n, H, W) luma of the frames with mouths."""
    order = scene.order.tolist()
    frames = list(read_frames(filmed.video, filmed.info, start=order[0], stop=order[-1] + 1))
    maker = NeuralMouths(scene, Network(Grey(), SIZE, torch.device("cpu"), COUNT, dull=dull))
    maker.compose(frames, 0)
    maker.close()
    return np.stack([frame.y for frame in frames])


@pytest.mark.parametrize("where", ["cpu", "fake"])
def test_a_dull_network_shows_more_of_the_lent_mouth_between_the_lips_and_there_alone(
    filmed, scene, lips, where, monkeypatch
):
    monkeypatch.setenv("ENGINE_DEVICE", where)
    sharp, dull = (_drawn(filmed, scene, each) for each in (False, True))
    crops = Crops(filmed.track, lips, SIZE)
    for t, index in enumerate(scene.order.tolist()):
        wanted = crops.wanted(scene.plan[t], index)
        corner, matrix = len(LIPS_OUTER), crops.matrix(index)
        places = (wanted.lips[corner:] @ matrix[:, :2].T + matrix[:, 2]).astype(np.int32)
        inside = cv2.fillPoly(np.zeros(sharp[t].shape, np.uint8), [places], 1) > 0
        around = cv2.dilate(inside.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        assert (sharp[t] != dull[t])[inside].mean() > 0.3
        assert (sharp[t] == dull[t])[~around].all()
        assert sharp[t][inside].std() < dull[t][inside].std(), "teeth and dark between them stand out"


def test_a_card_draws_what_the_processor_draws_of_a_dull_network(filmed, scene, monkeypatch):
    found = []
    for where in ("cpu", "fake"):
        monkeypatch.setenv("ENGINE_DEVICE", where)
        found.append(_drawn(filmed, scene, True).astype(int))
    assert np.abs(found[0] - found[1]).max() <= 3
