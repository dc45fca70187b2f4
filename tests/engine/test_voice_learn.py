"""Learning a presenter from what was heard and seen, and planning new words for them."""

from dataclasses import dataclass

import numpy as np
import pytest

from rendering.engine.errors import EngineError
from rendering.engine.voice.base import hear, load_base
from rendering.engine.voice.features import RATE
from rendering.engine.voice.learn import VoiceModel, learn
from rendering.engine.voice.plan import plan, plan_shape
from rendering.engine.voice.speak import Speech, speak
from rendering.engine.voice.visemes import closures, mouth

FPS = 25.0
STORY = (
    "The old boat moved slowly past the bridge while people waved. Nobody knew where it was going, or why. "
    "A man on the bank put down his bag and called out to the captain. Maybe tomorrow, came the answer, maybe never. "
    "By evening the water was calm, and a warm wind blew over the empty fields."
)
NEWS = "Five new maps were put up by the main door, and everybody came to have a look before lunch."


def shape_of(said: Speech, seconds: float, seed: int) -> np.ndarray:
    """Opening and width (n, 2) in IO of somebody who says this, with the tremble of a tracked mouth."""
    times = np.arange(int(seconds * FPS)) / FPS
    noise = np.random.default_rng(seed).normal(0, [0.008, 0.006], (len(times), 2))
    return mouth(said.phonemes, times) * [0.2, 0.08] + [0.03, 0.6] + noise


def lips_of(shape: np.ndarray) -> np.ndarray:
    """Eight numbers for a mouth: six of them are mixtures of opening and width, two are noise."""
    random = np.random.default_rng(5)
    mixed = (shape - [0.08, 0.6]) / [0.06, 0.04] @ random.normal(0, 1, (2, 8))
    return mixed + 0.1 * random.normal(size=(len(shape), 8))


@dataclass(frozen=True)
class Taught:
    said: Speech
    shape: np.ndarray
    model: VoiceModel


@pytest.fixture(scope="module")
def taught() -> Taught:
    said = speak(STORY, "en", variant="f2", words_per_minute=150)
    shape = shape_of(said, said.duration_s, 1)
    return Taught(said, shape, learn(shape, lips_of(shape), np.ones(len(shape), bool), FPS, said.audio))


def r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def opening_of(model: VoiceModel, lips: np.ndarray) -> np.ndarray:
    return (np.column_stack([lips, np.ones(len(lips))]) @ model.read)[:, 0]


def test_the_presenter_is_learnt_from_twenty_seconds(taught):
    assert taught.model.cv_open > 0.6
    assert taught.model.personal
    assert taught.model.offset_ms == pytest.approx(0, abs=40)


@pytest.mark.parametrize("variant", ["f2", "m3"])
def test_new_words_in_the_same_and_in_another_voice_move_the_mouth_as_they_should(taught, variant):
    said = speak(NEWS, "en", variant=variant, words_per_minute=150)
    times = np.arange(int(said.duration_s * FPS)) / FPS
    planned = plan(taught.model, said.audio, times)
    truth = mouth(said.phonemes, times)[:, 0]
    opening = opening_of(taught.model, planned)
    assert planned.shape == (len(times), 8)
    assert r(opening, truth) > 0.6
    shifted = [r(np.roll(opening, shift), truth) for shift in range(15, len(opening) - 15)]
    assert abs(np.mean(shifted)) < 0.15
    assert 0.6 < opening.std() / taught.shape[:, 0].std() < 1.5


@pytest.mark.parametrize("offset_ms", [-80, 120])
def test_sound_that_is_late_or_early_is_found_and_taken_out(taught, offset_ms):
    shift = round(offset_ms / 1000 * RATE)
    moved = np.roll(np.pad(taught.said.audio, (RATE, RATE)), shift)[RATE:-RATE]
    lips = lips_of(taught.shape)
    model = learn(taught.shape, lips, np.ones(len(lips), bool), FPS, moved)
    assert model.offset_ms == pytest.approx(taught.model.offset_ms + offset_ms, abs=20)


def test_wrong_sound_is_not_believed(taught):
    other = speak("大家早上好,感谢各位今天来到这里。我们的产品已经卖到了很多国家和地区。" * 3, "zh", variant="m2")
    shape = taught.shape[: int(other.duration_s * FPS)]
    model = learn(shape, lips_of(shape), np.ones(len(shape), bool), FPS, other.audio)
    assert not model.personal
    assert model.offset_ms == 0


def test_without_sound_the_general_model_moves_the_presenters_own_mouth(taught):
    lips = lips_of(taught.shape)
    model = learn(taught.shape, lips, np.ones(len(lips), bool), FPS, None)
    assert (model.personal, model.cv_open, model.speech_s) == (False, 0.0, 0.0)
    said = speak(NEWS, "en", variant="m3")
    times = np.arange(int(said.duration_s * FPS)) / FPS
    assert r(opening_of(model, plan(model, said.audio, times)), mouth(said.phonemes, times)[:, 0]) > 0.5


def test_the_mouth_rests_in_silence(taught):
    said = speak("Hello.", "en").audio
    pause = np.zeros(2 * RATE, np.float32)
    planned = plan(taught.model, np.concatenate([said, pause, said]), np.arange(0, 3, 0.04))
    quiet = round((len(said) / RATE + 1) * FPS)
    assert np.allclose(planned[quiet], taught.model.rest, atol=0.05)


@pytest.mark.parametrize(("silent_s", "open_at_rest"), [(0.9, False), (4.0, True)])
def test_a_breath_is_no_rest_and_an_open_mouth_in_long_pauses_is(silent_s, open_at_rest):
    said = speak(NEWS, "en", variant="f2")
    breath = np.tile([0.14, 0.6], (round(silent_s * FPS), 1))
    shape = np.concatenate([shape_of(said, said.duration_s, 1), breath])
    sound = np.concatenate([said.audio, np.zeros(round(silent_s * RATE), np.float32)])
    model = learn(shape, lips_of(shape), np.ones(len(shape), bool), FPS, sound)
    rest = opening_of(model, model.rest[None])[0]
    assert rest == pytest.approx(0.14, abs=0.02) if open_at_rest else rest < np.percentile(shape[:, 0], 20)


def test_lips_meet_where_the_sounds_are_known(taught):
    said = speak(NEWS, "en", variant="m3")
    times = np.arange(int(said.duration_s * FPS)) / FPS
    middles = [round((start + end) / 2 * FPS) for start, end in closures(said.phonemes)]
    known = plan_shape(taught.model, said.audio, times, phonemes=said.phonemes)[middles, 0]
    guessed = plan_shape(taught.model, said.audio, times)[middles, 0]
    assert known.mean() < guessed.mean()
    assert np.median(known) < taught.model.shape_low[0] + 0.02


def test_amplitude_scales_the_opening_within_what_the_presenter_does(taught):
    said = speak(NEWS, "en")
    times = np.arange(int(said.duration_s * FPS)) / FPS
    small, large = (plan_shape(taught.model, said.audio, times, amplitude=a)[:, 0] for a in (0.5, 1.5))
    assert small.std() < large.std()
    assert large.max() <= taught.model.shape_high[0] + 1e-6


def test_a_laugh_in_the_footage_is_not_taken_for_speech(taught):
    laughing = taught.shape.copy()
    when = np.arange(len(laughing)) / FPS
    laughing += np.exp(-0.5 * ((when - 8) / 1.0) ** 2)[:, None] * [0.12, 0.15]
    model = learn(laughing, lips_of(laughing), np.ones(len(laughing), bool), FPS, taught.said.audio)
    assert model.cv_open > taught.model.cv_open - 0.1
    assert model.cv_width > taught.model.cv_width - 0.1
    assert model.shape_sd == pytest.approx(taught.model.shape_sd, rel=0.35)


def test_what_an_earlier_version_learnt_is_stale(tmp_path):
    np.savez(tmp_path / "voice.npz", offset_ms=0.0, **{"ridge.centres": np.zeros((2, 3))})
    with pytest.raises(EngineError, match="stale_analysis"):
        VoiceModel.load(tmp_path / "voice.npz")


def test_a_model_read_back_plans_the_same(taught, tmp_path):
    taught.model.save(tmp_path / "voice.npz")
    again = VoiceModel.load(tmp_path / "voice.npz")
    times = np.arange(0, 4, 0.04)
    before, after = (plan(model, taught.said.audio, times) for model in (taught.model, again))
    assert np.allclose(before, after, atol=0.02)
    assert again.personal is True


def test_learning_twice_gives_the_same_model(taught):
    lips = lips_of(taught.shape)
    again = learn(taught.shape, lips, np.ones(len(lips), bool), FPS, taught.said.audio)
    assert again.cv_open == taught.model.cv_open
    assert np.array_equal(again.ridge.weights, taught.model.ridge.weights)


def test_frames_that_were_not_followed_teach_nothing(taught):
    shape, lips = taught.shape.copy(), lips_of(taught.shape)
    ok = np.ones(len(shape), bool)
    ok[40:60] = False
    shape[40:60], lips[40:60] = np.nan, np.nan
    model = learn(shape, lips, ok, FPS, taught.said.audio)
    assert model.cv_open > 0.5
    assert np.isfinite(plan(model, taught.said.audio, np.arange(0, 3, 0.04))).all()
    with pytest.raises(ValueError, match="no followed frame"):
        learn(shape, lips, np.zeros(len(shape), bool), FPS, None)


def test_a_base_of_the_teams_own_has_more_to_say_than_the_committed_one(taught):
    said = speak(NEWS, "en", variant="m3", words_per_minute=150)
    times = np.arange(int(said.duration_s * FPS)) / FPS
    alone = load_base().predict(hear(said.audio), times)[:, 0]
    usual, more = (plan_shape(taught.model, said.audio, times, base=base)[:, 0] for base in (None, load_base()))
    assert r(more, alone) > r(usual, alone) + 0.01
