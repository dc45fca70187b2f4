"""The base model: committed weights, how they were made, and that they can be made again."""

import json

import numpy as np
import pytest

from rendering.engine.voice.base import FIGURES, HEARD, WEIGHTS, hear, load_base
from rendering.engine.voice.base_train import REPLAY, train_base
from rendering.engine.voice.speak import speak
from rendering.engine.voice.visemes import mouth


def r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_the_weights_are_small_and_their_making_is_written_down():
    assert WEIGHTS.stat().st_size < 120_000
    assert REPLAY.stat().st_size < 210_000
    figures = json.loads(FIGURES.read_text())
    assert figures["parameters"] == sum(value.size for value in load_base().weights.values())
    assert figures["seed"] == 7
    assert figures["r_opening_unheard_voices"] > 0.7


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en-gb", "A quick brown fox jumps over the lazy dog, and nobody makes a sound about it afterwards."),
        ("zh", "今年秋天的苹果又大又红,大家都很高兴,晚上一起吃饭。"),
    ],
)
def test_it_hears_how_far_a_voice_it_never_met_opens_the_mouth(language, text):
    said = speak(text, language, variant="f5")
    times = np.arange(0.2, said.duration_s - 0.2, 0.04)
    answer = load_base().predict(hear(said.audio), times)
    truth = mouth(said.phonemes, times)
    assert r(answer[:, 0], truth[:, 0]) > 0.55
    assert r(answer[:, 1], truth[:, 1]) > 0.55


def test_numpy_and_torch_say_the_same():
    torch = pytest.importorskip("torch")
    from rendering.engine.voice.base_net import BaseNet

    model = load_base()
    heard = np.random.default_rng(0).normal(size=(70, HEARD)).astype(np.float32)
    with torch.no_grad():
        answer = BaseNet.from_model(model).eval()(torch.from_numpy(heard.T[None]))[0].numpy().T
    assert np.allclose(answer, model.forward(heard), atol=1e-4)
    with pytest.raises(ValueError, match="83"):
        model.forward(heard[:, :40])


def test_training_again_from_one_seed_reaches_the_same_score(tmp_path):
    made = [train_base(tmp_path / name, seed=1, minutes=0.6, steps=12) for name in ("a", "b")]
    scores = [figures["r_opening_unheard_voices"] for figures in made]
    assert scores[0] == pytest.approx(scores[1], abs=0.03)
    assert scores[0] > 0.2
    assert load_base(tmp_path / "a" / "base.npz").weights["in.w"].shape == (64, HEARD)
    assert (tmp_path / "a" / "base.json").exists()
