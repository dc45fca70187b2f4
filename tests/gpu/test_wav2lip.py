"""The card draws what the processor draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rendering.engine.wav2lip import checkpoint
from rendering.engine.wav2lip.maker import Network
from tests.engine import checkpoints

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_a_mouth_is_the_same_on_every_device_and_in_every_batch(tmp_path: Path) -> None:
    dice, path = np.random.default_rng(5), checkpoints.random_weights(tmp_path / "random.pth")
    faces = dice.integers(0, 256, (40, 96, 96, 3)).astype(np.uint8)
    heard = dice.uniform(-4, 4, (40, 80, 16)).astype(np.float32)
    cpu, card = torch.device("cpu"), torch.device("cuda")
    on_cpu = Network(checkpoint.load(path, cpu), cpu, 8).draw(faces, heard) / 255
    loaded = checkpoint.load(path, card)
    assert np.ptp(on_cpu) > 0.01
    for together in (1, 7, 32):
        on_card = Network(loaded, card, together).draw(faces, heard) / 255
        np.testing.assert_allclose(on_card, on_cpu, atol=1e-4)
    np.testing.assert_array_equal(Network(loaded, card, 32).draw(faces, heard) / 255, on_card)
