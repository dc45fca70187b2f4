"""The spectra that Wav2Lip hears are the published ones, number by number."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from rendering.engine.wav2lip.mel import spectrogram, triangles, windows


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """A second of a gliding tone in noise, the last fifth silent."""
    dice, t = np.random.default_rng(1), np.arange(16_000) / 16_000
    audio = 0.3 * np.sin(2 * np.pi * (200 + 1500 * t) * t) + 0.01 * dice.standard_normal(len(t))
    audio[12_800:] = 0
    return audio.astype(np.float32)


def one_spectrum(audio: np.ndarray, k: int) -> np.ndarray:
    """Spectrum ``k`` by the formula, with sums instead of a fast transform."""
    emphasised = np.array([audio[n] - (0.97 * audio[n - 1] if n else 0) for n in range(len(audio))], float)
    places = np.arange(200 * k - 400, 200 * k + 400)
    places = np.abs(places)
    places = np.where(places >= len(audio), 2 * (len(audio) - 1) - places, places)
    window = np.array([0.5 * (1 - np.cos(2 * np.pi * n / 800)) for n in range(800)])
    turns = np.exp(-2j * np.pi * np.outer(np.arange(401), np.arange(800)) / 800)
    size = np.abs(turns @ (emphasised[places] * window))
    bands = librosa.filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600) @ size
    decibels = 20 * np.log10(np.maximum(1e-5, bands)) - 20
    return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4)


def test_the_bands_are_the_usual_ones() -> None:
    usual = librosa.filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    np.testing.assert_allclose(triangles(), usual, atol=1e-7)


@pytest.mark.parametrize("k", [0, 1, 7, 40, 65, 79, 80])
def test_a_spectrum_is_what_the_formula_says(sound: np.ndarray, k: int) -> None:
    np.testing.assert_allclose(spectrogram(sound)[:, k], one_spectrum(sound, k), atol=2e-4)


def test_there_are_eighty_spectra_a_second_from_minus_four_to_four(sound: np.ndarray) -> None:
    spectra = spectrogram(sound)
    assert spectra.shape == (80, 81)
    assert spectra.dtype == np.float32
    assert spectra.min() == -4
    assert 0 < spectra.max() <= 4
    assert (spectra[:, 70:] == -4).all(), "silence is the least"


def test_long_sound_is_worked_through_in_pieces_that_do_not_show(sound: np.ndarray) -> None:
    long = np.tile(sound, 30)
    np.testing.assert_allclose(spectrogram(long)[:, 2000:2100], spectrogram(long[-240_000:])[:, 800:900], atol=1e-5)


@pytest.mark.parametrize(("fps", "starts"), [(25.0, [0, 3, 6, 9, 12, 16]), (30.0, [0, 2, 5, 8, 10, 13])])
def test_a_frame_hears_sixteen_spectra_from_its_own_time_on(fps: float, starts: list[int]) -> None:
    spectra = np.arange(80 * 100, dtype=np.float32).reshape(80, 100)
    heard = windows(spectra, 6, fps)
    assert heard.shape == (6, 80, 16)
    for window, start in zip(heard, starts, strict=True):
        np.testing.assert_array_equal(window, spectra[:, start : start + 16])


def test_at_the_end_the_last_spectra_are_heard() -> None:
    spectra = np.arange(80 * 20, dtype=np.float32).reshape(80, 20)
    np.testing.assert_array_equal(windows(spectra, 10, 25.0)[2:], np.repeat(spectra[None, :, 4:], 8, axis=0))
