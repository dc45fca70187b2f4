"""The regression from sounds to one presenter's mouth, and its honesty about itself."""

import numpy as np
import pytest

from rendering.engine.voice import ridge

TIMES = np.arange(600) / 25


@pytest.fixture(scope="module")
def heard() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2420, 6)).astype(np.float32)


def r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_a_mouth_that_follows_the_sound_is_learnt_with_its_delay(heard):
    target = ridge.at_times(heard, TIMES - 0.08)[:, :2]
    own, held_out = ridge.learn(heard, TIMES, target)
    assert ridge.block_scores(held_out, target).min() > 0.8
    elsewhere = TIMES[100:200] + 0.013
    assert r(own.predict(heard, elsewhere)[:, 0], ridge.at_times(heard, elsewhere - 0.08)[:, 0]) > 0.8


def test_held_out_answers_know_nothing_of_a_mouth_that_follows_no_sound(heard):
    noise = np.random.default_rng(4).normal(size=(len(TIMES), 1))
    own, held_out = ridge.learn(heard, TIMES, noise)
    assert r(own.predict(heard, TIMES)[:, 0], noise[:, 0]) > 0.2
    assert abs(ridge.block_scores(held_out, noise)[0]) < 0.15


def test_a_long_take_is_answered_in_pieces_as_it_would_be_at_once(heard):
    own, _ = ridge.learn(heard, TIMES, ridge.at_times(heard, TIMES)[:, :1])
    many = np.linspace(0, 24, 7000)
    assert np.allclose(own.predict(heard, many), ridge.moments(heard, many) @ own.weights + own.mean, atol=1e-5)
    assert own.predict(heard, many[:0]).shape == (0, 1)


def test_a_microphone_that_colours_every_frame_alike_changes_what_is_heard_little():
    from rendering.engine.voice.speak import speak

    said = speak("Five new maps were put up by the main door this morning.", "en").audio
    dull = np.convolve(said, [0.4, 0.3, 0.2, 0.1])[: len(said)].astype(np.float32)
    clear, muffled = ridge.listen(said), ridge.listen(dull)
    assert clear.shape == muffled.shape
    assert r(clear.ravel(), muffled.ravel()) > 0.7
