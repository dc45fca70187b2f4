"""Every network of others answers on a card what it answers on the processor, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rendering.engine.alignment import weights
from rendering.engine.alignment.nets import CROP, Nets
from rendering.engine.enhance.model import Enhancer
from rendering.engine.wav2lip import checkpoint
from rendering.engine.wav2lip.maker import Network
from tests.engine import checkpoints, restorers
from tests.gpu.conftest import CPU, is_card

SAME = 1e-4
"""Of a picture's range."""
BATCHES = {"cpu": (1, 4), "cuda": (1, 7, 32)}


@pytest.fixture(scope="module")
def random_mouths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.random_weights(tmp_path_factory.mktemp("wav2lip") / "random.pth")


def faces(count: int) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(5)
    pictures = dice.integers(0, 256, (count, 96, 96, 3)).astype(np.uint8)
    return pictures, dice.uniform(-4, 4, (count, 80, 16)).astype(np.float32)


def test_wav2lip_draws_the_same_mouth_on_every_device_and_in_every_batch(
    where: torch.device, random_mouths: Path
) -> None:
    given = faces(40 if is_card(where) else 5)
    expected = Network(checkpoint.load(random_mouths, CPU), CPU, 8).draw(*given) / 255
    loaded = checkpoint.load(random_mouths, where)
    assert np.ptp(expected) > 0.01
    for together in BATCHES[where.type]:
        once = Network(loaded, where, together).draw(*given) / 255
        np.testing.assert_allclose(once, expected, atol=SAME)
    np.testing.assert_array_equal(Network(loaded, where, together).draw(*given) / 255, once)


@pytest.mark.parametrize("kind", ["scripted", "traced"])
def test_an_enhancer_answers_the_same_on_every_device_and_in_every_batch(
    where: torch.device, tmp_path: Path, kind: str
) -> None:
    torch.manual_seed(3)
    path = restorers.saved(restorers.Usual().eval(), tmp_path / "usual.pt", traced=64 if kind == "traced" else 0)
    pictures = np.random.default_rng(7).integers(0, 256, (9, 64, 64, 3)).astype(np.uint8)
    expected = Enhancer(path, CPU, size=64, low=-1.0, high=1.0, together=9)(pictures) / 255
    assert np.ptp(expected) > 0.01
    for together in BATCHES[where.type]:
        answer = Enhancer(path, where, size=64, low=-1.0, high=1.0, together=together)(pictures) / 255
        np.testing.assert_allclose(answer, expected, atol=SAME)


def test_face_alignment_sees_the_same_on_every_device_and_in_every_batch(
    where: torch.device, random_weights: Path
) -> None:
    """The detector's answers and the landmarks' maps: weights that know nothing find no face to compare."""
    dice, count = np.random.default_rng(9), 6 if is_card(where) else 1
    side = CROP if is_card(where) else CROP // 2
    pictures = dice.integers(0, 256, (count, 96, 128, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    crops = dice.random((count, 3, side, side), np.float32)
    files = random_weights / weights.FINDER, random_weights / weights.READER
    reference = Nets(*files, CPU, together=1)
    found, maps = reference._find(pictures), reference._read(crops)[0]
    for together in (2, 16) if is_card(where) else (2,):
        nets = Nets(*files, where, together)
        for mine, theirs in zip(nets._find(pictures), found, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=SAME * max(1.0, float(np.abs(theirs).max())))
        np.testing.assert_allclose(nets._read(crops)[0], maps, atol=1e-3 * float(np.abs(maps).max()))


@pytest.mark.parametrize("where", ["cuda"], indirect=True)
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_are_halved_when_the_cards_memory_is_full_and_draw_the_same(
    where: torch.device, random_mouths: Path
) -> None:
    given, loaded = faces(64), checkpoint.load(random_mouths, where)
    expected = Network(loaded, where, 4).draw(*given)
    torch.cuda.empty_cache()
    used, total = torch.cuda.memory_reserved(), torch.cuda.get_device_properties(where).total_memory
    network = Network(loaded, where, 1024)
    torch.cuda.set_per_process_memory_fraction(min(1.0, (used + (500 << 20)) / total))
    try:
        drawn = network.draw(*given)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert network.together < 1024
    np.testing.assert_allclose(drawn / 255, expected / 255, atol=SAME)
