"""A known text is found in sound that says it, and not in sound that does not."""

import difflib

import numpy as np
import pytest

from rendering.engine.voice import align as aligning
from rendering.engine.voice.align import Alignment, align
from rendering.engine.voice.speak import Speech, speak
from rendering.engine.voice.visemes import Phoneme

TEXTS = {
    "en": "Many people hope for a warm summer, but Pam brings her big blue map to the office every morning.",
    "zh": "朋友们,明天我们一起去爸爸妈妈的房子,不要忘记买面包。",
}
BEFORE_S = 0.4


@pytest.fixture(scope="module")
def said() -> dict[str, Speech]:
    """The texts in voices and at speeds that the aligner does not use."""
    return {
        "en": speak(TEXTS["en"], "en", variant="f5", words_per_minute=200, pitch=70),
        "zh": speak(TEXTS["zh"], "zh", variant="m7", words_per_minute=130, pitch=35),
    }


def in_a_room(speech: Speech) -> np.ndarray:
    """The speech after a little silence, with an echo and noise."""
    random = np.random.default_rng(5)
    echo = np.concatenate([[1.0], random.normal(0, 0.12, 400) * np.exp(-np.arange(400) / 70)])
    audio = np.convolve(np.pad(speech.audio, round(BEFORE_S * 16000)), echo)
    audio = 0.6 * audio / np.abs(audio).max() + 0.002 * random.normal(size=len(audio))
    return audio.astype(np.float32)


def errors_ms(found: Alignment, true: list[Phoneme]) -> np.ndarray:
    """How far the beginnings of the phones are off."""
    ours, theirs = [p for p in found.phonemes if p[2]], [p for p in true if p[2]]
    names = [[sound.strip("ˈˌ") for _, _, sound in phones] for phones in (ours, theirs)]
    blocks = difflib.SequenceMatcher(None, *names, autojunk=False).get_matching_blocks()
    off = [ours[b.a + k][0] - BEFORE_S - theirs[b.b + k][0] for b in blocks for k in range(b.size)]
    assert len(off) > 0.9 * len(theirs)
    return 1000 * np.abs(off)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_phones_are_found_in_another_voice_at_another_speed(said: dict[str, Speech], language: str) -> None:
    found = align(in_a_room(said[language]), TEXTS[language], language)
    off = errors_ms(found, said[language].phonemes)
    assert found.trusted
    assert found.followed > 0.95
    assert np.median(off) < 12
    assert np.percentile(off, 90) < 50


def test_a_long_take_is_searched_in_pieces(said: dict[str, Speech], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligning, "_PIECE", 250)
    monkeypatch.setattr(aligning, "_KEPT_PART", 120)
    off = errors_ms(align(in_a_room(said["en"]), TEXTS["en"], "en"), said["en"].phonemes)
    assert np.percentile(off, 90) < 60


def test_a_pause_between_two_words_is_a_pause(said: dict[str, Speech]) -> None:
    start = next(start for start, _, word in said["en"].words if word == "Pam")
    cut = round((BEFORE_S + start) * 16000)
    audio = in_a_room(said["en"])
    hiss = 0.002 * np.random.default_rng(1).normal(size=16000).astype(np.float32)
    found = align(np.concatenate([audio[:cut], hiss, audio[cut:]]), TEXTS["en"], "en")
    words = {word: begin for begin, _, word in found.words}
    assert abs(words["Pam"] - (BEFORE_S + start + 1.0)) < 0.08
    inside = [p for p in found.phonemes if p[2] and BEFORE_S + start + 0.1 < (p[0] + p[1]) / 2 < BEFORE_S + start + 0.9]
    assert not inside


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The committee will publish its yearly report about wooden bridges, rivers and harbours on Thursday.", "en"),
        (TEXTS["zh"], "zh"),
    ],
    ids=["another text", "another language"],
)
def test_words_that_are_not_said_are_not_followed(said: dict[str, Speech], text: str, language: str) -> None:
    found = align(in_a_room(said["en"]), text, language)
    assert not found.trusted
    assert (found.phonemes, found.words, found.spans) == ((), (), ())


@pytest.mark.parametrize(("text", "language"), [("", "en"), (" \n", "en"), ("Hello", "tlh-nowhere")])
def test_a_text_that_cannot_be_spoken_is_not_followed_and_not_judged(
    said: dict[str, Speech], text: str, language: str
) -> None:
    assert align(said["en"].audio, text, language) == Alignment((), (), (), 0.0, readable=False)


def test_a_text_without_words_is_not_followed(said: dict[str, Speech]) -> None:
    assert align(said["en"].audio, "...", "en").phonemes == ()


def test_silence_says_nothing() -> None:
    assert align(np.zeros(16000, np.float32), TEXTS["en"], "en") == Alignment((), (), (), 0.0)


def test_a_text_that_nobody_could_say_in_the_time_is_not_followed(said: dict[str, Speech]) -> None:
    assert align(in_a_room(said["en"]), " ".join([TEXTS["en"]] * 3), "en") == Alignment((), (), (), 0.0)
