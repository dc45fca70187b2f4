"""Who encodes: one encoder, several beside each other whose segments are joined, or the card where it has one."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rendering.engine.contract import Limits, RenderOptions
from rendering.engine.media import encoders, hardware
from rendering.engine.media.encode import VideoWriter
from rendering.engine.media.frame import plane_views
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import VideoInfo, probe
from tests.engine.clips import make_video, number_of

FRAMES, GOP = 130, 50
OPTIONS = RenderOptions(speed="veryfast")


def moving(number: int) -> np.ndarray:
    """A grating that wanders over noise, as grey as its number says."""
    rows, columns = np.mgrid[:120, :160]
    wave = 60 * np.sin((columns + 3 * number) / 9) + np.random.default_rng(number % 7).normal(0, 6, (120, 160))
    return np.repeat(np.clip(128 + wave + rows / 4, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VideoInfo]:
    path = make_video(tmp_path_factory.mktemp("moving") / "in.mp4", pictures=FRAMES, paint=moving)
    info = probe(path, Limits()).video
    assert info is not None
    return path, info


def write(footage: tuple[Path, VideoInfo], out: Path, frames: int = FRAMES) -> str:
    """Copy ``footage`` to ``out``; what encoded."""
    path, info = footage
    with VideoWriter(out, info, None, OPTIONS, frames / float(info.fps)) as writer:
        for frame in read_frames(path, probe(path, Limits()), stop=frames):
            writer.write(frame)
    return writer.encoder


def shown(path: Path) -> list[bytes]:
    """The decoded planes of every picture."""
    with av.open(str(path)) as container:
        return [b"".join(plane.tobytes() for plane in plane_views(p)) for p in container.decode(video=0)]


def alone(footage: tuple[Path, VideoInfo], first: int, last: int, out: Path) -> list[bytes]:
    """The pictures ``first`` to ``last`` as one encoder with a segment's parameters makes them."""
    path, info = footage
    options = encoders.x264_options(info.width, crf=OPTIONS.crf, speed=OPTIONS.speed)
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=info.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, "yuv420p"
        context = stream.codec_context
        context.gop_size, context.thread_type, context.thread_count = GOP, "FRAME", 1
        for number, frame in enumerate(read_frames(path, probe(path, Limits()), start=first, stop=last)):
            frame.picture.pts, frame.picture.time_base = number, Fraction(1) / info.fps
            frame.picture.pict_type = av.video.frame.PictureType.NONE
            container.mux(stream.encode(frame.picture))
        container.mux(stream.encode(None))
    return shown(out)


def test_segments_are_joined_as_each_encoder_made_them(
    footage: tuple[Path, VideoInfo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(encoders.VARIABLE, "2")
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    assert write(footage, tmp_path / "joined.mp4") == "libx264 x 2"
    apart = [alone(footage, first, min(first + GOP, FRAMES), tmp_path / "alone.mp4") for first in (0, 50, 100)]
    assert shown(tmp_path / "joined.mp4") == [picture for segment in apart for picture in segment]


def test_joined_segments_play_and_seek(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(encoders.VARIABLE, "3")
    path = make_video(tmp_path / "in.mp4", pictures=FRAMES, fps=Fraction(30000, 1001))
    info = probe(path, Limits()).video
    assert info is not None
    write((path, info), tmp_path / "out.mp4")
    result = probe(tmp_path / "out.mp4", Limits())
    assert result.video is not None
    assert (result.video.fps, result.video.frames) == (info.fps, FRAMES)
    for start in (0, 59, 60, 61, 119, 120, 129):
        frame = next(read_frames(tmp_path / "out.mp4", result, start=start))
        assert number_of(frame.y) == start % 20, start
    with av.open(str(tmp_path / "out.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
    decoded, presented = [packet.dts for packet in packets], [packet.pts for packet in packets]
    assert (np.diff(decoded) > 0).all()
    assert len(set(np.diff(sorted(presented)))) == 1
    assert all(p >= d for p, d in zip(presented, decoded, strict=True))


def test_the_same_frames_are_the_same_bytes_for_a_number_of_segments(
    footage: tuple[Path, VideoInfo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(encoders.VARIABLE, "2")
    files = [tmp_path / "first.mp4", tmp_path / "second.mp4"]
    for file in files:
        write(footage, file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_an_encoder_raises_reaches_who_writes(footage: tuple[Path, VideoInfo]) -> None:
    segment = encoders._Segment(av.CodecContext.create("libx264", "w"))  # of no size
    segment.put(next(read_frames(footage[0], probe(footage[0], Limits()))).picture)
    segment.put(None)
    with pytest.raises(av.error.FFmpegError):
        segment.packets()


def test_a_cancelled_render_leaves_neither_file_nor_thread(
    footage: tuple[Path, VideoInfo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(encoders.VARIABLE, "2")
    path, info = footage

    def cancelled() -> None:
        with VideoWriter(tmp_path / "out" / "o.mp4", info, None, OPTIONS, FRAMES / 25) as writer:
            for frame in read_frames(path, probe(path, Limits()), stop=70):
                writer.write(frame)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancelled()
    assert list((tmp_path / "out").iterdir()) == []
    assert [thread.name for thread in threading.enumerate() if thread.name in ("segment", "encode")] == []


@pytest.mark.parametrize(
    ("cores", "size", "frames", "wanted"),
    [
        (2, (1920, 1080), 1500, 1),
        (7, (1920, 1080), 1500, 1),
        (16, (1920, 1080), 1500, 4),
        (64, (1280, 720), 1500, 8),
        (64, (3840, 2160), 1500, 1),
        (16, (1920, 1080), 120, 2),
        (16, (1920, 1080), 40, 1),
    ],
)
def test_segments_are_encoded_beside_each_other_where_there_are_cores_memory_and_frames_for_it(
    footage: tuple[Path, VideoInfo],
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    size: tuple[int, int],
    frames: int,
    wanted: int,
) -> None:
    monkeypatch.delenv(encoders.VARIABLE, raising=False)
    assert encoders.segments(replace(footage[1], width=size[0], height=size[1]), frames, cores) == wanted


def test_a_short_rest_goes_with_the_segment_before_it() -> None:
    assert encoders.starts(130, 50) == [0, 50, 100]
    assert encoders.starts(124, 50) == [0, 50]
    assert encoders.starts(20, 50) == [0]


def test_a_card_that_does_not_encode_leaves_it_to_x264_and_says_so(
    footage: tuple[Path, VideoInfo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("ENGINE_DEVICE", "cuda:93")
    with caplog.at_level(logging.WARNING):
        assert write(footage, tmp_path / "card.mp4", 30) == "libx264"
    assert "Card 93 has no encoder that opens" in caplog.text
    monkeypatch.setenv("ENGINE_DEVICE", "cpu")
    write(footage, tmp_path / "cpu.mp4", 30)
    assert (tmp_path / "card.mp4").read_bytes() == (tmp_path / "cpu.mp4").read_bytes()


def test_the_cards_encoder_knows_every_option_it_is_given() -> None:
    known = av.CodecContext.create("h264_nvenc", "w").supported_options
    names = {option.name: option for option in (*known.generic, *known.private)}
    for speed in encoders.NVENC_PRESETS:
        for name, value in encoders.nvenc_options(0, RenderOptions(speed=speed)).items():
            choices = {choice.name for choice in names[name].choices}
            assert not choices or value in choices or value.lstrip("-").isdecimal(), f"{name}={value}"
