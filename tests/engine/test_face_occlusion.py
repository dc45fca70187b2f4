"""Something passes before the mouth: seen, never lent, left as it was filmed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from rendering.engine.contract import Limits
from rendering.engine.errors import EngineError
from rendering.engine.face.blend import outline
from rendering.engine.face.fades import fade_in_out
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.occlusion import Appearance, covered
from rendering.engine.face.profile import library_frames
from rendering.engine.face.track import Track, track_footage
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import probe
from tests.engine.clips import film
from tests.engine.obstacles import Pass, draw

WAYS = (Pass(0.7, 2.0, "hand"), Pass(2.8, 3.7, "microphone", (1.0, 0.3)), Pass(4.4, 5.6, "cup", (-1.0, 0.2)))


@dataclass(frozen=True)
class Obstructed:
    track: Track
    appearance: Appearance
    share: np.ndarray
    """(N,) how much of the lower face is really hidden."""


@pytest.fixture(scope="module")
def obstructed(filmed, tmp_path_factory) -> Obstructed:
    share = np.zeros(len(filmed.track))
    path = film(tmp_path_factory.mktemp("obstructed") / "hidden.mp4", (320, 320), _hidden(filmed, share))
    appearance = Appearance()
    track = track_footage(path, probe(path, Limits()), on_frame=appearance.add)
    return Obstructed(track, appearance, share)


def _hidden(filmed, share: np.ndarray) -> Iterator[np.ndarray]:
    """The footage with things drawn before the face; ``share`` (N,) is filled."""
    for frame in read_frames(filmed.video, filmed.info):
        points, io = filmed.track.points[frame.index], float(filmed.track.io[frame.index])
        picture = frame.bgr((0, 0, 320, 320))
        inside = np.zeros((320, 320), np.uint8)
        cv2.fillPoly(inside, [np.round(outline(points)).astype(np.int32)], 1)
        for way in WAYS:
            alpha = draw(picture, tuple(points[[13, 14], :2].mean(axis=0)), io, way, frame.index / 25)
            share[frame.index] += (alpha * inside).sum() / inside.sum()
        yield picture


def test_a_hand_a_microphone_and_a_cup_are_seen(obstructed: Obstructed) -> None:
    found = obstructed.appearance.covered(obstructed.track.ok, obstructed.track.shots)
    hidden = obstructed.share > 0.1
    assert hidden.sum() > 50
    assert found[hidden].mean() > 0.95
    assert not found[~ndimage.binary_dilation(obstructed.share > 0, iterations=4)].any()


def test_a_talking_mouth_hides_nothing(filmed) -> None:
    appearance = Appearance()
    for frame in read_frames(filmed.video, filmed.info):
        appearance.add(frame, filmed.track.points[frame.index])
    assert not appearance.covered(filmed.track.ok, filmed.track.shots).any()


def test_a_covered_mouth_teaches_nothing_and_is_never_lent(filmed) -> None:
    hidden = np.zeros(len(filmed.track), bool)
    hidden[40:60] = True
    points = filmed.track.points.copy()
    points[40:60, :, 1] *= 1 + 0.1 * np.random.default_rng(0).random((20, 468))
    track = dataclasses.replace(filmed.track, covered=hidden, points=points)
    assert not library_frames(track)[40:60].any()
    clean = LipSpace.fit(dataclasses.replace(track, points=filmed.track.points)).modes[:2]
    np.testing.assert_allclose(LipSpace.fit(track).modes[:2], clean, atol=0.01)


def test_the_mouth_is_eased_out_and_in_beside_covered_frames(filmed) -> None:
    hidden = np.zeros(20, bool)
    hidden[8:12] = True
    weight = fade_in_out(~hidden)
    assert (weight[8:12] == 0).all()
    assert 0 < weight[7] < weight[6] < weight[5] < weight[4] == 1
    assert 0 < weight[12] < weight[13] < weight[14] < weight[15] == 1


def test_one_odd_frame_is_no_obstacle_and_a_short_gap_no_pause() -> None:
    oddness = np.zeros(60, np.float32)
    oddness[10] = 5.0
    oddness[30:34] = oddness[36:40] = 3.0
    found = covered(oddness)
    assert not found[:25].any()
    assert found[28:42].all()
    assert not found[45:].any()


def test_what_was_found_is_kept_and_a_track_that_knows_nothing_of_it_is_stale(filmed, tmp_path: Path) -> None:
    hidden = np.arange(len(filmed.track)) % 7 == 0
    lines = np.array([[10, 200, 100, 20]], np.float32)
    track = dataclasses.replace(filmed.track, covered=hidden, captions=lines, presenter=0)
    track.save(tmp_path / "track.npz")
    again = Track.load(tmp_path / "track.npz")
    np.testing.assert_array_equal(again.covered, hidden)
    np.testing.assert_array_equal(again.captions, lines)
    assert again.presenter == 0
    with np.load(tmp_path / "track.npz") as stored:
        older = {name: stored[name] for name in stored if name != "covered"}
    np.savez(tmp_path / "older.npz", **older)
    with pytest.raises(EngineError) as failure:
        Track.load(tmp_path / "older.npz")
    assert failure.value.code == "stale_analysis"


def test_too_few_frames_are_not_judged(obstructed: Obstructed) -> None:
    shots = [(start, start + 10) for start in range(0, len(obstructed.track), 10)]
    assert not obstructed.appearance.covered(obstructed.track.ok, shots).any()
