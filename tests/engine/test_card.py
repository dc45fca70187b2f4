"""What a card does with pictures is what the processor does, within a stated rounding. Run here on a processor."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rendering.engine import device
from rendering.engine.backends import Exemplar, Scene
from rendering.engine.batched import Batched
from rendering.engine.card import graphs
from rendering.engine.card.faces import Region, side_for
from rendering.engine.card.pictures import blurred, mixed, places, reduced, sampled, to_bgr, to_planes, within
from rendering.engine.contract import Limits
from rendering.engine.face.blend import Mask
from rendering.engine.face.lips import LipSpace
from rendering.engine.media import hardware
from rendering.engine.media.frame import Frame
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import MediaInfo, probe
from rendering.engine.neural.draw import Network, NeuralMouths
from rendering.engine.neural.footage import GAIN
from rendering.engine.neural.net import MouthNet
from tests.engine.clips import make_video
from tests.engine.conftest import Filmed

SIZE, COUNT = 128, 6
LUMA, CHROMA = 3, 1
"""Levels by which a sample may differ from the processor's: what docs/engine.md states, of luma and of chroma."""
MEAN = 0.1
"""The same of the mean over the samples that were drawn."""
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MediaInfo]:
    """One picture, 160 x 120 pixels of smooth colours."""
    dice = np.random.default_rng(4)

    def paint(number: int) -> np.ndarray:
        return cv2.GaussianBlur(dice.integers(0, 256, (120, 160, 3)).astype(np.uint8), (0, 0), 3) * 2

    path = make_video(tmp_path_factory.mktemp("smooth") / "in.mkv", codec="ffv1", pictures=1, paint=paint)
    return path, probe(path, Limits())


@pytest.fixture
def frame(clip: tuple[Path, MediaInfo]) -> Frame:
    return next(read_frames(*clip))


def smooth(*shape: int) -> np.ndarray:
    """(h, w, 3) float32 0..255."""
    noise = np.random.default_rng(7).uniform(-900, 1100, (*shape, 3)).astype(np.float32)
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 2.5), 0, 255)


def batch(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]


def back(pictures: torch.Tensor) -> np.ndarray:
    return pictures[0].permute(1, 2, 0).numpy()


def matrices(frame: Frame) -> torch.Tensor:
    return torch.from_numpy(frame.matrices()).float()[None]


def planes(frame: Frame, region: Region) -> list[torch.Tensor]:
    return [torch.from_numpy(part)[None] for part in region.planes(frame)]


@pytest.mark.parametrize("corner", [(32, 20), (-18, -10), (110, 90)])
def test_colours_of_a_region_are_those_of_the_frame_also_beyond_its_edge(frame: Frame, corner: tuple[int, int]) -> None:
    region = Region(*corner, 64)
    mine = back(to_bgr(*planes(frame, region), matrices(frame)[:, 0]))
    theirs = frame.bgr((*corner, 64, 64))
    assert np.abs(mine - theirs)[2:-2, 2:-2].max() <= 3
    assert np.abs(mine - theirs).mean() < 0.3


def test_a_square_is_cut_and_laid_back_as_opencv_does() -> None:
    picture = smooth(96, 128).astype(np.uint8)
    turn = 1.3 * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    matrix = np.column_stack([turn, [22.5, 8.25]])
    there = torch.from_numpy(matrix).float()[None]
    cut = back(sampled(batch(picture), places(there, (64, 64)), "bicubic"))
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    theirs = cv2.warpAffine(picture.astype(np.float32), matrix, (64, 64), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(cut, theirs, atol=2)
    assert np.abs(cut - theirs).mean() < 0.3
    inverse = cv2.invertAffineTransform(matrix)
    at = places(torch.from_numpy(inverse).float()[None], (96, 128))
    laid = back(sampled(batch(cut), at, "bicubic"))
    theirs = cv2.warpAffine(cut, inverse, (128, 96), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(laid, theirs, atol=2)
    edge = np.ones((64, 64), np.float32)
    covered = back(sampled(batch(edge[..., None]), at, "bilinear", beyond="zeros"))[..., 0]
    theirs = cv2.warpAffine(edge, inverse, (128, 96), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    np.testing.assert_allclose(covered, theirs, atol=0.05)


def test_large_faces_are_averaged_before_they_are_sampled() -> None:
    picture = smooth(90, 60)
    theirs = cv2.resize(picture, (20, 30), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(back(reduced(batch(picture), 3)), theirs, atol=0.01)
    assert reduced(batch(picture[:-1]), 3).shape == (1, 3, 30, 20)


@pytest.mark.parametrize("deviation", [0.8, 1.9, 3.4])
def test_a_gaussian_is_opencvs(deviation: float) -> None:
    picture = smooth(50, 40)
    mine = back(blurred(batch(picture), torch.tensor([deviation]), 3.4))
    np.testing.assert_allclose(mine, cv2.GaussianBlur(picture, (0, 0), deviation), atol=0.05)


def test_a_mask_is_enlarged_over_its_box_and_is_nothing_outside(frame: Frame) -> None:
    ellipse = cv2.ellipse2Poly((80, 60), (45, 30), 10, 0, 360, 12).astype(np.float32)
    box, region = (30, 24, 102, 74), Region(16, 0, 128)
    mask = Mask(ellipse, box, 60.0)
    small, matrix = (torch.from_numpy(part)[None] for part in region.mask(mask, box))
    at = places(torch.eye(2, 3)[None], (128, 128))
    mine = sampled(small[:, None], places(matrix, (128, 128)), "bilinear")
    mine = (mine * within(at, torch.from_numpy(region.inside(box))[None]))[0, 0].numpy()
    theirs = np.zeros((128, 128), np.float32)
    theirs[24:98, 14:116] = mask.full()
    np.testing.assert_allclose(mine, theirs, atol=0.005)


def test_mixing_changes_the_mask_by_at_most_a_level_from_the_processors_and_no_byte_outside(
    frame: Frame, clip: tuple[Path, MediaInfo]
) -> None:
    box, region = (34, 22, 64, 64), Region(34, 22, 64)
    alpha = np.zeros((64, 64), np.float32)
    cv2.ellipse(alpha, (32, 30), (22, 17), 0, 0, 360, 1, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 3)
    alpha[alpha < 0.01] = 0
    new, theirs = smooth(64, 64).astype(np.uint8), next(read_frames(*clip))
    theirs.blend(box, new, alpha)
    under = planes(frame, region)
    over, share = to_planes(batch(new), matrices(frame)[:, 1]), torch.from_numpy(alpha)[None]
    y, chroma = mixed((under[0].float(), under[1].float()), over, share, whole=True)
    old_y, old_chroma = region.planes(frame)
    wanted_y, wanted_chroma = region.planes(theirs)
    assert np.abs(y[0].numpy().astype(int) - wanted_y).max() <= 1
    assert np.abs(chroma[0].numpy().astype(int) - wanted_chroma).max() <= 1
    np.testing.assert_array_equal(y[0].numpy()[alpha == 0], old_y[alpha == 0])
    untouched = cv2.erode((alpha > 0).astype(np.uint8), np.ones((2, 2)), anchor=(0, 0))[::2, ::2] == 0
    np.testing.assert_array_equal(chroma[0].numpy()[:, untouched], old_chroma[:, untouched])


def test_what_comes_back_goes_into_its_box_alone(frame: Frame, clip: tuple[Path, MediaInfo]) -> None:
    copy, region = next(read_frames(*clip)), Region(-20, -12, 128)
    y, chroma = np.full((128, 128), 9, np.uint8), np.full((2, 64, 64), 8, np.uint8)
    region.put_back(copy, (-10, -8, 50, 40), y, chroma)
    assert (copy.y[:32, :40] == 9).all()
    assert (copy.u[:16, :20] == 8).all()
    np.testing.assert_array_equal(copy.y[32:], frame.y[32:])
    np.testing.assert_array_equal(copy.y[:, 40:], frame.y[:, 40:])
    np.testing.assert_array_equal(copy.v[16:], frame.v[16:])


def test_a_region_holds_its_boxes_at_even_corners() -> None:
    for left, width in ((3, 60), (-7, 57), (10, 60)):
        region = Region.around([(left, 20, width, 30), (left + 2, 4, 20, 50)], side_for(60))
        assert (region.x % 2, region.y % 2) == (0, 0)
        assert region.x <= left
        assert region.x + region.side >= left + width
    assert [side_for(extent) for extent in (40, 60, 61, 300)] == [64, 64, 128, 320]
    with pytest.raises(ValueError, match="in a region of 64"):
        Region.around([(0, 0, 61, 10)], 64)


def test_bytes_stay_bytes_on_their_way_to_a_device_and_back() -> None:
    seen = []

    def net(small: torch.Tensor, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append((small.dtype, len(small)))
        return small + 1, numbers.double()

    given = np.arange(6, dtype=np.uint8).reshape(3, 2), np.ones((3, 1), np.float32)
    small, numbers = Batched(net, CPU, 2)(*given)
    assert seen == [(torch.uint8, 2)] * 2
    np.testing.assert_array_equal(small, given[0] + 1)
    assert (small.dtype, numbers.dtype) == (np.uint8, np.float32)


@pytest.fixture(scope="module")
def lips(filmed: Filmed) -> LipSpace:
    return LipSpace.fit(filmed.track)


@pytest.fixture(scope="module")
def net() -> MouthNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return MouthNet(2)


@pytest.fixture(scope="module")
def scene(filmed: Filmed, lips: LipSpace) -> Scene:
    plan = lips.encode(filmed.track, 7)[::-1][:COUNT].copy()
    folder, order = filmed.patches.parent, np.arange(COUNT)
    return Scene(filmed.track, lips, "A", folder, order, plan, filmed.track, np.zeros(1, np.float32), 25.0)


def drawn(filmed: Filmed, scene: Scene, net: torch.nn.Module, where: str, together: int = 4) -> list[Frame]:
    """The frames with their mouths, by the path that the device ``where`` takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGINE_DEVICE", where)
        maker = NeuralMouths(scene, Network(net, SIZE, CPU, together))
    frames = list(read_frames(filmed.video, filmed.info, stop=COUNT))
    for first in range(0, COUNT, together):
        assert all(maker.compose(frames[first : first + together], first))
    maker.close()
    return frames


def assert_alike(filmed: Filmed, on_card: list[Frame], on_cpu: list[Frame]) -> None:
    for mine, theirs, filmed_one in zip(
        on_card, on_cpu, read_frames(filmed.video, filmed.info, stop=len(on_card)), strict=True
    ):
        for name, most in (("y", LUMA), ("u", CHROMA), ("v", CHROMA)):
            a, b, before = (getattr(each, name).astype(int) for each in (mine, theirs, filmed_one))
            changed = (a != before) | (b != before)
            assert changed.mean() > 0.005
            assert np.abs(a - b).max() <= most
            assert np.abs(a - b)[changed].mean() < MEAN


def test_a_card_draws_the_mouths_that_the_processor_draws(filmed: Filmed, scene: Scene, net: MouthNet) -> None:
    assert_alike(filmed, drawn(filmed, scene, net, "fake"), drawn(filmed, scene, net, "cpu"))


@pytest.mark.parametrize("where", ["cpu", "fake"])
def test_with_more_cores_several_frames_are_made_ready_at_once_and_are_the_same(
    filmed: Filmed, scene: Scene, net: MouthNet, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    made = []
    for cores in (2, 5):
        monkeypatch.setattr(hardware, "cores", lambda cores=cores: cores)
        assert hardware.helpers() == cores - 2
        made.append(drawn(filmed, scene, net, where))
    for alone, helped in zip(*made, strict=True):
        for one, other in ((alone.y, helped.y), (alone.u, helped.u), (alone.v, helped.v)):
            np.testing.assert_array_equal(one, other)


def test_a_card_keeps_captions_too(filmed: Filmed, scene: Scene, net: MouthNet) -> None:
    chin = filmed.track.steady.points[0][152, :2]
    boxes = np.array([[chin[0] - 60, chin[1] - 20, 120, 14]])
    scene = dataclasses.replace(scene, track=dataclasses.replace(filmed.track, captions=boxes))
    on_card = drawn(filmed, scene, net, "fake")
    assert_alike(filmed, on_card, drawn(filmed, scene, net, "cpu"))
    x, y, w, h = boxes[0].astype(int)
    for frame, before in zip(on_card, read_frames(filmed.video, filmed.info, stop=COUNT), strict=True):
        np.testing.assert_array_equal(frame.y[y + 1 : y + h, x + 1 : x + w], before.y[y + 1 : y + h, x + 1 : x + w])


def test_a_card_without_an_answer_leaves_the_exemplars_mouth(filmed: Filmed, scene: Scene) -> None:
    broken = MouthNet(2)
    torch.nn.init.constant_(broken.leave.bias, float("nan"))
    exemplar, frames = Exemplar(scene, GAIN), list(read_frames(filmed.video, filmed.info, stop=COUNT))
    exemplar.compose(frames, 0)
    for mine, theirs in zip(drawn(filmed, scene, broken, "fake"), frames, strict=True):
        np.testing.assert_array_equal(mine.y, theirs.y)


def test_a_card_draws_fewer_together_from_then_on_when_its_memory_is_short(
    filmed: Filmed, scene: Scene, net: MouthNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(torch.nn.Module):
        def forward(self, seen: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
            if len(seen) > 1:
                raise torch.OutOfMemoryError("too many")
            return net(seen, condition)

    monkeypatch.setenv("ENGINE_DEVICE", "fake")
    network, frames = Network(Small(), SIZE, CPU, 4), list(read_frames(filmed.video, filmed.info, stop=4))
    NeuralMouths(scene, network).compose(frames, 0)
    assert NeuralMouths(scene, network).together == 1
    for mine, theirs in zip(frames, drawn(filmed, scene, net, "fake", together=1), strict=False):
        np.testing.assert_array_equal(mine.y, theirs.y)


def test_a_network_that_cannot_be_captured_runs_as_ever_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def net(given: torch.Tensor) -> torch.Tensor:
        calls.append(len(given))
        return 2 * given

    if torch.cuda.is_available():
        pytest.skip("tests/gpu captures for real")
    graph = graphs.Captured(net, torch.device("cuda"))
    for count in (3, 3, 2):
        np.testing.assert_array_equal(graph(torch.ones(count)), np.full(count, 2.0))
    assert graph.failed
    assert caplog.text.count("No graph of the network") == 1
    assert calls[-3:] == [3, 3, 2]


def test_a_capture_without_memory_is_left_to_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(self: graphs.Captured, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > 2:
            raise torch.OutOfMemoryError("too many")
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs.Captured, "_capture", capture)
    batched = Batched(graphs.Captured(lambda given: 2 * given, CPU), CPU, 8)
    (doubled,) = batched(np.ones((5, 1), np.float32))
    assert batched.together == 2
    np.testing.assert_array_equal(doubled, np.full((5, 1), 2, np.float32))


def test_a_processor_has_no_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(graphs.VARIABLE, "1")
    assert graphs.captured(torch.relu, CPU) is torch.relu


def test_memory_of_a_card_is_bounded_by_its_share() -> None:
    assert device.fraction(2048, 8 << 30) == 0.25
    assert device.fraction(20_000, 8 << 30) == 1.0


def test_what_was_sent_ahead_is_what_it_was_when_it_was_sent() -> None:
    batched = Batched(lambda part: (2 * part, part.sum(dim=1)), CPU, 4)
    given = np.arange(14, dtype=np.float32).reshape(7, 2)
    expected = [2 * given, given.sum(axis=1)]
    sent = batched.send(given)
    given[:] = -1
    asked = batched.ask(sent)
    later = batched.ask(batched.send(given))
    for mine, theirs in zip(batched.answers(asked), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(batched.answers(later)[1], np.full(7, -2, np.float32))


def test_what_was_sent_before_memory_ran_out_is_asked_in_smaller_batches() -> None:
    sizes = []

    def net(given: torch.Tensor) -> torch.Tensor:
        sizes.append(len(given))
        if len(given) > 3:
            raise torch.OutOfMemoryError("too many")
        return 2 * given

    batched = Batched(net, CPU, 7)
    sent = [batched.send(np.full((7, 1), number, np.float32)) for number in (1, 2)]
    for number, one in zip((2, 4), [batched.ask(each) for each in sent], strict=True):
        np.testing.assert_array_equal(batched.answers(one)[0], np.full((7, 1), number, np.float32))
    assert sizes == [7] + 6 * [3]


def test_settings_of_exact_networks_last_until_the_last_of_several_threads_is_done() -> None:
    flags = torch.backends.cudnn
    before, inside, go = flags.allow_tf32, threading.Event(), threading.Event()
    seen = []

    def slow(given: torch.Tensor) -> torch.Tensor:
        inside.set()
        go.wait()
        seen.append(flags.allow_tf32)
        return given

    def quick(given: torch.Tensor) -> torch.Tensor:
        seen.append(flags.allow_tf32)
        return given

    one = np.zeros((1, 1), np.float32)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(Batched(slow, CPU, 1), one)
        inside.wait()
        Batched(quick, CPU, 1)(one)
        go.set()
        waiting.result()
    assert seen == [False, False]
    assert flags.allow_tf32 == before is True
