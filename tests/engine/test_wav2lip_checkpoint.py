"""Wav2Lip's network has the published names, shapes and size; only a file of weights in these is let in."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rendering.engine import backends, device
from rendering.engine.errors import EngineError
from rendering.engine.wav2lip import checkpoint
from rendering.engine.wav2lip.maker import Network, load_network
from rendering.engine.wav2lip.net import PARAMETERS, Wav2Lip
from tests.engine import checkpoints

CPU = torch.device("cpu")
OURS = {"exemplar": "", "neural": ""}
ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = """
face_encoder_blocks.0.0    16    6 7    face_encoder_blocks.1.0    32   16 3    face_encoder_blocks.1.1    32   32 3
face_encoder_blocks.1.2    32   32 3    face_encoder_blocks.2.0    64   32 3    face_encoder_blocks.2.1    64   64 3
face_encoder_blocks.2.2    64   64 3    face_encoder_blocks.2.3    64   64 3    face_encoder_blocks.3.0   128   64 3
face_encoder_blocks.3.1   128  128 3    face_encoder_blocks.3.2   128  128 3    face_encoder_blocks.4.0   256  128 3
face_encoder_blocks.4.1   256  256 3    face_encoder_blocks.4.2   256  256 3    face_encoder_blocks.5.0   512  256 3
face_encoder_blocks.5.1   512  512 3    face_encoder_blocks.6.0   512  512 3    face_encoder_blocks.6.1   512  512 1
audio_encoder.0            32    1 3    audio_encoder.1            32   32 3    audio_encoder.2            32   32 3
audio_encoder.3            64   32 3    audio_encoder.4            64   64 3    audio_encoder.5            64   64 3
audio_encoder.6           128   64 3    audio_encoder.7           128  128 3    audio_encoder.8           128  128 3
audio_encoder.9           256  128 3    audio_encoder.10          256  256 3    audio_encoder.11          512  256 3
audio_encoder.12          512  512 1    face_decoder_blocks.0.0   512  512 1    face_decoder_blocks.1.0   512 1024 3t
face_decoder_blocks.1.1   512  512 3    face_decoder_blocks.2.0   512 1024 3t   face_decoder_blocks.2.1   512  512 3
face_decoder_blocks.2.2   512  512 3    face_decoder_blocks.3.0   384  768 3t   face_decoder_blocks.3.1   384  384 3
face_decoder_blocks.3.2   384  384 3    face_decoder_blocks.4.0   256  512 3t   face_decoder_blocks.4.1   256  256 3
face_decoder_blocks.4.2   256  256 3    face_decoder_blocks.5.0   128  320 3t   face_decoder_blocks.5.1   128  128 3
face_decoder_blocks.5.2   128  128 3    face_decoder_blocks.6.0    64  160 3t   face_decoder_blocks.6.1    64   64 3
face_decoder_blocks.6.2    64   64 3    output_block.0             32   80 3
"""
"""Blocks of the published network: name, channels out and in, side of the kernel; ``t``: transposed."""


def published_shapes() -> dict[str, tuple[int, ...]]:
    words = PUBLISHED.split()
    shapes: dict[str, tuple[int, ...]] = {"output_block.1.weight": (3, 32, 1, 1), "output_block.1.bias": (3,)}
    for name, out, channels, kernel in zip(*[iter(words)] * 4, strict=True):
        ways = (int(channels), int(out)) if kernel.endswith("t") else (int(out), int(channels))
        side = int(kernel.removesuffix("t"))
        shapes[f"{name}.conv_block.0.weight"] = (*ways, side, side)
        for part in ("0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
            shapes[f"{name}.conv_block.{part}"] = (int(out),)
        shapes[f"{name}.conv_block.1.num_batches_tracked"] = ()
    return shapes


@pytest.fixture(scope="module")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.random_weights(tmp_path_factory.mktemp("weights") / "random.pth")


def refused(path: Path) -> EngineError:
    with pytest.raises(EngineError) as caught:
        checkpoint.load(path, CPU)
    return caught.value


def saved(folder: Path, content: Any, **how: Any) -> Path:
    torch.save(content, folder / "file.pth", **how)
    return folder / "file.pth"


def test_every_name_and_shape_is_the_published_one() -> None:
    with torch.device("meta"):
        net = Wav2Lip()
    assert {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()} == published_shapes()


def test_it_has_36_3_million_parameters() -> None:
    with torch.device("meta"):
        net = Wav2Lip()
    assert sum(tensor.numel() for tensor in net.parameters()) == PARAMETERS == 36_298_035


def test_what_training_left_is_loaded_as_it_is(random_file: Path) -> None:
    net = checkpoint.load(random_file, CPU).net
    stored = torch.load(random_file, weights_only=True)["state_dict"]
    assert not net.training
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, stored[f"module.{name}"])


@pytest.mark.parametrize(
    ("prefix", "wrap"),
    [
        ("", lambda weights: weights),
        ("module.", lambda weights: weights),
        ("", lambda weights: {"state_dict": weights, "optimizer": None, "global_epoch": 3}),
    ],
    ids=["bare", "of several cards", "wrapped"],
)
def test_wrappers_prefixes_and_half_precision_do_not_matter(tmp_path: Path, prefix: str, wrap: Any) -> None:
    weights = checkpoints.nothing()
    weights["output_block.1.bias"] = torch.tensor([0.25, 0.5, -0.75], dtype=torch.half)
    given = {prefix + name: tensor for name, tensor in weights.items()}
    net = checkpoint.load(saved(tmp_path, wrap(given)), CPU).net
    assert net.output_block[1].bias.tolist() == [0.25, 0.5, -0.75]
    assert net.output_block[1].bias.dtype == torch.float32


def test_a_checkpoint_from_before_batches_were_counted_is_loaded(tmp_path: Path) -> None:
    weights = {name: tensor for name, tensor in checkpoints.nothing().items() if "num_batches" not in name}
    checkpoint.load(saved(tmp_path, weights), CPU)


def test_the_same_file_is_read_once_and_another_in_its_place_is_read_anew(tmp_path: Path) -> None:
    path = checkpoints.painting(tmp_path / "a.pth", 0.25)
    first = checkpoint.load(path, CPU)
    assert checkpoint.load(path, CPU) is first
    os.replace(checkpoints.painting(tmp_path / "b.pth", 0.75), path)
    second = checkpoint.load(path, CPU)
    assert second.identity != first.identity
    assert float(second.net.output_block[1].bias[0]) > 0 > float(first.net.output_block[1].bias[0])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: w.pop("audio_encoder.3.conv_block.0.bias"), "names are missing, such as audio_encoder.3"),
        (lambda w: w.update({"sam.conv1.weight": torch.zeros(1)}), "names are unknown, such as sam.conv1.weight"),
        (
            lambda w: w.update({"face_encoder_blocks.0.0.conv_block.0.weight": torch.zeros(32, 6, 7, 7)}),
            r"is \(32, 6, 7, 7\), not \(16, 6, 7, 7\)",
        ),
        (lambda w: w.update({"output_block.1.bias": torch.tensor([0.0, float("nan"), 0.0])}), "not a number"),
        (lambda w: w.update({"output_block.1.bias": torch.zeros(3, dtype=torch.int32)}), "not a number"),
        (lambda w: w.update({"output_block.1.bias": [0.0, 0.0, 0.0]}), "is no tensor"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, change: Any, told: str) -> None:
    weights = checkpoints.nothing()
    change(weights)
    error = refused(saved(tmp_path, weights))
    assert error.code == "bad_checkpoint"
    with pytest.raises(EngineError, match=told):
        raise error


def written(folder: Path, content: bytes) -> Path:
    (folder / "file.pth").write_bytes(content)
    return folder / "file.pth"


def shortened(folder: Path) -> Path:
    path = checkpoints.painting(folder / "whole.pth", 0.5)
    return written(folder, path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: saved(folder, [1, 2]),
        lambda folder: saved(folder, {"state_dict": 3}),
        lambda folder: written(folder, b""),
        lambda folder: written(folder, b"hello\n" * 50),
        lambda folder: written(folder, b"no checkpoint"),
        lambda folder: written(folder, b"PK\x03\x04" + bytes(60)),
        shortened,
    ],
    ids=["a list", "a number", "nothing", "a text", "a line", "a damaged archive", "half of one"],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, make: Any) -> None:
    assert refused(make(tmp_path)).code == "bad_checkpoint"


class Trap:
    """Unpickled without care, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path, how: str) -> None:
    mark = tmp_path / "it ran"
    weights = {**checkpoints.nothing(), "output_block.1.bias": Trap(mark)}
    path = tmp_path / "file.pth"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Trap(mark)}, protocol=2))
    else:
        torch.save({"state_dict": weights}, path, _use_new_zipfile_serialization=how == "zip")
    error = refused(path)
    assert error.code == "unsafe_checkpoint"
    assert error.detail == "asks for posix.mkdir"
    assert not mark.exists()
    pickle.loads(path.read_bytes()) if how == "pickle" else torch.load(path, weights_only=False)  # noqa: S301
    assert mark.exists(), "it was a trap"


def test_a_machine_has_wav2lip_only_where_a_checkpoint_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(checkpoint.VARIABLE, raising=False)
    assert backends.able() == OURS
    with pytest.raises(EngineError, match="no_checkpoint"):
        load_network()
    monkeypatch.setenv(checkpoint.VARIABLE, str(checkpoints.painting(tmp_path / "a.pth", 0.5)))
    assert backends.able() == OURS | {"wav2lip": checkpoint.identity(tmp_path / "a.pth")}
    monkeypatch.setenv(checkpoint.VARIABLE, str(tmp_path / "gone.pth"))
    assert backends.able() == OURS


def test_a_machine_without_a_checkpoint_never_loads_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(checkpoint.VARIABLE, raising=False)
    monkeypatch.setenv(device.VARIABLE, "cpu")
    code = (
        "import sys; from rendering.engine import backends, render, prepare\n"
        "print(backends.able(), backends.device(), 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == f"{OURS} cpu False"


def test_a_device_that_is_not_there_is_an_error_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.VARIABLE, f"cuda:{torch.cuda.device_count()}")
    with pytest.raises(EngineError, match=f"device_error: ENGINE_DEVICE=cuda:{torch.cuda.device_count()}"):
        device.chosen()
    monkeypatch.setenv(device.VARIABLE, "cpu")
    assert device.chosen() == CPU


# Drawing


@pytest.fixture(scope="module")
def questions() -> tuple[np.ndarray, np.ndarray]:
    """Three faces and what is heard."""
    dice = np.random.default_rng(5)
    return dice.integers(0, 256, (3, 96, 96, 3)).astype(np.uint8), dice.uniform(-4, 4, (3, 80, 16)).astype(np.float32)


def test_what_is_drawn_does_not_depend_on_how_many_are_drawn_together(
    random_file: Path, questions: tuple[np.ndarray, np.ndarray]
) -> None:
    loaded = checkpoint.load(random_file, CPU)
    one, two, five = (Network(loaded, CPU, together).draw(*questions) for together in (1, 2, 5))
    assert one.shape == (3, 96, 96, 3)
    assert np.ptp(one) > 1
    np.testing.assert_allclose(two, one, atol=0.001)  # grey levels of 255
    np.testing.assert_allclose(five, one, atol=0.001)


def test_the_network_sees_the_upper_half_the_whole_reference_and_the_sound(
    random_file: Path, questions: tuple[np.ndarray, np.ndarray]
) -> None:
    network, seen = Network(checkpoint.load(random_file, CPU), CPU, 3), []
    with network.net.register_forward_pre_hook(lambda _, given: seen.append(given)):
        network.draw(*questions)
    ((heard, faces),) = seen
    pictures = questions[0].transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_array_equal(faces[:, :3, :48], pictures[:, :, :48])
    assert not faces[:, :3, 48:].any()
    np.testing.assert_array_equal(faces[:, 3:], pictures)
    np.testing.assert_array_equal(heard[:, 0], questions[1])


def test_a_device_without_memory_for_all_draws_fewer_together(
    random_file: Path, questions: tuple[np.ndarray, np.ndarray]
) -> None:
    loaded = checkpoint.load(random_file, CPU)
    expected = Network(loaded, CPU, 2).draw(*questions)
    network, sizes = Network(loaded, CPU, 8), []

    def small(_: object, given: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(given[0]))
        if len(given[0]) > 2:
            raise torch.OutOfMemoryError("full")

    with network.net.register_forward_pre_hook(small):
        drawn = network.draw(*questions)
    assert sizes == [8, 4, 2, 2]
    np.testing.assert_array_equal(drawn, expected)
