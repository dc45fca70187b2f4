"""Networks that know nothing yet and take as long as those that do: to measure speed where nobody's weights are."""

from __future__ import annotations

from pathlib import Path

import torch

from rendering.engine import device
from rendering.engine.analysis import read_analysis
from rendering.engine.neural import gate, model
from rendering.engine.neural.crops import SIZES, size_for
from rendering.engine.neural.learn import save
from rendering.engine.neural.net import MouthNet, reduction
from rendering.engine.neural.train import Trained
from rendering.engine.wav2lip.net import Wav2Lip

FLAWLESS = gate.Figures(
    **{"usable_s": 3600.0, "psnr": 99.0, "ssim": 1.0, "exemplar_psnr": 20.0, "exemplar_ssim": 0.5},
    **{"own_opening": 1.0, "own_width": 1.0, "planned": 1.0, "exemplar_planned": 0.9, "amplitude": 1.0},
    **{"leak": 0.0, "leak_r": 0.0, "exemplar_leak": 0.3, "exemplar_leak_r": 0.3, "flicker": 1.0, "middle": 1.0},
    **{"finest": 1.0, "seam": 0.0, "exemplar_seam": 2.0, "exemplar_flicker": 1.0, "exemplar_amplitude": 1.0},
    **{"exemplar_own_opening": 0.9, "exemplar_own_width": 0.9},
    planned_lag=0,
)
"""The network is let through to be timed, not to be looked at."""


def mouths(analysis: Path, out: Path) -> Path:
    """A mouth model in ``out`` as a training for the footage analysed in ``analysis`` leaves it, after no step of it.

    As large as the training would make it on the device of the environment.
    """
    track, lips = (found := read_analysis(analysis)).track, found.lips
    size = size_for(track) if device.like_card(device.chosen()) else SIZES[0]
    torch.manual_seed(0)
    out.mkdir(parents=True, exist_ok=True)
    save(out, Trained(MouthNet(reduction(size)).eval(), size, 0, 0.0, (), 0))
    also = {"identity": model.identity(out), "space": model.space(lips)}
    gate.write_report(out, gate.judge(FLAWLESS), size, 0, **also)
    return out


def checkpoint(path: Path) -> Path:
    """A Wav2Lip checkpoint with the weights that a training would begin with."""
    torch.manual_seed(0)
    torch.save(Wav2Lip().state_dict(), path)
    return path
