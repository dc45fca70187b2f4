"""Reading pictures: at a constant rate, upright, 8-bit; and changing only what is meant to change."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rendering.engine.contract import Limits
from rendering.engine.media import frames as reading
from rendering.engine.media import hardware
from rendering.engine.media.frame import Frame, plane_views
from rendering.engine.media.frames import FrameWalk, ahead, read_frames, runs
from rendering.engine.media.probe import MediaInfo, VideoInfo, probe
from tests.engine.clips import grey, make_video, number_of, turn


def read(path: Path) -> tuple[MediaInfo, list[Frame]]:
    info = probe(path, Limits())
    return info, list(read_frames(path, info))


def test_every_frame_comes_once_and_in_order(tmp_path: Path) -> None:
    _, frames = read(make_video(tmp_path / "clip.mp4", pictures=40))
    assert [frame.index for frame in frames] == list(range(40))
    assert [number_of(frame.y) for frame in frames] == [number % 20 for number in range(40)]


def test_variable_rate_becomes_constant_without_drifting(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    kept = np.sort(rng.choice(200, 150, replace=False))
    times = kept / 30 + rng.uniform(-0.004, 0.004, 150)
    path = make_video(tmp_path / "vfr.mp4", pictures=150, times=[float(time) for time in times - times[0]])
    info, frames = read(path)
    assert info.video is not None
    assert info.video.fps == 30
    shown = kept - kept[0]
    for frame in frames[:-1]:
        source = int(np.searchsorted(shown, frame.index, "right")) - 1
        assert number_of(frame.y) == source % 20, f"frame {frame.index}"


def test_reading_can_begin_anywhere(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", pictures=120, options={"g": "25", "bf": "2"})
    info = probe(path, Limits())
    for start in (0, 1, 24, 25, 26, 77, 119):
        frame = next(read_frames(path, info, start=start))
        assert (frame.index, number_of(frame.y)) == (start, start % 20)


def test_a_late_start_on_the_containers_clock_changes_nothing(tmp_path: Path) -> None:
    info, frames = read(make_video(tmp_path / "late.mkv", pictures=30, start_s=2.0))
    assert info.video is not None
    assert info.video.start_s == pytest.approx(2.0, abs=0.002)
    assert [number_of(frame.y) for frame in frames] == [number % 20 for number in range(30)]
    assert number_of(next(read_frames(tmp_path / "late.mkv", info, start=17)).y) == 17


def half_white(number: int) -> np.ndarray:
    picture = np.zeros((96, 160, 3), np.uint8)
    picture[:, :40] = 255
    return picture


def test_a_turned_picture_is_read_upright(tmp_path: Path) -> None:
    path = make_video(tmp_path / "phone.mp4", size=(160, 96), pictures=3, paint=half_white)
    turn(path, 90)
    _, frames = read(path)
    # What was left is on top once the phone is held upright, a quarter turn clockwise.
    assert frames[0].y.shape == (160, 96)
    assert frames[0].y[:30].mean() > 200
    assert frames[0].y[60:].mean() < 40


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("libx265", "yuv420p10le", "deep.mp4"),
        ("ffv1", "yuv422p", "wide.mkv"),
        ("ffv1", "yuv444p", "full.mkv"),
        ("libx264", "nv12", "phone.mp4"),
        ("mjpeg", "yuvj420p", "range.mov"),
    ],
)
def test_levels_survive_every_pixel_format(tmp_path: Path, codec: str, pix_fmt: str, name: str) -> None:
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    _, frames = read(make_video(tmp_path / name, codec=codec, pix_fmt=pix_fmt, pictures=8, options=quiet))
    for number, frame in enumerate(frames):
        assert abs(float(np.median(frame.y)) - grey(number)) <= 1.5
        assert frame.u.shape == (60, 80)


def test_high_dynamic_range_becomes_standard(tmp_path: Path) -> None:
    # PQ code 594 of 1023 in limited range is 203 nits, the white of graphics.
    path = make_video(
        tmp_path / "hdr.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        pictures=25,
        colour=(9, 9, 16, 1),
        options={"x265-params": "log-level=none"},
    )
    info, frames = read(path)
    assert info.video is not None
    assert info.video.hdr == 16
    assert info.video.colour.transfer == 1
    levels = [float(np.median(frame.y)) for frame in frames[:20]]
    assert all(later >= earlier for earlier, later in itertools.pairwise(levels))
    white = float(np.interp(594 / 4, [grey(number) for number in range(20)], levels))
    assert 190 < white < 240
    assert np.abs(frames[10].u.astype(int) - 128).max() <= 2


def test_interlaced_footage_loses_its_combs(tmp_path: Path) -> None:
    def comb(number: int) -> np.ndarray:
        picture = np.zeros((128, 160, 3), np.uint8)
        picture[::2, 20 + 8 * number :] = 255
        picture[1::2, 24 + 8 * number :] = 255
        return picture

    path = make_video(
        tmp_path / "tv.mp4", size=(160, 128), pictures=10, paint=comb, options={"x264-params": "tff=1", "crf": "5"}
    )
    info, frames = read(path)
    assert info.video is not None
    assert len(frames) == info.video.frames == 10
    middle = frames[5].y[20:100].astype(int)
    assert np.abs(middle[1:-1] - (middle[:-2] + middle[2:]) / 2).mean() < 1


def test_a_walk_goes_forwards_and_backwards(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", pictures=90, options={"g": "30"})
    info = probe(path, Limits())
    order = [*range(50, 80), *range(78, 20, -1), *range(22, 30), 60, 61, 5]
    walk = FrameWalk(path, info, order)
    walk.spool_frames = 16
    frames = [(frame.index, number_of(frame.y)) for frame in walk]
    assert frames == [(number, number % 20) for number in order]


def test_runs_cover_the_order() -> None:
    order = [3, 4, 5, 4, 3, 9, 9, 0, 1]
    assert [number for run in runs(order) for number in run] == order


def test_reading_ahead_passes_errors_on(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", pictures=10)
    info = probe(path, Limits())
    assert [frame.index for frame in ahead(read_frames(path, info))] == list(range(10))

    def broken():
        yield next(read_frames(path, info))
        raise MemoryError

    with pytest.raises(MemoryError):
        list(ahead(broken()))


@pytest.fixture
def noisy(tmp_path: Path) -> tuple[Frame, Frame]:
    rng = np.random.default_rng(3)
    path = make_video(
        tmp_path / "noise.mkv", codec="ffv1", pictures=1, paint=lambda _: rng.integers(40, 200, (120, 160, 3), np.uint8)
    )
    info, frames = read(path)
    assert info.video is not None
    return frames[0], frames[0].copy(info.video)


def test_blending_changes_the_mask_and_no_byte_outside(noisy: tuple[Frame, Frame]) -> None:
    frame, before = noisy
    box = (31, 41, 57, 43)
    alpha = np.zeros((43, 57), np.float32)
    alpha[7:30, 9:40] = 1
    frame.blend(box, np.full((43, 57, 3), 250, np.uint8), alpha)
    outside = np.ones(frame.y.shape, bool)
    outside[48:71, 40:71] = False
    assert (frame.y[outside] == before.y[outside]).all()
    assert (frame.y[~outside] > 200).all()
    # A chroma sample may change only where all four of its pixels are in the mask.
    changed = (frame.u != before.u) | (frame.v != before.v)
    assert changed.any()
    assert not np.kron(changed, np.ones((2, 2), bool))[outside].any()


def test_blending_what_is_there_changes_next_to_nothing(noisy: tuple[Frame, Frame]) -> None:
    frame, before = noisy
    box = (-10, 20, 60, 200)
    frame.blend(box, frame.bgr(box), np.ones((200, 60), np.float32))
    assert np.abs(frame.y.astype(int) - before.y).max() <= 2


def test_bgr_beyond_the_edge_repeats_the_edge(noisy: tuple[Frame, Frame]) -> None:
    frame, _ = noisy
    patch = frame.bgr((-6, -4, 20, 20))
    assert patch.shape == (20, 20, 3)
    assert (patch[:4, 6:] == patch[4, 6:]).all()
    assert (patch[4:, 6:] == frame.bgr((0, 0, 14, 16))).all()


def test_a_card_that_is_not_there_leaves_decoding_to_software(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_video(tmp_path / "clip.mp4", pictures=40)
    monkeypatch.setenv("ENGINE_DEVICE", "cuda:94")
    info, frames = read(path)
    assert info.video is not None
    assert not hardware.decodes(path, info.video)
    assert [number_of(frame.y) for frame in frames] == [number % 20 for number in range(40)]
    assert "Card 94 does not decode h264" in caplog.text


@pytest.mark.parametrize("after", [0, 1, 30])
def test_software_takes_over_where_a_card_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, after: int
) -> None:
    path = make_video(tmp_path / "clip.mp4", pictures=60, options={"g": "25", "bf": "2"})
    info, plain = read(path)
    in_software = reading._read

    def refusing(path: Path, video: VideoInfo, start: int, *, on_card: bool = False) -> Iterator[Any]:
        for count, each in enumerate(in_software(path, video, start)):
            if on_card and count == after:
                raise av.error.ExternalError(1, "the decoder's surfaces are gone")
            yield each

    monkeypatch.setattr(reading, "_read", refusing)
    monkeypatch.setattr(hardware, "decodes", lambda path, video: path not in hardware._refused)
    taken_over = list(read_frames(path, info, start=5))
    assert [frame.index for frame in taken_over] == list(range(5, 60))
    for frame, same in zip(taken_over, plain[5:], strict=True):
        np.testing.assert_array_equal(frame.y, same.y)
    assert caplog.text.count("decoded in software") == 1
    assert len(list(read_frames(path, info))) == 60
    assert caplog.text.count("decoded in software") == 1  # the card is not asked again


@pytest.mark.parametrize("full_range", [False, True])
def test_pictures_as_a_card_hands_them_over_keep_every_level(full_range: bool) -> None:
    levels = np.arange(256, dtype=np.uint8)
    picture = av.VideoFrame(64, 32, "nv12")
    picture.color_range = 2 if full_range else 1
    planes = [np.resize(levels, 64 * 32), np.resize(levels[::-1], 64 * 16)]
    for plane, values in zip(picture.planes, planes, strict=True):
        plane.update(values.tobytes())
    (planar,) = reading._planar(picture)
    y, u, v = plane_views(planar)
    np.testing.assert_array_equal(y.ravel(), planes[0])
    np.testing.assert_array_equal(np.stack([u, v], axis=-1).ravel(), planes[1])
