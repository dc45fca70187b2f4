"""Wav2Lip checkpoints made for tests: nobody's weights, and pictures that can be foretold."""

from __future__ import annotations

from pathlib import Path

import torch

from rendering.engine.wav2lip.net import Wav2Lip

KNOTS = torch.linspace(0.02, 0.98, 10)
"""Where the line that stands for the inverse of the last sigmoid bends."""


def random_weights(path: Path, seed: int = 0) -> Path:
    """What training might begin with, wrapped as training leaves it."""
    torch.manual_seed(seed)
    weights = {f"module.{name}": tensor for name, tensor in Wav2Lip().state_dict().items()}
    torch.save({"state_dict": weights, "optimizer": {"state": {}, "param_groups": []}, "global_step": 7}, path)
    return path


def nothing() -> dict[str, torch.Tensor]:
    """Weights that are 0, norms that change nothing: the network draws grey. Takes no room in a file."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Wav2Lip().state_dict().items()}
    weights = {}
    for name, shape in shapes.items():
        is_one = name.endswith((".conv_block.1.weight", "running_var"))
        value = torch.tensor(1 - 1e-5 if name.endswith("running_var") else float(is_one))
        weights[name] = torch.tensor(0) if name.endswith("num_batches_tracked") else value.expand(shape)
    return weights


def painting(path: Path, level: float) -> Path:
    """The network draws a grey of ``level``, 0..1, everywhere."""
    weights = nothing()
    weights["output_block.1.bias"] = torch.logit(torch.tensor(level)).expand(3)
    torch.save(weights, path)
    return path


def copying(path: Path) -> Path:
    """The network draws its reference, as well as a line with ten bends follows a logarithm."""
    weights = nothing()
    first = torch.zeros(16, 6, 7, 7)
    bends, offsets = torch.zeros(32, 80, 3, 3), torch.zeros(32)
    last, base = torch.zeros(3, 32, 1, 1), torch.zeros(3)
    logits = torch.logit(KNOTS)
    slopes = (logits[1:] - logits[:-1]) / (KNOTS[1:] - KNOTS[:-1])
    steps = torch.cat([slopes[:1], slopes[1:] - slopes[:-1]])
    for colour in range(3):
        first[colour, 3 + colour, 3, 3] = 1.0  # the reference's colours
        for number, (knot, step) in enumerate(zip(KNOTS[:-1], steps, strict=True)):
            place = 10 * colour + number
            bends[place, 64 + colour, 1, 1] = 1.0  # the decoder's 64 channels, then the first block's
            offsets[place] = -knot
            last[colour, place, 0, 0] = step
        base[colour] = logits[0]
    weights["face_encoder_blocks.0.0.conv_block.0.weight"] = first
    weights["output_block.0.conv_block.0.weight"] = bends
    weights["output_block.0.conv_block.0.bias"] = offsets
    weights["output_block.1.weight"] = last
    weights["output_block.1.bias"] = base
    torch.save(weights, path)
    return path
