"""What was made faster still gives the same: cheaper steps beside the ones they stand for."""

import subprocess
import sys

import numpy as np
import torch
from scipy.signal import savgol_filter

from rendering.engine.face import geometry
from rendering.engine.voice.adamw import AdamW


def test_our_smoothing_is_savitzky_golays():
    values = np.random.default_rng(0).normal(size=(1300, 3, 2)).cumsum(axis=0)
    smoothed = geometry.smooth(values, [(0, 1300)], 7)
    np.testing.assert_allclose(smoothed, savgol_filter(values, 7, 2, axis=0), atol=1e-10)
    assert not np.allclose(smoothed, values, atol=0.1)


def test_our_optimiser_takes_the_steps_that_torchs_takes():
    start = torch.linspace(-1, 1, 12).reshape(3, 4)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    steps = 8
    mine = AdamW([ours], rate=0.05, decay=0.1, steps=steps)
    other = torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(other, steps)
    for _ in range(steps):
        for weights in (ours, theirs):
            ((weights - 0.3) ** 2).sum().backward()
        mine.step()
        other.step()
        schedule.step()
        other.zero_grad()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert not torch.allclose(ours, start, atol=0.05)


def test_starting_the_engine_loads_nothing_that_a_render_does_not_need():
    done = subprocess.run(
        [sys.executable, "-c", "import rendering.engine.render, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rendering.engine.prepare" in done.stdout.split()
    assert not {"torch", "scipy.signal", "scipy.stats"} & set(done.stdout.split())
