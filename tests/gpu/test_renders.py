"""Whole videos on a card: what it draws is what the processor draws, and memory stays where it is."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import untrained
from rendering.engine import backends
from rendering.engine.contract import RenderOptions, RenderRequest
from rendering.engine.demo import write_wav
from rendering.engine.media.encode import VideoWriter
from rendering.engine.prepare import prepare
from rendering.engine.render import render
from rendering.engine.voice.speak import speak
from tests.engine.conftest import Filmed
from tests.gpu.conftest import is_card

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
TOLERANCE = {"exemplar": 0, "wav2lip": 4, "neural": 4}
"""Grey levels at most. A card places squares a little differently, and neural adds up in half as many bits."""


@pytest.fixture(scope="module")
def request_of(filmed: Filmed, tmp_path_factory: pytest.TempPathFactory):
    """``request_of("wav2lip", out)``: a few frames of the generated presenter, with networks that know nothing."""
    folder = tmp_path_factory.mktemp("renders")
    said = speak("Hello.", "en", rate=16_000)
    write_wav(folder / "take.wav", said.audio[: round(0.4 * said.rate)], said.rate)
    prepare(filmed.video, folder / "analysis")
    untrained.checkpoint(folder / "random.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGINE_DEVICE", "cpu")  # its size is the same on every device
        untrained.mouths(folder / "analysis", folder / "mouths")

    def make(backend: str, out: Path) -> RenderRequest:
        return RenderRequest(
            footage=filmed.video,
            analysis=folder / "analysis",
            audio=folder / "take.wav",
            out=out,
            options=RenderOptions(backend=backend, speed="ultrafast"),
            mouths=folder / "mouths",
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAV2LIP_CHECKPOINT", str(folder / "random.pth"))
        yield make


def pictures(request: RenderRequest, monkeypatch: pytest.MonkeyPatch) -> list[Planes]:
    """The frames of a render as they are handed to the encoder."""
    seen: list[Planes] = []
    write = VideoWriter.write

    def watched(self: VideoWriter, frame) -> None:
        seen.append((frame.y.copy(), frame.u.copy(), frame.v.copy()))
        write(self, frame)

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "write", watched)
        assert render(request).backend == request.options.backend
    return seen


@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_a_video_shows_what_the_processor_draws(
    where: torch.device, request_of, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(backend, tmp_path / "out.mp4")
    there = pictures(request, monkeypatch)
    monkeypatch.setenv("ENGINE_DEVICE", "cpu")
    monkeypatch.setenv("WAV2LIP_BATCH", "2")
    here = pictures(request, monkeypatch)
    assert len(there) == len(here) == 10
    apart = [
        np.abs(a.astype(int) - b).max()
        for mine, theirs in zip(there, here, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    ]
    assert max(apart) <= TOLERANCE[backend]


def resident_mb() -> float:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def test_render_after_render_holds_no_more_memory(where: torch.device, request_of, tmp_path: Path) -> None:
    """Twenty on a card; the processor shows that the walk works, tests/rendering/test_many_presenters.py the rest."""
    turns, held = 20 if is_card(where) else 2, []
    for turn in range(turns):
        for backend in ("neural", "wav2lip"):
            result = render(request_of(backend, tmp_path / "out.mp4"))
            assert result.backend == backend
            assert backend != "neural" or result.mouths_kept or turn == 0
        gc.collect()
        held.append((torch.cuda.memory_allocated() if is_card(where) else 0, resident_mb()))
    if is_card(where):
        assert held[-1][0] <= held[2][0] + (1 << 20), "of the card, bytes"
        assert held[-1][1] <= held[4][1] + 100, "of the machine, MB"
