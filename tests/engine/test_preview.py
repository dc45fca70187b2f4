"""The copy of footage that a page can play."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rendering.engine.contract import Limits
from rendering.engine.media.frames import read_frames
from rendering.engine.media.preview import SHORT_SIDE, plays_in_browsers, preview_writer
from rendering.engine.media.probe import probe, probe_footage
from tests.engine.clips import RATE, make_video, number_of

LIMITS = Limits()


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "plays"),
    [
        ("h264.mp4", "libx264", "yuv420p", True),
        ("ten-bit.mp4", "libx264", "yuv420p10le", False),
        ("hevc.mp4", "libx265", "yuv420p", False),
        ("old.mpg", "mpeg1video", "yuv420p", False),
        ("old.avi", "mpeg4", "yuv420p", False),
    ],
)
def test_what_browsers_play_is_told_by_what_the_file_is(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, plays: bool
) -> None:
    path = make_video(tmp_path / name, codec=codec, pix_fmt=pix_fmt, pictures=10)
    assert plays_in_browsers(path, probe(path, LIMITS)) is plays


def test_a_preview_of_hevc_plays_has_every_picture_and_the_sound(tmp_path: Path) -> None:
    tone = np.sin(np.arange(RATE * 2) / 20).astype(np.float32) * 0.3
    path = make_video(tmp_path / "phone.mp4", codec="libx265", pictures=50, size=(1280, 720), audio=tone)
    info, video = probe_footage(path, LIMITS)
    out = tmp_path / "preview.mp4"
    with preview_writer(out, path, info, video) as add:
        for frame in read_frames(path, info):
            add(frame)
    seen, shown = probe_footage(out, LIMITS)
    assert plays_in_browsers(out, seen)
    assert (shown.width, shown.height) == (960, SHORT_SIDE)
    assert (shown.fps, shown.frames) == (video.fps, 50)
    assert seen.audio is not None
    assert [number_of(frame.y) for frame in read_frames(out, seen)] == [number % 20 for number in range(50)]


def test_a_preview_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "old.avi", codec="mpeg4", pictures=10)
    info, video = probe_footage(path, LIMITS)

    def break_off() -> None:
        with preview_writer(tmp_path / "preview.mp4", path, info, video) as add:
            add(next(iter(read_frames(path, info))))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        break_off()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [path.name]
