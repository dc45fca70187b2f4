"""Sound is where the container says it is, and is measured as it sounds."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from rendering.engine.contract import Limits
from rendering.engine.errors import EngineError
from rendering.engine.media.audio import measure_take, read_audio
from rendering.engine.media.loudness import LoudnessMeter
from tests.engine.clips import RATE, click, make_video, onset_s

MILLISECOND = 0.001


def test_an_aac_edit_list_does_not_shift_the_sound(tmp_path: Path) -> None:
    path = make_video(tmp_path / "phone.mp4", pictures=50, audio=click(2, 0.7))
    assert onset_s(read_audio(path, RATE), RATE) == pytest.approx(0.7, abs=2 * MILLISECOND)


@pytest.mark.parametrize("name", ["late.mkv", "late.mov"])
@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_sound_that_begins_late_stays_late(tmp_path: Path, name: str, codec: str) -> None:
    path = make_video(
        tmp_path / name, pictures=75, start_s=1.0, audio=click(2, 0.5), audio_start_s=1.4, audio_codec=codec
    )
    assert onset_s(read_audio(path, RATE), RATE) == pytest.approx(0.9, abs=3 * MILLISECOND)


def test_sound_from_before_the_first_picture_is_cut(tmp_path: Path) -> None:
    path = make_video(tmp_path / "early.mkv", pictures=50, start_s=1.0, audio=click(3, 1.5), audio_codec="pcm_s16le")
    assert onset_s(read_audio(path, RATE), RATE) == pytest.approx(0.5, abs=2 * MILLISECOND)


def test_footage_without_sound_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no_audio"):
        read_audio(make_video(tmp_path / "mute.mp4"))


def test_the_track_that_a_player_would_play_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in range(2)]
        tracks[1].disposition = av.stream.Disposition.default
        for track, level in zip(tracks, (0, 16000), strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, RATE), level, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux(track.encode(frame))
    assert read_audio(path, RATE).mean() == pytest.approx(0.49, abs=0.01)


def wav(path: Path, audio: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, audio, rate)
    return path


def test_a_take_is_measured(tmp_path: Path) -> None:
    time = np.arange(5 * RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * 997 * time)
    tone[: 2 * RATE] = 0
    take = measure_take(wav(tmp_path / "tone.wav", tone), Limits())
    assert take.duration_s == 5.0
    assert take.peak_dbfs == pytest.approx(-20, abs=0.05)
    assert take.loudness_lufs == pytest.approx(-23.0, abs=0.3)
    assert len(take.waveform) == 400
    assert max(take.waveform[:155]) == 0
    assert min(take.waveform[170:]) > 20
    assert [finding.code for finding in take.findings] == ["take_no_speech"]


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        (np.zeros(RATE), "silent_audio"),
        (np.full(RATE // 5, 0.1), "too_short"),
        (np.random.default_rng(1).normal(0, 1e-4, RATE), "silent_audio"),
    ],
)
def test_a_take_without_words_in_it_is_refused(tmp_path: Path, audio: np.ndarray, code: str) -> None:
    with pytest.raises(EngineError, match=code):
        measure_take(wav(tmp_path / "take.wav", audio), Limits())


def test_loudness_does_not_depend_on_how_the_sound_is_cut() -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, (3 * RATE, 2)).astype(np.float32)
    whole, parts = LoudnessMeter(RATE), LoudnessMeter(RATE)
    whole.add(noise)
    for begin in range(0, len(noise), 1000):
        parts.add(noise[begin : begin + 1000])
    assert parts.integrated() == pytest.approx(whole.integrated(), abs=1e-6)
