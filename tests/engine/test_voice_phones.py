"""Sounds heard in any voice, by the acoustic model in pocketsphinx's wheel."""

import itertools

import numpy as np
import pytest
import soxr

from rendering.engine.voice import phones
from rendering.engine.voice.acoustic import load_acoustic_model
from rendering.engine.voice.features import RATE, features
from rendering.engine.voice.phones import COLUMNS, IPA, likeliest, pieces, recognise, sequence, smoothed
from rendering.engine.voice.speak import speak
from rendering.engine.voice.visemes import VOWELS, symbols

TEXT = "She saw two big boats on the sea, and my father put them on a map."


@pytest.fixture(scope="module")
def said():
    return speak(TEXT, "en-us", variant="m3")


def test_every_moment_has_one_sound_and_the_probability_of_each(said):
    heard = recognise(said.audio)
    assert heard.soft.shape == heard.shares.shape == (len(features(said.audio)), len(IPA))
    for chances in (heard.soft, heard.shares):
        assert chances.sum(1) == pytest.approx(np.ones(len(chances)), abs=1e-4)
        assert chances.min() >= 0
    events = sequence(said.audio)
    assert events[0][0] == 0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(events))
    assert events[-1][1] == pytest.approx(said.duration_s, abs=0.02)


def test_vowels_are_heard_where_vowels_are_said(said):
    times = (np.arange(0, said.duration_s, 0.01)[:, None], *np.array([span[:2] for span in said.phonemes]).T)
    spoken = (times[0] >= times[1]) & (times[0] < times[2])
    open_mouthed = spoken[:, [bool(set(symbols(sound)[:1]) & VOWELS) for _, _, sound in said.phonemes]].any(1)
    columns = [COLUMNS[name] for name, sound in IPA.items() if set(symbols(sound)[:1]) & VOWELS]
    chance = recognise(said.audio).soft[: len(open_mouthed), columns].sum(1)
    assert chance[open_mouthed].mean() > 0.6
    assert chance[~open_mouthed].mean() < 0.35


def test_hissing_is_heard_as_hissing(said):
    columns = [COLUMNS[name] for name in ("S", "SH", "Z", "CH", "TH", "F")]
    chance = recognise(said.audio).soft[:, columns].sum(1)
    spans = [(start, end) for start, end, sound in said.phonemes if symbols(sound)[:1] in (["s"], ["ʃ"])]
    assert len(spans) >= 2
    for start, end in spans:
        assert chance[round(100 * start) : round(100 * end) + 1].max() > 0.6


def test_loudness_does_not_matter(said):
    assert recognise(0.05 * said.audio).soft == pytest.approx(recognise(said.audio).soft, abs=0.02)


def test_what_was_heard_before_does_not_matter_and_asking_again_costs_nothing(said):
    first = recognise(said.audio)
    assert recognise(said.audio.copy()) is first
    for level in (0.5, 0.6, 0.7):
        recognise(level * said.audio)
    again = recognise(said.audio)
    assert again is not first
    assert np.array_equal(again.soft, first.soft)


def test_of_long_sounds_only_the_last_is_remembered(said, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(phones, "_KEPT_FRAMES", len(recognise(said.audio).soft) + 10)
    short = recognise(said.audio[: RATE // 20])
    first = recognise(said.audio)
    assert recognise(said.audio[: RATE // 20]) is short
    assert recognise(said.audio) is first
    recognise(0.5 * said.audio)
    assert recognise(said.audio) is not first


def test_a_smaller_head_is_noticed(said):
    smaller = soxr.resample(said.audio, RATE, RATE / 1.15).astype(np.float32)
    assert recognise(smaller).warp > recognise(said.audio).warp


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros(8000), np.full(300, 0.1)])
def test_nothing_said_is_silence(audio):
    assert (recognise(audio.astype(np.float32)).soft.argmax(1) == COLUMNS["SIL"]).all()
    assert [sound for _, _, sound in sequence(audio)] == [""]


def test_two_channels_are_refused():
    with pytest.raises(ValueError, match="mono"):
        recognise(np.zeros((2, 8000), np.float32))


def test_long_sound_is_searched_in_short_pieces(said):
    long = np.tile(np.pad(said.audio, (0, RATE // 2)), 14)
    cuts = pieces(long)
    assert cuts[0] == 0
    assert cuts[-1] == len(long) // 160 + 1
    lengths = np.diff(cuts)
    assert len(lengths) > 1
    assert lengths.max() <= 3000
    quiet = np.abs(long[np.array(cuts[1:-1])[:, None] * 160 + np.arange(160)]).max(1)
    assert (quiet < 0.02).all()


def test_where_the_sound_is_certain_all_ways_of_searching_agree():
    model = load_acoustic_model()
    truth = np.repeat([COLUMNS["SIL"], 3, 17, 25], 12)
    likelihood = np.full((len(truth), len(model.names), 3), -30.0, np.float32)
    likelihood[np.arange(len(truth)), truth] = 0
    chances = smoothed(model, likelihood).sum(2)
    assert chances.sum(1) == pytest.approx(np.ones(len(truth)), abs=1e-5)
    assert (chances.argmax(1) == truth).all()
    assert (likeliest(model, likelihood) == truth).all()
