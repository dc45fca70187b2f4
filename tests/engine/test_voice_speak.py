"""The embedded voice."""

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rendering.engine.errors import EngineError
from rendering.engine.voice.speak import Sentence, speak, speak_many


def test_english_comes_with_the_times_of_its_words_and_sounds():
    said = speak("My people prove it.", "en")
    assert said.rate == 16000
    assert 0.8 < said.duration_s < 4
    assert [word.strip(" .") for _, _, word in said.words] == ["My", "people", "prove", "it"]
    sounds = [name for _, _, name in said.phonemes]
    assert sounds.count("p") == 3
    assert sounds[0] == "m"


def test_phonemes_follow_each_other_without_gaps_and_end_with_the_sound():
    said = speak("Ten green bottles, hanging on the wall.", "en")
    assert all(before[1] == pytest.approx(after[0]) for before, after in pairwise(said.phonemes))
    assert said.phonemes[-1][1] == pytest.approx(said.duration_s, abs=0.01)


@pytest.mark.parametrize("tag", ["zh", "zh-hans", "zh-CN"])
def test_mandarin_is_spoken_whatever_the_tag_is_called(tag):
    said = speak("你好,欢迎来到这里。", tag)
    assert 1 < said.duration_s < 5
    assert any("a" in name for _, _, name in said.phonemes)


def test_a_voice_has_the_same_length_at_any_rate():
    low, high = speak("Hello there.", rate=16000), speak("Hello there.", rate=48000)
    assert low.duration_s == pytest.approx(high.duration_s, abs=0.001)
    assert np.abs(high.audio).max() > 0.1


def test_several_sentences_are_said_by_one_process_in_their_order():
    short, long = speak_many([Sentence(text="Yes."), Sentence(text="This one takes a good deal longer to say.")])
    assert short.duration_s < long.duration_s


@pytest.mark.parametrize(("text", "language"), [("", "en"), ("Hello", "xx-nowhere")])
def test_nothing_to_say_and_no_voice_to_say_it_are_refused(text, language):
    with pytest.raises(EngineError) as refusal:
        speak(text, language)
    assert refusal.value.code == "no_voice"


def test_the_gpl_library_is_never_loaded_into_our_own_process():
    speak("Hello.")
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("needs /proc to see which libraries are loaded")
    assert "espeak" not in maps.read_text()


def test_the_same_words_sound_the_same_at_any_time_of_day():
    once = speak("Breath is noise.", "en", variant="f2")
    time.sleep(1.1)  # espeak-ng by itself takes the noise of breath from the second in which it was started
    again = speak("Breath is noise.", "en", variant="f2")
    assert np.array_equal(once.audio, again.audio)
