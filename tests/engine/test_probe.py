"""What a file really is, or why it is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rendering.engine.contract import Limits
from rendering.engine.errors import EngineError
from rendering.engine.media.probe import choose_rate, probe, probe_footage
from tests.engine.clips import click, make_video, turn


def refusal(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(EngineError) as caught:
        probe_footage(path, limits or Limits())
    return caught.value.code


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert refusal(path) == "empty_file"


def test_text_named_mp4_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("This is not a video. " * 200)
    assert refusal(path) == "bad_media"


def test_a_playlist_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    make_video(tmp_path / "real.ts", codec="mpeg2video", pictures=5)
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nreal.ts\n#EXT-X-ENDLIST\n")
    assert refusal(path) == "bad_media"


@pytest.mark.parametrize("layout", ["header at the end", "header in front"])
def test_a_truncated_mp4_is_refused(tmp_path: Path, layout: str) -> None:
    options = {"movflags": "+faststart"} if layout == "header in front" else {}
    path = make_video(
        tmp_path / "cut.mp4",
        pictures=60,
        container_options=options,
        paint=lambda number: np.random.default_rng(number).integers(0, 255, (120, 160, 3), np.uint8),
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path) == "bad_media"


def test_sound_alone_is_not_footage(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert refusal(path) == "no_video"
    assert probe(path, Limits()).audio is not None


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = make_video(tmp_path / "big.mp4", size=(640, 480), pictures=3)
    assert refusal(path, Limits(max_pixels=640 * 479)) == "too_large"


def test_a_file_over_the_length_limit_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "long.mp4", pictures=60)
    assert refusal(path, Limits(max_seconds=2.0)) == "too_long"


def test_a_missing_file_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "gone.mp4", Limits())


@pytest.mark.parametrize("degrees", [90, 270])
def test_a_turned_phone_video_is_measured_upright(tmp_path: Path, degrees: int) -> None:
    path = make_video(tmp_path / "phone.mp4", size=(160, 96), pictures=5)
    turn(path, degrees)
    _, video = probe_footage(path, Limits())
    assert (video.width, video.height) == (96, 160)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(24), Fraction(30000, 1001), Fraction(60)])
def test_usual_rates_are_exact(tmp_path: Path, rate: Fraction) -> None:
    _, video = probe_footage(make_video(tmp_path / "clip.mp4", fps=rate, pictures=40), Limits())
    assert video.fps == rate
    assert video.frames == 40
    assert not video.variable_rate


def test_an_odd_constant_rate_is_kept(tmp_path: Path) -> None:
    _, video = probe_footage(make_video(tmp_path / "odd.mp4", fps=Fraction(2213, 100), pictures=66), Limits())
    assert abs(float(video.fps) - 22.13) < 0.01
    assert video.frames == 66


def test_high_speed_footage_is_read_at_half_its_rate(tmp_path: Path) -> None:
    _, video = probe_footage(make_video(tmp_path / "fast.mp4", fps=120, pictures=120), Limits())
    assert video.fps == 60
    assert video.frames == 60


def test_dropped_pictures_do_not_change_the_rate() -> None:
    times = np.delete(np.arange(200) / 30, [10, 11, 50, 90, 91, 92])
    assert choose_rate(times) == (Fraction(30), True)


def test_an_odd_side_loses_its_last_row(tmp_path: Path) -> None:
    _, video = probe_footage(make_video(tmp_path / "odd.mkv", codec="ffv1", size=(161, 121), pictures=5), Limits())
    assert (video.width, video.height, video.cropped) == (160, 120, True)


def test_old_mpeg1_is_understood(tmp_path: Path) -> None:
    path = make_video(tmp_path / "old.mpg", codec="mpeg1video", pictures=50, audio=click(2, 1), audio_codec="mp2")
    info, video = probe_footage(path, Limits())
    assert (video.codec, video.fps, video.frames) == ("mpeg1video", 25, 50)
    assert info.audio is not None


def test_colour_and_interlace_are_seen(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "tv.mp4", colour=(1, 1, 1, 1), options={"x264-params": "tff=1"}, size=(160, 128), pictures=10
    )
    _, video = probe_footage(path, Limits())
    assert video.interlaced
    assert (video.colour.space, video.colour.primaries, video.colour.transfer, video.colour.range) == (1, 1, 1, 1)
