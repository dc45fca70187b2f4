"""A card draws, decodes and encodes what the processor does, within what docs/engine.md states."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from rendering.engine.batched import Batched
from rendering.engine.card.graphs import Captured
from rendering.engine.card.pictures import blurred, mixed, places, sampled, to_bgr, to_planes
from rendering.engine.contract import Limits, RenderOptions
from rendering.engine.media import hardware
from rendering.engine.media.encode import VideoWriter
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import probe
from rendering.engine.neural.draw import Network
from rendering.engine.neural.net import MouthNet
from rendering.engine.pipeline import beside
from tests.engine.clips import make_video, number_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CPU, CARD = torch.device("cpu"), torch.device("cuda")
SIZE, TOGETHER = 128, 8


@pytest.fixture(scope="module")
def given() -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(5)
    return dice.random((11, 10, SIZE, SIZE), np.float32), dice.standard_normal((11, 43)).astype(np.float32)


def net() -> MouthNet:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return MouthNet(2)


def test_a_network_draws_on_a_card_what_it_draws_on_the_processor(given: tuple[np.ndarray, np.ndarray]) -> None:
    on_card = Network(net(), SIZE, CARD, TOGETHER).draw(*given)
    np.testing.assert_allclose(on_card, Network(net(), SIZE, CPU, TOGETHER).draw(*given), atol=3)


def test_a_graph_answers_what_the_network_answers(given: tuple[np.ndarray, np.ndarray]) -> None:
    plain = Network(net(), SIZE, CARD, TOGETHER)
    graph = Captured(plain.ask, CARD)
    with torch.inference_mode():
        for part in (slice(0, 4), slice(4, 8), slice(0, 2)):  # a new shape is captured anew
            tensors = [torch.from_numpy(each[part]).to(CARD) for each in given]
            torch.testing.assert_close(graph(*tensors), plain.ask(*tensors), rtol=0, atol=1e-2)
    assert not graph.failed


def test_batches_are_halved_when_the_bounded_memory_is_full(given: tuple[np.ndarray, np.ndarray]) -> None:
    network = Network(net(), SIZE, CARD, 512)
    used, total = torch.cuda.memory_reserved(), torch.cuda.get_device_properties(CARD).total_memory
    torch.cuda.set_per_process_memory_fraction((used + (400 << 20)) / total)
    try:
        drawn = network.draw(*given)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert network.together < 512
    np.testing.assert_allclose(drawn, Network(net(), SIZE, CARD, TOGETHER).draw(*given), atol=2)


def test_pictures_are_the_processors() -> None:
    dice = np.random.default_rng(3)
    y = torch.from_numpy(dice.integers(0, 256, (2, 128, 128), np.uint8))
    chroma = torch.from_numpy(dice.integers(0, 256, (2, 2, 64, 64), np.uint8))
    colours = torch.tensor([[1.16, 2.1, 0, -290], [1.16, -0.2, -0.5, 77], [1.16, 0, 1.8, -248]]).expand(2, 3, 4)
    way = torch.tensor([[1.2, 0.1, 3.0], [-0.1, 1.2, 5.0]]).expand(2, 2, 3)
    alpha = torch.from_numpy(dice.random((2, 128, 128), np.float32)) * (torch.arange(128) > 60)

    def made(device: torch.device) -> list[torch.Tensor]:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            bgr = to_bgr(y.to(device), chroma.to(device), colours.to(device))
            cut = sampled(bgr, places(way.to(device), (96, 96)), "bicubic")
            soft = blurred(bgr, torch.tensor([1.5, 2.5], device=device), 2.5)
            under = y.to(device).float(), chroma.to(device).float()
            laid = mixed(under, to_planes(soft, colours.to(device)), alpha.to(device), whole=True)
            return [bgr, cut, soft, *laid]

    for card, processor in zip(made(CARD), made(CPU), strict=True):
        assert (card.cpu().float() - processor.float()).abs().max() <= 1


def test_a_card_decodes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "clip.mp4", pictures=80, size=(640, 360), options={"g": "25", "bf": "2"})
    info = probe(path, Limits())
    assert info.video is not None
    monkeypatch.setenv("ENGINE_DEVICE", "cuda")
    if not hardware.decodes(path, info.video):
        pytest.skip("this card has no decoder that opens")
    on_card = [frame.y.copy() for frame in read_frames(path, info, start=7)]
    assert hardware.decodes(path, info.video), "the card gave up"
    monkeypatch.setenv("ENGINE_DEVICE", "cpu")
    for mine, frame in zip(on_card, read_frames(path, info, start=7), strict=True):
        np.testing.assert_array_equal(mine, frame.y)


def test_a_card_encodes_every_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = make_video(tmp_path / "in.mp4", pictures=80, size=(640, 360)), tmp_path / "out.mp4"
    info = probe(path, Limits())
    assert info.video is not None
    monkeypatch.setenv("ENGINE_DEVICE", "cuda")
    with VideoWriter(out, info.video, None, RenderOptions(), 80 / 25) as writer:
        for frame in read_frames(path, info):
            writer.write(frame)
    if writer.encoder != "h264_nvenc":
        pytest.skip("this card has no encoder that opens")
    result = probe(out, Limits())
    assert [number_of(frame.y) for frame in read_frames(out, result)] == [number % 20 for number in range(80)]
    with av.open(str(out)) as container:
        keys = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.is_keyframe]
    assert [float(key) for key in keys][:2] == [0.0, 2.0]


def test_batches_that_travel_beside_each_other_arrive_as_they_were_sent_and_come_back_whole() -> None:
    """Sent, asked and fetched by three threads, many times over memory that is used again; against plain copies."""
    dice, weight = np.random.default_rng(6), torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    kernel = weight.to(CARD)

    def net(pictures: torch.Tensor, shifts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        levels = torch.nn.functional.conv2d(pictures.float(), kernel) + shifts[:, None, None, None]
        return levels, pictures.flip(1)

    def given(number: int) -> tuple[np.ndarray, np.ndarray]:
        count = TOGETHER if number % 3 else 3
        random = np.random.default_rng(number)
        return random.integers(0, 256, (count, 3, 128, 128), np.uint8), random.random(count).astype(np.float32)

    def plain(pictures: np.ndarray, shifts: np.ndarray) -> list[np.ndarray]:
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            filled = [np.zeros((TOGETHER, *part.shape[1:]), part.dtype) for part in (pictures, shifts)]
            for whole, part in zip(filled, (pictures, shifts), strict=True):
                whole[: len(part)] = part
            answers = net(*(torch.from_numpy(part).to(CARD) for part in filled))
            return [one[: len(pictures)].cpu().numpy() for one in answers]

    batched, numbers = Batched(net, CARD, TOGETHER), dice.permutation(60).tolist()
    expected = {number: plain(*given(number)) for number in numbers}
    sent = beside((batched.send(*given(number)) for number in numbers), depth=2, name="cut")
    asked = beside((batched.ask(one) for one in sent), depth=2, name="network")
    for number, one in zip(numbers, asked, strict=True):
        for mine, theirs in zip(batched.answers(one), expected[number], strict=True):
            np.testing.assert_array_equal(mine, theirs)
