"""What a mouth shows between its lips, and that jumps keep it together."""

import dataclasses

import numpy as np

from rendering.engine.face.choose import Library, choose
from rendering.engine.face.inside import GREY, LOWER, ROWS, SIZE, UPPER, inside
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.points import EYES


def _mouth(gap, light):
    """A picture with eyes 100 px apart and a mouth open by ``gap`` px: ``light`` in its upper half, a slit all over."""
    points = np.zeros((468, 2), np.float32)
    points[EYES[0]], points[EYES[1]] = (50, 20), (150, 20)
    points[list(UPPER)] = np.stack([np.linspace(75, 125, 11), np.full(11, 100 - gap / 2)], axis=1)
    points[list(LOWER)] = np.stack([np.linspace(75, 125, 11), np.full(11, 100 + gap / 2)], axis=1)
    picture = np.full((160, 200, 3), 20, np.uint8)
    picture[: 100 if gap > 5 else 160] = light
    return picture, points


def test_teeth_are_told_from_a_dark_mouth_by_the_rows_they_lie_in():
    rows = inside(*_mouth(20, 220)).reshape(len(ROWS), -1)
    assert (rows[0] > 180).all()
    assert (rows[2] < 60).all()


def test_a_closed_mouth_shows_nothing_whatever_its_lips_look_like():
    np.testing.assert_array_equal(inside(*_mouth(0, 220)), np.full(SIZE, GREY))
    half_open = inside(*_mouth(3, 220)).astype(int) - GREY
    assert np.abs(half_open[:9]).min() > 20
    assert np.abs(half_open[:9]).max() < 60


def test_a_mouth_beyond_the_pictures_edge_is_read_without_failing():
    picture, points = _mouth(20, 220)
    assert inside(picture, points - 500).shape == (SIZE,)
    assert inside(picture[:, :90], points).shape == (SIZE,)


def test_of_two_like_mouths_a_jump_takes_the_one_that_shows_the_same(filmed):
    """The same second three times over; the first and the last show teeth, and the first breaks off half-way."""
    lips = LipSpace.fit(filmed.track)
    frames, half = np.arange(30, 55), 12
    library = Library.of(filmed.track, lips)
    places = np.searchsorted(library.frames, frames)
    again = {
        name: np.concatenate([getattr(library, name)[part] for part in (places[:half], places, places)])
        for name in ("codes", "pose", "speed", "shot", "dull")
    }
    count = half + 2 * len(places)
    successor = np.arange(1, count + 1)
    successor[[half - 1, half + len(places) - 1, -1]] = -1
    light = np.full((count, SIZE), 0.8, np.float32)
    light[half : half + len(places)] = -0.8
    library = dataclasses.replace(library, frames=np.arange(count), inside=light, successor=successor, **again)
    library.dull[np.r_[half : 2 * half, half + len(places) : 2 * half + len(places)]] += (
        5  # it begins in the first copy
    )
    chosen = choose(library.codes[half : half + len(places)], head_turn(filmed.track)[frames], library)
    assert (chosen[:half] == np.arange(half)).all()
    assert (chosen[half:] >= half + len(places)).all()
