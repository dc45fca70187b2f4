"""Mouths of an operator's networks, cut, laid and enhanced on a card, are the processor's. Run here on a processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rendering.engine.backends import Exemplar, Scene
from rendering.engine.card.pictures import Planes as Levels
from rendering.engine.card.pictures import averaged, plus
from rendering.engine.enhance.maker import Enhanced
from rendering.engine.enhance.model import Enhancer
from rendering.engine.face.lips import LipSpace
from rendering.engine.media.frame import Frame
from rendering.engine.media.frames import read_frames
from rendering.engine.media.planes import Planes
from rendering.engine.steps import Batch
from rendering.engine.wav2lip import checkpoint
from rendering.engine.wav2lip.maker import Network, Wav2LipMouths
from tests.engine import checkpoints, restorers
from tests.engine.conftest import Filmed
from tests.engine.test_card import assert_alike
from tests.engine.test_wav2lip_mouths import planes, scene

CPU = torch.device("cpu")
COUNT, TOGETHER = 6, 4
Draw = Callable[[str, Scene, Network], tuple[list[Frame], list[bool], list[Batch]]]


@pytest.fixture(scope="module")
def spoken(filmed: Filmed) -> Scene:
    return scene(filmed, LipSpace.fit(filmed.track), frames=COUNT, spoken_s=9.0)


@pytest.fixture(scope="module")
def random_mouths(tmp_path_factory: pytest.TempPathFactory) -> checkpoint.Loaded:
    return checkpoint.load(checkpoints.random_weights(tmp_path_factory.mktemp("weights") / "random.pth"), CPU)


def through(filmed: Filmed, maker: Wav2LipMouths) -> tuple[list[Frame], list[bool], list[Batch]]:
    frames, batches = list(read_frames(filmed.video, filmed.info, stop=COUNT)), []
    for first in range(0, COUNT, TOGETHER):
        batches.append(maker.through(frames[first : first + TOGETHER], first))
    maker.close()
    return frames, [one for batch in batches for one in batch.drawn], batches


@pytest.fixture
def drawn(filmed: Filmed, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """``drawn("fake", scene, network)``: the frames with their mouths by the path of that device, whether each has one,
    and the batches."""

    def draw(where: str, given: Scene, network: Network) -> tuple[list[Frame], list[bool], list[Batch]]:
        monkeypatch.setenv("ENGINE_DEVICE", where)
        return through(filmed, Wav2LipMouths(given, network, Exemplar(given)))

    return draw


def test_a_card_draws_wav2lips_mouths_as_the_processor_does(
    filmed: Filmed, spoken: Scene, random_mouths: checkpoint.Loaded, drawn: Draw
) -> None:
    here, there = (drawn(where, spoken, Network(random_mouths, CPU, TOGETHER)) for where in ("cpu", "fake"))
    assert there[1] == here[1] == [True] * COUNT
    assert_alike(filmed, there[0], here[0])
    for mine, theirs in zip(there[2], here[2], strict=True):
        for one, other in zip(mine.places, theirs.places, strict=True):
            assert one is not None
            assert other is not None
            assert one[0] == other[0]
            np.testing.assert_array_equal(one[2], other[2])


def test_in_pauses_a_card_leaves_the_presenters_own_mouth(
    filmed: Filmed, random_mouths: checkpoint.Loaded, drawn: Draw
) -> None:
    silent = scene(filmed, LipSpace.fit(filmed.track), frames=COUNT, spoken_s=0.0)
    frames, done, _ = drawn("fake", silent, Network(random_mouths, CPU, TOGETHER))
    exemplar, own = Exemplar(silent), list(read_frames(filmed.video, filmed.info, stop=COUNT))
    assert done == exemplar.compose(own, 0)
    for mine, theirs in zip(frames, own, strict=True):
        for a, b in zip(planes(mine), planes(theirs), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_frame_without_an_answer_keeps_its_own_pixels_on_a_card_too(
    filmed: Filmed, spoken: Scene, random_mouths: checkpoint.Loaded, drawn: Draw
) -> None:
    def fails_once(_: object, given: object, answer: torch.Tensor) -> torch.Tensor:
        answer[1, 0, 50, 50] = float("nan")
        return answer

    network = Network(random_mouths, CPU, TOGETHER)
    with network.net.register_forward_hook(fails_once):
        here, there = (drawn(where, spoken, network) for where in ("cpu", "fake"))
    assert there[1] == here[1] == [number % TOGETHER != 1 for number in range(COUNT)]
    for frame, done, before in zip(*there[:2], read_frames(filmed.video, filmed.info, stop=COUNT), strict=True):
        same = all((a == b).all() for a, b in zip(planes(frame), planes(before), strict=True))
        assert same == (not done)


def test_what_is_done_again_for_lack_of_memory_follows_on_as_if_it_had_not_been(
    spoken: Scene, random_mouths: checkpoint.Loaded, drawn: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory runs out at the end of a batch, when its colours were already worked out."""
    from rendering.engine.wav2lip import card

    mix, calls = card.mixed, []

    def short(under: Levels, over: Levels, share: torch.Tensor, *, whole: bool) -> Levels:
        calls.append(len(share))
        if len(share) > TOGETHER // 2:
            raise torch.OutOfMemoryError("too many")
        return mix(under, over, share, whole=whole)

    expected = drawn("fake", spoken, Network(random_mouths, CPU, TOGETHER // 2))
    monkeypatch.setattr(card, "mixed", short)
    network = Network(random_mouths, CPU, TOGETHER)
    frames = drawn("fake", spoken, network)[0]
    assert (network.together, calls[:3]) == (2, [4, 2, 2])
    for mine, theirs in zip(frames, expected[0], strict=True):
        np.testing.assert_array_equal(mine.y, theirs.y)


def test_a_card_enhances_mouths_as_the_processor_does(
    filmed: Filmed, tmp_path: Path, random_mouths: checkpoint.Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same mouths; in the middle one is missing, after which nothing is led on."""
    given = scene(filmed, LipSpace.fit(filmed.track), frames=COUNT, spoken_s=9.0)
    path = restorers.saved(restorers.Sharpen(1.0), tmp_path / "sharpen.ts")
    enhancer = Enhancer(path, CPU, size=128, low=-1.0, high=1.0, together=3)

    def enhanced(where: str) -> list[Frame]:
        monkeypatch.setenv("ENGINE_DEVICE", "cpu")
        maker = Wav2LipMouths(given, Network(random_mouths, CPU, TOGETHER), Exemplar(given))
        monkeypatch.setenv("ENGINE_DEVICE", where)
        whole = Enhanced(maker, given, enhancer, 0.6)
        frames = list(read_frames(filmed.video, filmed.info, stop=COUNT))
        for first in range(0, COUNT, TOGETHER):
            batch = Batch(first, frames[first : first + TOGETHER])
            for name, step in whole.steps.items():
                if name == "enhance" and first == TOGETHER:
                    batch.places[1] = None
                step(batch)
        whole.close()
        return frames

    assert_alike(filmed, enhanced("fake"), enhanced("cpu"))


def test_boxes_are_averaged_and_offsets_enlarged_as_the_processor_has_them() -> None:
    dice = np.random.default_rng(8)
    picture = Planes(*(dice.integers(60, 190, (96 // n, 128 // n)).astype(np.uint8) for n in (1, 2, 2)))
    box, size = (20, 10, 84, 70), (41, 33)
    numbers = torch.tensor([box]).float(), torch.tensor([size]).float()
    mine = averaged(torch.from_numpy(picture.u).float()[None, None], numbers[0] / 2, numbers[1], 48)[0, 0]
    theirs = cv2.resize(picture.part(*box).u.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(mine[:33, :41], theirs, atol=0.01)
    assert not mine[33:].any()
    assert not mine[:, 41:].any()
    offset = np.pad(dice.normal(0, 8, (33, 41, 3)), ((0, 15), (0, 7), (0, 0)), mode="edge").astype(np.float32)
    stacked = torch.from_numpy(picture.y).float()[None], torch.from_numpy(np.stack(picture[1:])).float()[None]
    y, chroma = plus(stacked, torch.from_numpy(offset).permute(2, 0, 1)[None], *numbers)
    x, top, width, height = box
    expected = picture.part(*box).plus(offset[:33, :41])
    for plane, theirs, n in ((y[0], expected.y, 1), (chroma[0, 0], expected.u, 2), (chroma[0, 1], expected.v, 2)):
        part = plane[top // n : (top + height) // n, x // n : (x + width) // n].numpy()
        assert np.abs(part - theirs).max() <= 1
        assert (part == theirs).mean() > 0.99
