"""The presenter that the engine's tests share: generated once, followed once."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from rendering.engine.contract import Limits
from rendering.engine.demo import Truth, make_demo_footage
from rendering.engine.face.profile import PatchWriter
from rendering.engine.face.track import Track, track_footage
from rendering.engine.media.probe import MediaInfo, probe


@dataclass(frozen=True)
class Filmed:
    """Six seconds of the demo presenter, what is true of her mouth, and what the engine saw."""

    video: Path
    info: MediaInfo
    truth: Truth
    track: Track
    patches: Path


@pytest.fixture(scope="session")
def filmed(tmp_path_factory) -> Filmed:
    folder = tmp_path_factory.mktemp("filmed")
    video = folder / "presenter.mp4"
    truth = make_demo_footage(video, seconds=6, size=320, seed=3, sound=False)
    info = probe(video, Limits())
    with PatchWriter(folder / "patches.bin") as writer:
        track = track_footage(video, info, on_frame=writer.add)
    return Filmed(video, info, truth, track, folder / "patches.bin")
