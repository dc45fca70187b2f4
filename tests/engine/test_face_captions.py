"""Captions burnt in over the chin: found, told, and left exactly as they were."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from rendering.engine.contract import Limits
from rendering.engine.face.captions import CaptionFinder, beside, carried, corners
from rendering.engine.face.compose import Composer
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.occlusion import Appearance
from rendering.engine.face.profile import Patches, PatchWriter
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import MediaInfo, probe
from tests.engine.clips import film

WORDS = ("the north wind", "and the sun", "WERE DISPUTING", "which of them was", "the stronger one")


@dataclass(frozen=True)
class Captioned:
    video: Path
    info: MediaInfo
    patches: Path
    line: int
    """Row on which the letters stand."""


@pytest.fixture(scope="module")
def captioned(filmed, tmp_path_factory) -> Captioned:
    folder = tmp_path_factory.mktemp("captioned")
    video = folder / "captioned.mp4"
    line = round(float(np.median(filmed.track.points[:, 152, 1]))) - 1
    frames = read_frames(filmed.video, filmed.info)
    film(video, (320, 320), (written(frame.bgr((0, 0, 320, 320)), WORDS[frame.index // 30], line) for frame in frames))
    info = probe(video, Limits())
    with PatchWriter(folder / "patches.bin") as patches:
        for frame in read_frames(video, info):
            patches.add(frame, filmed.track.points[frame.index])
    return Captioned(video, info, folder / "patches.bin", line)


def written(picture: np.ndarray, words: str, line: int) -> np.ndarray:
    """``picture`` with white letters with a dark rim, in the middle of row ``line``."""
    (width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 0.45, 1)
    at = (160 - width // 2, line)
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_DUPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_DUPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def _found(video: Path, info: MediaInfo, points: np.ndarray) -> np.ndarray:
    finder = CaptionFinder()
    for frame in read_frames(video, info):
        finder.add(frame, points[frame.index])
    return finder.boxes()


@dataclass(frozen=True)
class Still:
    """A picture that never changes, as the finder sees a frame."""

    y: np.ndarray


@pytest.mark.parametrize(("place", "below", "count"), [(2, 6, 0), (152, -4, 1)], ids=["under the nose", "at the chin"])
def test_what_stays_is_a_caption_only_where_the_face_moves_under_it(filmed, place: int, below: int, count: int) -> None:
    face = filmed.track.points[0]
    jaw = face[:, 1] > face[13, 1]
    picture = written(np.full((320, 320, 3), 128, np.uint8), WORDS[0], round(float(face[place, 1])) + below)
    finder = CaptionFinder()
    for number in range(60):
        talking = face.copy()
        talking[jaw, 1] += 4 * (number // 3 % 2)
        finder.add(Still(np.ascontiguousarray(picture[:, :, 0])), talking)
    assert len(finder.boxes()) == count


def test_a_caption_over_the_chin_is_found_where_it_is(filmed, captioned: Captioned) -> None:
    boxes = _found(captioned.video, captioned.info, filmed.track.points)
    assert len(boxes) == 1
    x, y, width, height = boxes[0]
    assert y < captioned.line - 8 < captioned.line < y + height
    assert height < 40
    assert x < 130 < 190 < x + width


def test_a_face_without_a_caption_has_none(filmed) -> None:
    assert not len(_found(filmed.video, filmed.info, filmed.track.points))


def test_a_still_line_that_runs_one_way_is_no_caption(filmed) -> None:
    finder = CaptionFinder()
    line = round(float(np.median(filmed.track.points[:, 152, 1]))) - 4
    for frame in read_frames(filmed.video, filmed.info):
        frame.y[line : line + 2] = 250
        finder.add(frame, filmed.track.points[frame.index])
    assert not len(finder.boxes())


def test_letters_are_left_as_they_are_and_the_mouth_still_speaks(filmed, captioned: Captioned) -> None:
    boxes = _found(captioned.video, captioned.info, filmed.track.points)
    track = dataclasses.replace(filmed.track, captions=boxes)
    lips = LipSpace.fit(track)
    plan = lips.encode(track, 7)[::-1][:20]
    changed = 0
    with Patches(captioned.patches) as patches:
        composer = Composer(track, lips, patches, order=np.arange(20), plan=plan, chosen=np.arange(149, 129, -1))
        for t, frame in enumerate(read_frames(captioned.video, captioned.info, stop=20)):
            before = frame.y.copy()
            composer.compose(frame, t)
            letters = slice(captioned.line - 10, captioned.line + 3)
            np.testing.assert_array_equal(frame.y[letters], before[letters])
            changed += int((frame.y[: captioned.line - 16] != before[: captioned.line - 16]).sum())
    assert changed > 20_000


def test_letters_that_come_and_go_hide_no_mouth(filmed, captioned: Captioned) -> None:
    appearance = Appearance()
    for frame in read_frames(captioned.video, captioned.info):
        appearance.add(frame, filmed.track.points[frame.index])
    boxes = _found(captioned.video, captioned.info, filmed.track.points)
    assert not appearance.covered(filmed.track.ok, filmed.track.shots, boxes).any()


def test_what_a_lender_had_under_its_caption_is_not_lent() -> None:
    face = np.array([[10.0, 10], [90, 10], [50, 90]])
    quad = corners(np.array([[20.0, 60, 40, 10]]))
    np.testing.assert_allclose(carried(quad, face, face + [5, -20])[0], quad[0] + [5, -20], atol=1e-9)
    free = beside(carried(quad, face, face + [5, -20]), (0, 0, 100, 100), 50.0)
    assert free[45, 40] == 0
    assert free[65, 40] == 1
