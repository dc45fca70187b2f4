"""What is heard, as numbers."""

import numpy as np
import pytest

from rendering.engine.voice.features import DIMENSIONS, at_times, features
from rendering.engine.voice.pauses import activity


@pytest.fixture
def tone() -> np.ndarray:
    t = np.arange(32000) / 16000
    return (0.3 * np.sin(2 * np.pi * 300 * t) * (np.sin(2 * np.pi * 2 * t) > 0)).astype(np.float32)


def test_there_are_a_hundred_rows_a_second_each_scaled(tone):
    heard = features(tone)
    assert heard.shape == (201, DIMENSIONS)
    assert np.allclose(heard.mean(0), 0, atol=1e-3)
    assert heard[:, -1].std() == pytest.approx(1, abs=0.05)


def test_a_louder_recording_is_heard_the_same(tone):
    assert np.allclose(features(tone), features(3 * tone), atol=1e-2)


def test_stereo_is_refused_loudly(tone):
    with pytest.raises(ValueError, match="mono"):
        features(np.stack([tone, tone]))


def test_a_moment_between_two_rows_is_between_them():
    values = np.array([[0.0], [1.0], [2.0]])
    assert at_times(values, np.array([-1, 0.005, 0.02, 9])).ravel() == pytest.approx([0, 0.5, 2, 2])


def test_speech_is_told_from_pauses_and_silence_holds_none(tone):
    loud = np.concatenate([np.random.default_rng(0).normal(0, 0.2, 16000), np.zeros(16000)]).astype(np.float32)
    speaking = activity(loud)
    assert speaking[20:90].min() > 0.9
    assert speaking[130:].max() < 0.1
    assert activity(np.zeros(16000, np.float32)).max() == 0
