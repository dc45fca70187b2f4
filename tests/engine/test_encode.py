"""What is written: every frame, in the right colour, with the sound in place, whole or not at all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from rendering.engine.contract import Limits, RenderOptions
from rendering.engine.media.audio import measure_take, read_audio
from rendering.engine.media.encode import VideoWriter
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import MediaInfo, VideoInfo, probe, written
from tests.engine.clips import RATE, click, make_video, number_of, onset_s

FAST = RenderOptions(speed="ultrafast")


def transcode(
    footage: Path, out: Path, audio: Path | None, seconds: float, options: RenderOptions = FAST
) -> tuple[VideoInfo, MediaInfo]:
    info = probe(footage, Limits())
    assert info.video is not None
    with VideoWriter(out, info.video, audio, options, seconds) as writer:
        for frame in read_frames(footage, info, stop=writer.frames):
            writer.write(frame)
    return info.video, probe(out, Limits())


@pytest.mark.parametrize("rate", [24, Fraction(30000, 1001), Fraction(2213, 100), 60])
def test_rate_length_and_pictures_are_kept(tmp_path: Path, rate: int | Fraction) -> None:
    footage = make_video(tmp_path / "in.mp4", fps=rate, pictures=70)
    seconds = 1.037
    source, result = transcode(footage, tmp_path / "out.mp4", None, seconds)
    assert result.video is not None
    assert result.video.fps == source.fps
    assert result.video.frames == round(seconds * float(rate))
    assert written(tmp_path / "out.mp4") == (source.width, source.height, source.fps, result.video.frames)
    frames = read_frames(tmp_path / "out.mp4", result)
    assert [number_of(frame.y) for frame in frames] == [number % 20 for number in range(result.video.frames)]


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_the_sound_is_sample_exact(tmp_path: Path, rate: int) -> None:
    footage = make_video(tmp_path / "in.mp4", pictures=60)
    noise = np.random.default_rng(1).normal(0, 0.1, rate * 2).astype(np.float32)
    soundfile.write(tmp_path / "take.wav", np.convolve(noise, np.ones(8) / 8, "same"), rate, subtype="FLOAT")
    transcode(footage, tmp_path / "out.mp4", tmp_path / "take.wav", 2.0)
    heard, said = read_audio(tmp_path / "out.mp4", RATE), read_audio(tmp_path / "take.wav", RATE)
    # AAC comes in whole frames: a player may hear the padding of the last one.
    assert 0 <= len(heard) - len(said) < 1024 * RATE / 44_100
    size = 4 * RATE
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    assert np.argmax(np.fft.irfft(product)) == 0


def test_colour_tags_and_levels_are_kept(tmp_path: Path) -> None:
    footage = make_video(tmp_path / "in.mp4", pictures=20, colour=(1, 1, 1, 1))
    source, result = transcode(footage, tmp_path / "out.mp4", None, 0.8)
    assert result.video is not None
    assert result.video.colour == source.colour
    before = read_frames(footage, probe(footage, Limits()))
    after = read_frames(tmp_path / "out.mp4", result)
    for old, new in zip(before, after, strict=False):
        assert abs(float(old.y.mean()) - float(new.y.mean())) < 0.3


def test_a_player_can_start_before_the_file_is_whole(tmp_path: Path) -> None:
    transcode(make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4", None, 1.0)
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_an_odd_sized_source_becomes_a_playable_video(tmp_path: Path) -> None:
    footage = make_video(tmp_path / "odd.mkv", codec="ffv1", size=(161, 121))
    transcode(footage, tmp_path / "out.mp4", None, 1.0)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.pix_fmt) == (160, 120, "yuv420p")


def write_one(footage: Path, out: Path, then: Exception | None) -> None:
    """Write one frame of the 25 promised, then end well or with an error."""
    info = probe(footage, Limits())
    assert info.video is not None
    with VideoWriter(out, info.video, None, FAST, 1.0) as writer:
        writer.write(next(read_frames(footage, info)))
        if then is not None:
            raise then


def test_nothing_is_left_when_the_work_fails(tmp_path: Path) -> None:
    footage = make_video(tmp_path / "in.mp4")
    with pytest.raises(MemoryError):
        write_one(footage, tmp_path / "out" / "o.mp4", MemoryError())
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_frame_is_an_error_not_a_short_video(tmp_path: Path) -> None:
    footage = make_video(tmp_path / "in.mp4")
    with pytest.raises(ValueError, match="1 frames written, 25 promised"):
        write_one(footage, tmp_path / "out.mp4", None)
    assert not (tmp_path / "out.mp4").exists()


def test_loudness_is_brought_to_the_target_within_the_peak(tmp_path: Path) -> None:
    footage = make_video(tmp_path / "in.mp4", pictures=100)
    noise = np.convolve(np.random.default_rng(1).normal(0, 0.02, RATE * 4), np.ones(16) / 4, "same")
    soundfile.write(tmp_path / "take.wav", noise, RATE)
    options = RenderOptions(speed="ultrafast", normalize_loudness=True)
    transcode(footage, tmp_path / "out.mp4", tmp_path / "take.wav", 4.0, options)
    take = measure_take(tmp_path / "out.mp4", Limits())
    assert take.loudness_lufs == pytest.approx(-16, abs=0.7)
    assert take.peak_dbfs < 0


def test_a_video_can_be_the_take(tmp_path: Path) -> None:
    footage = make_video(tmp_path / "in.mp4", pictures=60)
    take = make_video(tmp_path / "take.mp4", pictures=50, audio=click(2, 0.6))
    transcode(footage, tmp_path / "out.mp4", take, 2.0)
    assert onset_s(read_audio(tmp_path / "out.mp4", RATE), RATE) == pytest.approx(0.6, abs=0.002)
