"""The rule table from sounds to mouths."""

import numpy as np
import pytest

from rendering.engine.voice import visemes


def in_the_middle(*sounds: str) -> np.ndarray:
    phonemes = [(0.15 * i, 0.15 * (i + 1), sound) for i, sound in enumerate(sounds)]
    return visemes.mouth(phonemes, np.array([0.15 * (len(sounds) // 2) + 0.075]), lead_s=0)[0]


def test_the_mouth_opens_more_for_an_open_vowel_than_for_a_closed_one():
    assert in_the_middle("t", "ˈɑː", "t")[0] > 0.8 > 0.4 > in_the_middle("t", "i", "t")[0]


def test_lips_are_rounded_for_u_and_spread_for_i():
    assert in_the_middle("t", "uː", "t")[1] < -0.6
    assert in_the_middle("t", "iː", "t")[1] > 0.6


@pytest.mark.parametrize("sound", ["p", "b", "m", "ph"])
def test_lips_meet_for_p_b_and_m_between_open_vowels(sound):
    assert in_the_middle("a", sound, "a")[0] < 0.2
    assert visemes.closures([(0.0, 0.1, "a"), (0.1, 0.2, sound)]) == [(0.1, 0.2)]


def test_silence_rests_and_stays_at_rest_far_from_any_sound():
    track = visemes.mouth([(0.0, 0.1, "a")], np.array([-5.0, 5.0]))
    assert np.abs(track).max() < 0.05


def test_a_diphthong_moves_from_its_first_vowel_to_its_second():
    track = visemes.mouth([(0.0, 0.4, "aɪ")], np.array([0.1, 0.33]), lead_s=0)
    assert track[0, 0] > track[1, 0] + 0.2


def test_sounds_the_table_does_not_know_hardly_move_the_mouth():
    assert np.isfinite(in_the_middle("a", "ʘ", "a")).all()
    assert visemes.symbols("ˈãː") == ["a"]


def test_sounds_that_are_certain_move_the_mouth_as_known_sounds_do():
    said = [(0.0, 0.3, ""), (0.3, 0.5, "ɑ"), (0.5, 0.62, "m"), (0.62, 0.9, "i"), (0.9, 1.1, "w"), (1.1, 1.4, "ɛ")]
    times = np.arange(0, 1.4, 0.01)
    sounds = [sound for _, _, sound in said]
    chances = np.stack([(times >= start) & (times < end) for start, end, _ in said], 1).astype(np.float32)
    probable, known = visemes.probable_mouth(chances, sounds), visemes.mouth(said, times, rest=visemes.PAUSE)
    for column in range(2):
        assert np.corrcoef(probable[:, column], known[:, column])[0, 1] > 0.85


def test_the_likelier_a_closure_the_smaller_the_opening():
    sounds = ["ɑ", "b"]
    openings = [
        visemes.probable_mouth(np.tile([1 - chance, chance], (60, 1)), sounds)[30, 0] for chance in (0.0, 0.1, 0.5, 1.0)
    ]
    assert openings == sorted(openings, reverse=True)
    assert openings[0] == pytest.approx(1.0)
    assert openings[-1] == pytest.approx(0.0, abs=1e-6)
