"""Closures that nobody told: heard by the recogniser, or by the net in voices that it does not know; else none."""

import json

import numpy as np
import pytest

from rendering.engine.voice.base import FIGURES, HEARD, hear
from rendering.engine.voice.closures import SURE, WEIGHTS, heard_closures, load_closures, scores
from rendering.engine.voice.phones import COLUMNS, recognise
from rendering.engine.voice.speak import speak
from rendering.engine.voice.visemes import closures


@pytest.mark.parametrize(
    ("language", "variant", "text"),
    [
        ("en-gb", "f2", "Bob put the big map beside the pump. Mum and Pam may buy a pretty purple lamp."),
        ("zh", "m3", "爸爸妈妈买了苹果和面包。朋友们拍了很多漂亮的照片。"),
    ],
)
def test_closures_of_voices_that_it_never_met_are_heard(language: str, variant: str, text: str) -> None:
    said = speak(text, language, variant=variant)
    asked, found = closures(said.phonemes), heard_closures(hear(said.audio), recognise(said.audio).soft)
    met = [any(a < end + 0.04 and b > start - 0.04 for a, b in found) for start, end in asked]
    wrong = [not any(a < end + 0.08 and b > start - 0.08 for start, end in asked) for a, b in found]
    assert np.mean(met) >= 0.8
    assert sum(wrong) <= 1


def test_none_is_heard_where_nothing_closes() -> None:
    said = speak("She sees the lake, the trees and all the other colours. He is at ease there and relaxes.", "en-gb")
    assert not closures(said.phonemes)
    assert heard_closures(hear(said.audio), recognise(said.audio).soft) == []
    assert heard_closures(np.zeros((0, HEARD), np.float32), np.zeros((0, len(COLUMNS)), np.float32)) == []


def test_the_recogniser_alone_is_enough() -> None:
    soft = np.zeros((400, len(COLUMNS)), np.float32)
    soft[:, COLUMNS["AA"]] = 1.0
    for frames in (slice(112, 118), slice(250, 258)):
        soft[frames, COLUMNS["AA"]], soft[frames, COLUMNS["B"]], soft[frames, COLUMNS["M"]] = 0.5, 0.3, 0.2
    quiet = np.zeros((400, HEARD), np.float32)
    assert load_closures().chance(quiet).max() < SURE
    assert heard_closures(quiet, soft) == [(1.12, 1.18), (2.5, 2.58)]


def test_the_weights_are_small_and_their_making_is_written_down() -> None:
    assert WEIGHTS.stat().st_size < 40_000
    figures = json.loads(FIGURES.read_text())
    assert figures["closures_heard_unheard_voices"] > 0.8
    assert figures["closures_wrong_unheard_voices"] < 0.2


def test_numpy_and_torch_say_the_same() -> None:
    torch = pytest.importorskip("torch")
    from rendering.engine.voice.base_net import ClosureNet

    torch.manual_seed(3)
    net = ClosureNet().eval()
    heard = np.random.default_rng(0).normal(size=(70, HEARD)).astype(np.float32)
    with torch.no_grad():
        answer = torch.sigmoid(net(torch.from_numpy(heard.T[None])))[0].numpy()
    assert np.allclose(answer, net.to_model().chance(heard), atol=1e-5)


def test_a_closure_counts_as_heard_beside_its_moment_and_as_wrong_far_from_any() -> None:
    closed, chance = np.zeros(100, bool), np.zeros(100)
    closed[[20, 21, 50, 51, 80, 81]] = True
    chance[[22, 53, 65]] = 1.0
    assert scores(chance, closed) == (1, 3, 1)
