"""An operator's model sharpens mouths without shaking them, and nothing else; a harmful one is not loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rendering.engine.backends import Exemplar, Scene, able, make
from rendering.engine.enhance.maker import LEFT_EYE, MOUTH, RIGHT_EYE, Enhanced, face_square
from rendering.engine.enhance.model import RANGES, Enhancer, load
from rendering.engine.enhance.screen import screened
from rendering.engine.enhance.steady import Steady
from rendering.engine.errors import EngineError
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.points import LIPS
from rendering.engine.media.frames import read_frames
from rendering.engine.wav2lip import checkpoint
from rendering.engine.wav2lip.maker import Network, Wav2LipMouths
from tests.engine import checkpoints, restorers
from tests.engine.conftest import Filmed
from tests.engine.test_wav2lip_mouths import planes, scene

CPU = torch.device("cpu")
SIZE = 128


def enhancer(model: torch.nn.Module, folder: Path, *, span: str = "-1..1", together: int = 2) -> Enhancer:
    low, high = RANGES[span]
    path = restorers.saved(model, folder / f"{type(model).__name__}.ts")
    return Enhancer(path, CPU, size=SIZE, low=low, high=high, together=together)


@pytest.fixture(scope="module")
def lips(filmed: Filmed) -> LipSpace:
    return LipSpace.fit(filmed.track)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    path = checkpoints.copying(tmp_path_factory.mktemp("weights") / "copying.pth")
    return Network(checkpoint.load(path, CPU), CPU, 4)


def drawn(
    filmed: Filmed, given: Scene, network: Network, by: Enhancer | None, strength: float = 1.0
) -> list[tuple[tuple[np.ndarray, ...], bool]]:
    """Planes of each frame, and whether its mouth is new."""
    maker = Wav2LipMouths(given, network, Exemplar(given))
    whole = maker if by is None else Enhanced(maker, given, by, strength)
    frames = list(read_frames(filmed.video, filmed.info, stop=len(given.order)))
    done = []
    for first in range(0, len(frames), whole.together):
        done += whole.compose(frames[first : first + whole.together], first)
    whole.close()
    return [(planes(frame), one) for frame, one in zip(frames, done, strict=True)]


def detail(luma: np.ndarray, places: np.ndarray) -> float:
    """How much neighbours differ around ``places`` (n, 2) px."""
    (left, top), (right, bottom) = places.min(axis=0).astype(int), places.max(axis=0).astype(int)
    part = luma[top:bottom, left:right].astype(float)
    return float(np.abs(np.diff(part, axis=1)).mean())


def test_the_mouth_becomes_sharper_by_the_strength_and_the_rest_stays(
    filmed: Filmed, lips: LipSpace, network: Network, tmp_path: Path
) -> None:
    given = scene(filmed, lips, frames=4, spoken_s=9.0)
    by = enhancer(restorers.Sharpen(2.0), tmp_path)
    plain, half, full = (drawn(filmed, given, network, *each) for each in ((None,), (by, 0.5), (by, 1.0)))
    filmed_planes = [planes(frame) for frame in read_frames(filmed.video, filmed.info, stop=4)]
    for t in range(4):
        places = filmed.track.steady.points[t][LIPS, :2]
        by_strength = [detail(one[t][0][0], places) for one in (plain, half, full)]
        assert by_strength[0] * 1.05 < by_strength[1] < by_strength[2] / 1.02
        before, after = plain[t][0], full[t][0]
        touched = cv2.dilate((before[0] != filmed_planes[t][0]).astype(np.uint8), np.ones((9, 9))) > 0
        assert not (after[0] != before[0])[~touched].any(), "nothing but what the network had drawn"


def test_tone_is_left_as_it_is(filmed: Filmed, lips: LipSpace, network: Network, tmp_path: Path) -> None:
    given = scene(filmed, lips, frames=2, spoken_s=9.0)
    same, lighter = (drawn(filmed, given, network, enhancer(restorers.Lighter(by), tmp_path)) for by in (0.0, 0.04))
    plain = drawn(filmed, given, network, None)
    for (before, _), (after, _), (lit, _) in zip(plain, same, lighter, strict=True):
        assert np.abs(before[0].astype(int) - after[0]).max() <= 1
        assert np.abs(after[0].astype(int) - lit[0]).max() <= 1, "of 5"


def test_a_model_that_flickers_flickers_much_less_when_steadied(filmed: Filmed, lips: LipSpace, tmp_path: Path) -> None:
    by = enhancer(restorers.Flicker(), tmp_path)
    square = face_square(filmed.track, SIZE)
    steady, raw, calm = Steady(), [], []
    for t, frame in enumerate(read_frames(filmed.video, filmed.info, stop=24)):
        picture = square.cut(frame, t)
        added = by(picture[None])[0] - picture
        raw.append(added)
        calm.append(steady(picture, added))
    mouth = slice(70, 110), slice(40, 90)
    shaking = [np.abs(np.diff([one[mouth] for one in each], axis=0)).mean() for each in (raw, calm)]
    assert shaking[0] > 5, "it does flicker"
    assert shaking[1] < 0.45 * shaking[0]


def test_an_addition_goes_along_with_what_moves() -> None:
    draw = np.random.default_rng(3)
    texture = np.kron(draw.integers(40, 215, (40, 40)), np.ones((8, 8))).astype(np.uint8)
    pictures = [np.dstack([texture[30 : 30 + 256, 10 + 3 * t : 266 + 3 * t]] * 3) for t in range(6)]
    pattern = draw.normal(0, 10, (320, 320)).astype(np.float32)
    truth = [np.dstack([pattern[30 : 30 + 256, 10 + 3 * t : 266 + 3 * t]] * 3) for t in range(6)]
    steady = Steady()
    steady(pictures[0], truth[0])
    for picture, added in zip(pictures[1:], truth[1:], strict=True):
        led = steady(picture, np.zeros_like(added))
    assert np.corrcoef(led[60:200, 60:200].ravel(), truth[-1][60:200, 60:200].ravel())[0, 1] > 0.5
    assert np.abs(np.corrcoef(led[60:200, 60:200].ravel(), truth[0][60:200, 60:200].ravel())[0, 1]) < 0.2


def test_where_the_picture_changes_the_new_addition_counts() -> None:
    steady = Steady()
    dark, light = np.full((128, 128, 3), 30, np.uint8), np.full((128, 128, 3), 220, np.uint8)
    steady(dark, np.full((128, 128, 3), 10, np.float32))
    np.testing.assert_allclose(steady(light, np.zeros((128, 128, 3), np.float32)), 0, atol=1e-3)
    assert steady(light, np.full((128, 128, 3), 10, np.float32)).max() < 5, "and is led on from there"


def test_the_video_does_not_depend_on_how_many_are_enhanced_together(
    filmed: Filmed, lips: LipSpace, network: Network, tmp_path: Path
) -> None:
    given = scene(filmed, lips, frames=5, spoken_s=9.0)
    one, three = (drawn(filmed, given, network, enhancer(restorers.Sharpen(1.0), tmp_path, together=n)) for n in (1, 3))
    for (first, _), (second, _) in zip(one, three, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)


def test_pauses_and_frames_without_an_answer_keep_what_was_drawn(
    filmed: Filmed, lips: LipSpace, network: Network, tmp_path: Path
) -> None:
    silent = scene(filmed, lips, frames=24, spoken_s=0.32)
    by = enhancer(restorers.Sharpen(2.0), tmp_path)
    plain, sharp = drawn(filmed, silent, network, None), drawn(filmed, silent, network, by)
    changed = [(a[0][0] != b[0][0]).any() for a, b in zip(plain, sharp, strict=True)]
    assert all(changed[:8])
    assert not any(changed[16:])
    spoken = scene(filmed, lips, frames=2, spoken_s=9.0)
    nothing = enhancer(restorers.Invalid(), tmp_path)
    for (before, done), (after, same) in zip(
        drawn(filmed, spoken, network, None), drawn(filmed, spoken, network, nothing), strict=True
    ):
        assert done == same
        np.testing.assert_array_equal(before[0], after[0])


def test_the_model_sees_a_face_as_ffhq_cuts_it(filmed: Filmed) -> None:
    square = face_square(filmed.track, 512)
    points = filmed.track.steady.points[30][:, :2]
    matrix = np.linalg.inv(np.vstack([square.matrix(30), [0, 0, 1]]))
    places = [
        matrix[:2] @ [*points[list(part)].mean(axis=0), 1] for part in (LEFT_EYE, RIGHT_EYE, MOUTH)
    ]  # where FFHQ's faces have them, in 512 pixels: 193, 240; 319, 240; 256, 372
    np.testing.assert_allclose(places, [[193, 240], [319, 240], [256, 372]], atol=22)


@pytest.mark.parametrize("span", list(RANGES))
def test_colours_go_in_and_come_out_in_the_range_that_was_set(tmp_path: Path, span: str) -> None:
    class Same(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

    by = enhancer(Same(), tmp_path, span=span)
    picture = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3)).astype(np.uint8)
    np.testing.assert_allclose(by(picture), picture, atol=1e-3)


def test_traced_models_are_read_too(tmp_path: Path) -> None:
    path = restorers.saved(restorers.Sharpen(1.0), tmp_path / "traced.ts", traced=SIZE)
    picture = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)
    traced = Enhancer(path, CPU, size=SIZE, low=-1.0, high=1.0, together=2)
    scripted = enhancer(restorers.Sharpen(1.0), tmp_path)
    np.testing.assert_allclose(traced(picture), scripted(picture), atol=1e-3)


@pytest.mark.parametrize("traced", [0, 64])
def test_the_layers_of_published_restorers_pass(tmp_path: Path, traced: int) -> None:
    torch.manual_seed(3)
    path = restorers.saved(restorers.Usual().eval(), tmp_path / "usual.ts", traced=traced)
    answer = Enhancer(path, CPU, size=64, low=-1.0, high=1.0, together=1)(np.full((1, 64, 64, 3), 90, np.uint8))
    assert answer.shape == (1, 64, 64, 3)


@pytest.mark.parametrize("kind", [restorers.Reaching, restorers.Hidden])
def test_a_model_that_would_make_a_file_is_not_loaded(tmp_path: Path, kind: type[torch.nn.Module]) -> None:
    made = tmp_path / "made"
    path = restorers.saved(kind(str(made)), tmp_path / "reaching.ts")
    with pytest.raises(EngineError, match=r"torch\.from_file") as refused:
        Enhancer(path, CPU, size=SIZE, low=-1.0, high=1.0, together=1)
    assert refused.value.code == "unsafe_enhancer"
    assert not made.exists()


HEAD = "class M(Module):\n  def forward(self, x: Tensor) -> Tensor:\n"


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (HEAD + '    return ops.aten.from_file("x", True, 4)\n', "ops.aten.from_file"),
        (HEAD + '    return "x".from_file(True, 4)\n', "from_file"),
        (HEAD + "    return ops.mine.anything(x)\n", "ops.mine.anything"),
        (HEAD + "    return fork(x)\n", "fork"),
        (HEAD + "    f = fork\n    return f(x)\n", "fork"),
        (HEAD + "    f = torch.from_file\n    return f(x)\n", "torch.from_file"),
        (HEAD + "    return x.tofile()\n", "x.tofile"),
        ("def from_file(x: Tensor) -> Tensor:\n  return x\n", "from_file"),
        ("import os\n", "import"),
    ],
)
def test_other_code_than_arithmetic_is_named(tmp_path: Path, code: str, named: str) -> None:
    path = tmp_path / "odd.ts"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("data.pkl", "x"), ("constants.pkl", "x"), ("code/__torch__.py", code)):
            archive.writestr(f"m/{name}", content)
    with pytest.raises(EngineError) as refused:
        screened(path)
    assert refused.value.code == "unsafe_enhancer"
    assert named in refused.value.detail


@pytest.mark.parametrize(
    "names",
    [
        ("m/data.pkl",),
        ("m/data.pkl", "m/constants.pkl", "n/code/a.py"),
        ("m/data.pkl", "m/constants.pkl", "m/model.json"),
        ("m/data.pkl", "m/constants.pkl", "m/bytecode.pkl"),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with zipfile.ZipFile(tmp_path / "odd.ts", "w") as archive:
        for name in names:
            archive.writestr(name, "")
    with pytest.raises(EngineError) as refused:
        screened(tmp_path / "odd.ts")
    assert refused.value.code == "bad_enhancer"


def test_an_archive_with_two_entries_of_one_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.ts", "w") as archive:
        for name in ("m/data.pkl", "m/constants.pkl", "m/code/a.py"):
            archive.writestr(name, "")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("m/code/a.py", "")
    with pytest.raises(EngineError, match="bad_enhancer"):
        screened(tmp_path / "odd.ts")


def test_what_is_no_model_or_answers_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.ts").write_bytes(b"no model")
    with pytest.raises(EngineError, match="bad_enhancer"):
        Enhancer(tmp_path / "no.ts", CPU, size=SIZE, low=-1.0, high=1.0, together=1)
    with pytest.raises(EngineError, match=r"answers \(2, 3, 64, 64\) to \(2, 3, 128, 128\)") as refused:
        enhancer(restorers.Smaller(), tmp_path)
    assert refused.value.code == "bad_enhancer"


def test_without_a_model_enhancement_is_refused_before_anything_is_drawn(
    filmed: Filmed, lips: LipSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENHANCER_MODEL", raising=False)
    monkeypatch.setenv("WAV2LIP_CHECKPOINT", __file__)
    given = scene(filmed, lips, frames=2, spoken_s=9.0)
    with pytest.raises(EngineError) as refused:
        make("wav2lip", given, 0.5)
    assert refused.value.code == "no_enhancer"
    assert isinstance(make("exemplar", given, 0.5).maker, Exemplar), "the presenter's own mouths are not enhanced"


def test_the_environment_says_which_model_and_how_it_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = restorers.saved(restorers.Sharpen(1.0), tmp_path / "sharpen.ts")
    for name, value in (("MODEL", str(path)), ("SIZE", "64"), ("RANGE", "0..1"), ("BATCH", "3")):
        monkeypatch.setenv(f"ENHANCER_{name}", value)
    monkeypatch.setenv("ENGINE_DEVICE", "cpu")
    loaded = load()
    assert loaded.size == 64
    assert load() is loaded
    path.write_bytes(restorers.saved(restorers.Flicker(), tmp_path / "other.ts").read_bytes())
    assert load().identity != loaded.identity, "another file is another model"


def test_a_machine_with_both_says_so_and_names_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, filmed: Filmed, lips: LipSpace
) -> None:
    monkeypatch.setenv("ENHANCER_MODEL", str(restorers.saved(restorers.Sharpen(1.0), tmp_path / "sharpen.ts")))
    monkeypatch.delenv("WAV2LIP_CHECKPOINT", raising=False)
    assert list(able()) == ["exemplar", "neural", "neural+enhancer"]
    monkeypatch.setenv("WAV2LIP_CHECKPOINT", str(checkpoints.painting(tmp_path / "grey.pth", 0.5)))
    monkeypatch.setenv("ENHANCER_SIZE", "64")
    monkeypatch.setenv("ENGINE_DEVICE", "cpu")
    said = able()
    assert list(said) == ["exemplar", "neural", "wav2lip", "neural+enhancer", "wav2lip+enhancer"]
    given = scene(filmed, lips, frames=2, spoken_s=9.0)
    assert make("wav2lip", given).maker.weights == said["wav2lip"]
    assert make("wav2lip", given, 0.5).maker.weights == said["wav2lip+enhancer"]
    assert len(said["wav2lip+enhancer"]) == 33
