"""Batches at different steps at the same time: the same video as one after another, and ended as one."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rendering.engine import render as rendering
from rendering.engine.backends import MouthMaker, Scene
from rendering.engine.contract import RenderOptions, RenderRequest, Report, silent
from rendering.engine.face.lips import LipSpace
from rendering.engine.media.probe import probe
from rendering.engine.neural.draw import Network, NeuralMouths
from rendering.engine.neural.net import MouthNet
from rendering.engine.steps import Batch, Stepwise
from tests.engine.conftest import Filmed

FRAMES, TOGETHER = 26, 4
THREADS = ("decode", "cut", "network", "encode")


class OneByOne(Stepwise):
    """The same back end as one step."""

    def __init__(self, maker: MouthMaker) -> None:
        self.together, self.weights, self.close = maker.together, maker.weights, maker.close
        self.steps = {"draw": lambda batch: [step(batch) for step in maker.steps.values()]}


@pytest.fixture(scope="module")
def network() -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Network(MouthNet(2), 128, torch.device("cpu"), TOGETHER)


@pytest.fixture(scope="module")
def scene(filmed: Filmed) -> Scene:
    lips = LipSpace.fit(filmed.track)
    plan = lips.encode(filmed.track, 7)[::-1][:FRAMES].copy()
    # There and back: two runs for the decoder.
    order = np.concatenate([np.arange(FRAMES // 2), np.arange(FRAMES // 2)[::-1]])
    noise = np.random.default_rng(3).normal(0, 0.1, 40_000).astype(np.float32)
    return Scene(filmed.track, lips, "A", filmed.patches.parent, order, plan, filmed.track, noise, 25.0)


def compose(filmed: Filmed, scene: Scene, maker: MouthMaker, out: Path, report: Report = silent) -> dict[str, float]:
    """Write ``out``; the seconds that each step was at work."""
    audio = out.with_suffix(".wav")
    soundfile.write(audio, scene.audio16k[: FRAMES * 640], 16_000)
    request = RenderRequest(
        footage=filmed.video,
        analysis=filmed.patches.parent,
        audio=audio,
        out=out,
        options=RenderOptions(speed="ultrafast"),
    )
    assert filmed.info.video is not None
    take = rendering.Take(probe(audio, request.limits), scene.audio16k)
    try:
        return rendering.compose(request, filmed.info, filmed.info.video, take, scene, maker, report).busy
    finally:
        maker.close()


def left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in THREADS]


def test_batches_beside_each_other_become_the_same_video(
    filmed: Filmed, scene: Scene, network: Network, tmp_path: Path
) -> None:
    busy = compose(filmed, scene, NeuralMouths(scene, network), tmp_path / "beside.mp4")
    compose(filmed, scene, OneByOne(NeuralMouths(scene, network)), tmp_path / "one.mp4")
    assert (tmp_path / "beside.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()
    assert busy.keys() == {"decode", "check", "cut", "network", "compose", "encode"}
    assert left() == []


def test_no_more_batches_are_on_the_way_than_there_are_steps(
    filmed: Filmed, scene: Scene, network: Network, tmp_path: Path
) -> None:
    maker, begun, done, most = NeuralMouths(scene, network), [], [], 0
    cut, lay = maker.steps["cut"], maker.steps["compose"]

    def counted(batch: Batch) -> None:
        nonlocal most
        begun.append(batch.first)
        most = max(most, len(begun) - len(done))
        cut(batch)

    def ended(batch: Batch) -> None:
        lay(batch)
        done.append(batch.first)

    maker.steps = {**maker.steps, "cut": counted, "compose": ended}
    compose(filmed, scene, maker, tmp_path / "out.mp4")
    assert begun == done == list(range(0, FRAMES, TOGETHER))
    assert 2 <= most <= 3


@pytest.mark.parametrize("step", ["cut", "network", "compose"])
def test_what_a_step_raises_ends_all_of_them(
    filmed: Filmed, scene: Scene, network: Network, tmp_path: Path, step: str
) -> None:
    maker, told = NeuralMouths(scene, network), []
    as_ever = maker.steps[step]

    def broken(batch: Batch) -> None:
        if batch.first == 3 * TOGETHER:
            raise MemoryError
        as_ever(batch)

    maker.steps = {**maker.steps, step: broken}
    out = tmp_path / "out" / "o.mp4"
    out.parent.mkdir()
    with pytest.raises(MemoryError):
        compose(filmed, scene, maker, out, lambda stage, done, total: told.append(done))
    assert told == list(range(1, 3 * TOGETHER + 1)), "what was made before it is kept in order"
    assert [path.name for path in out.parent.iterdir()] == ["o.wav"]
    assert left() == []


def test_a_cancelled_render_ends_every_step(filmed: Filmed, scene: Scene, network: Network, tmp_path: Path) -> None:
    def report(stage: str, done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compose(filmed, scene, NeuralMouths(scene, network), tmp_path / "o.mp4", report)
    assert not (tmp_path / "o.mp4").exists()
    assert left() == []


def test_large_pictures_are_drawn_in_smaller_batches(filmed: Filmed, scene: Scene, network: Network) -> None:
    maker = NeuralMouths(scene, network)
    maker.together = 32
    assert filmed.info.video is not None
    sizes = ((1280, 720), (1920, 1080), (3840, 2160))
    wide = [dataclasses.replace(filmed.info.video, width=width, height=height) for width, height in sizes]
    assert [rendering._together(maker, video) for video in wide] == [32, 32, 14]
    maker.close()
