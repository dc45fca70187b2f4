"""Several faces in one picture: the chosen one is followed, through crossing and leaving, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from rendering.engine.contract import Limits
from rendering.engine.evaluate.sheet import SheetOptions, sheet
from rendering.engine.face.track import Track, track_footage
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import probe
from tests.engine.clips import film

SIZE, SIDE, COUNT = (560, 240), 224, 60
LEFT, RIGHT = 0, 336
Place = Callable[[int], float]


@dataclass(frozen=True)
class People:
    """Two faces: the demo presenter, and the same photograph mirrored, darker and narrower: somebody else."""

    her: list[np.ndarray]
    other: list[np.ndarray]

    def film(self, path: Path, her_at: Place, other_at: Place) -> Path:
        """She passes before the other."""
        return film(path, SIZE, (self._picture(index, her_at(index), other_at(index)) for index in range(COUNT)))

    def _picture(self, index: int, her_at: float, other_at: float) -> np.ndarray:
        picture = np.full((SIZE[1], SIZE[0], 3), (96, 104, 88), np.uint8)
        for face, at in ((self.other[index], other_at), (self.her[index], her_at)):
            x = round(at)
            left, right = max(0, x), min(SIZE[0], x + SIDE)
            if right > left:
                picture[8 : 8 + SIDE, left:right] = face[:, left - x : right - x]
        return picture


@pytest.fixture(scope="module")
def people(filmed) -> People:
    her = []
    for frame in read_frames(filmed.video, filmed.info, stop=COUNT):
        her.append(cv2.resize(frame.bgr((40, 0, 240, 240)), (SIDE, SIDE)))
    tint = np.array([0.75, 0.62, 0.55])
    other = [cv2.resize((face[:, ::-1] * tint).astype(np.uint8)[:, 20:-20], (SIDE, SIDE)) for face in her]
    return People(her, other)


def _follow(path: Path, face: tuple[float, float] | None = None) -> Track:
    return track_footage(path, probe(path, Limits()), face=face)


def _away_from(track: Track, place: Place) -> np.ndarray:
    """(N,) how far the followed face is from the middle of the one at ``place``, px; NaN where none is followed."""
    middle = np.array([place(index) + SIDE / 2 for index in range(len(track))])
    return np.abs(track.points[:, :, 0].mean(axis=1) - middle)


def _across(start: float, end: float) -> Place:
    return lambda index: float(np.interp(index, (14, 44), (start, end)))


def test_the_chosen_face_is_followed_where_two_are_there_all_along(people: People, tmp_path: Path) -> None:
    path = people.film(tmp_path / "two.mp4", lambda _: LEFT, lambda _: RIGHT)
    for presenter, place in ((0, LEFT), (1, RIGHT)):
        track = _follow(path, ((place + SIDE / 2) / SIZE[0], 0.5))
        assert len(track.faces) == 2
        assert track.presenter == presenter
        x, y, w, h = track.faces[presenter]
        assert x < (place + SIDE / 2) / SIZE[0] < x + w
        assert y < 0.5 < y + h
        assert track.ok.mean() > 0.95
        assert np.nanmax(_away_from(track, lambda _, place=place: place)) < 40


def test_who_passes_behind_is_lost_and_found_again_and_never_mistaken(people: People, tmp_path: Path) -> None:
    her, other = _across(LEFT, RIGHT), _across(RIGHT, LEFT)
    path = people.film(tmp_path / "crossing.mp4", her, other)
    track = _follow(path, ((RIGHT + SIDE / 2) / SIZE[0], 0.5))
    assert track.presenter == 1
    assert np.nanmax(_away_from(track, other)) < 60
    assert not track.ok[24:34].all()
    assert track.ok[-8:].all()


def test_who_passes_in_front_is_followed_all_the_way(people: People, tmp_path: Path) -> None:
    her, other = _across(LEFT, RIGHT), _across(RIGHT, LEFT)
    path = people.film(tmp_path / "front.mp4", her, other)
    track = _follow(path, ((LEFT + SIDE / 2) / SIZE[0], 0.5))
    assert track.ok.mean() > 0.95
    assert np.nanmax(_away_from(track, her)) < 60


def test_nobody_takes_the_place_of_a_presenter_who_leaves(people: People, tmp_path: Path) -> None:
    def her(index: int) -> float:
        return float(np.interp(index, (14, 20, 36, 42), (LEFT, -SIDE, -SIDE, LEFT)))

    path = people.film(tmp_path / "leaving.mp4", her, lambda _: RIGHT)
    track = _follow(path, ((LEFT + SIDE / 2) / SIZE[0], 0.5))
    assert not track.ok[21:36].any()
    assert track.ok[-8:].all()
    assert np.nanmax(_away_from(track, her)) < 60


def test_somebody_who_comes_later_is_not_followed_instead(people: People, tmp_path: Path) -> None:
    def her(index: int) -> float:
        return float(np.interp(index, (20, 28), (LEFT, -SIDE)))

    def other(index: int) -> float:
        return float(np.interp(index, (30, 38), (SIZE[0], RIGHT)))

    path = people.film(tmp_path / "relieved.mp4", her, other)
    track = _follow(path)
    assert len(track.faces) == 1
    assert track.ok[:18].all()
    assert not track.ok[30:].any()


def test_a_sheet_shows_the_mouth_of_the_face_that_is_pointed_at(people: People, tmp_path: Path) -> None:
    film = people.film(tmp_path / "two.mp4", lambda _: LEFT, lambda _: RIGHT)
    light = []
    for number, x in enumerate((0.25, 0.75)):
        out = tmp_path / f"{number}.png"
        sheet(film, out, phonemes=[], options=SheetOptions(seconds=0.2, face=(x, 0.5)))
        light.append(float(cv2.imread(str(out)).max(axis=2).mean()))
    assert light[0] > 1.2 * light[1]
