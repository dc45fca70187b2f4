"""A training on a card improves, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rendering.engine.face.lips import LipSpace
from rendering.engine.neural.draw import Network
from rendering.engine.neural.footage import Lessons, collect
from rendering.engine.neural.train import Schedule, Trained, train
from tests.engine.conftest import Filmed
from tests.gpu.conftest import CPU, is_card

SIZE = 64


@pytest.fixture(scope="module")
def lessons(filmed: Filmed) -> Lessons:
    return collect(filmed.video, filmed.info, filmed.patches.parent, filmed.track, LipSpace.fit(filmed.track), SIZE)


class StoppedError(Exception):
    pass


def schedule(where: torch.device) -> Schedule:
    steps = 120 if is_card(where) else 6
    return Schedule(
        steps=steps,
        batch=4 if is_card(where) else 2,
        warm_up=2,
        average=0.9,
        validate_every=steps // 2,
        checkpoint_every=steps // 3,
    )


def drawn(trained: Trained, where: torch.device) -> np.ndarray:
    dice = np.random.default_rng(3)
    seen, told = dice.random((3, 10, SIZE, SIZE), np.float32), dice.standard_normal((3, 43)).astype(np.float32)
    return Network(trained.net, SIZE, where, 3).draw(seen, told)


def test_it_improves_goes_on_after_a_stop_and_draws_the_same_on_the_processor(
    where: torch.device, lessons: Lessons, tmp_path: Path
) -> None:
    plan = schedule(where)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == 2 * plan.steps // 3 + 1:
            raise StoppedError

    whole = train(lessons, tmp_path / "whole", plan, device=where)
    (_, before), (_, after) = whole.history
    assert after > before
    assert whole.rolled_back == 0
    with pytest.raises(StoppedError):
        train(lessons, tmp_path / "broken", plan, device=where, report=stop)
    steps: list[int] = []
    resumed = train(lessons, tmp_path / "broken", plan, device=where, show=lambda each: steps.append(each.step))
    assert steps[0] == 2 * plan.steps // 3 + 1
    if is_card(where):  # it adds up in any order
        assert resumed.psnr == pytest.approx(whole.psnr, abs=0.5)
    else:
        assert resumed.history == whole.history
    on_device = drawn(whole, where)
    assert np.abs(on_device - drawn(whole, CPU)).max() < 3, "grey levels; both in half as many bits"
