"""The detector of stretched patches: maps whose pull is known, and mouths bent on purpose."""

import numpy as np
import pytest

from rendering.engine.face.choose import Library, choose
from rendering.engine.face.compose import Composer
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.profile import Patches
from rendering.engine.face.stretch import STRETCHED, least_singular_values, pull
from rendering.engine.face.warp import GRID
from rendering.engine.media.frames import read_frames

BOX = (10, 20, 200, 100)
LIPS = np.array([[60, 70], [110, 50], [160, 70], [110, 90]], float)


def _shift(matrix):
    """The shifts of a linear map about the box's corner, on the grid of a warp."""
    x, y = np.meshgrid((np.arange(GRID) + 0.5) * BOX[2] / GRID, (np.arange(GRID) + 0.5) * BOX[3] / GRID)
    nodes = np.stack([x, y], axis=-1)
    return nodes @ np.asarray(matrix, float).T - nodes


@pytest.mark.parametrize(
    ("matrix", "times"),
    [
        ([[1, 0], [0, 1]], 1.0),
        ([[0, -1], [1, 0]], 1.0),
        ([[1, 0], [0, 0.4]], 2.5),
        ([[2, 0], [0, 2]], 0.5),
        ([[1, 0.5], [0, 1]], 1.281),
    ],
    ids=["nothing", "a turn", "to two and a half times its height", "to half", "a shear"],
)
def test_the_pull_of_a_linear_map_is_the_inverse_of_its_lesser_singular_value(matrix, times):
    assert pull(_shift(matrix), BOX, 1.0, LIPS) == pytest.approx(times, rel=1e-3)
    assert np.linalg.svd(np.array(matrix, float))[1].min() == pytest.approx(1 / times, rel=1e-3)


def test_a_picture_turned_inside_out_is_the_worst_there_is():
    mirrored = _shift([[1, 0], [0, -1]])
    assert (least_singular_values(mirrored, (BOX[2] / GRID, BOX[3] / GRID)) < 0).all()
    assert pull(mirrored, BOX, 1.0, LIPS) >= 50


def test_a_mouth_lent_by_a_larger_face_is_not_stretched():
    assert pull(_shift([[2, 0], [0, 2]]), BOX, 2.0, LIPS) == pytest.approx(1.0)


def test_what_is_pulled_far_from_the_mouth_does_not_count():
    shift = _shift(np.eye(2))
    shift[:, -3:] *= 0.1
    shift[0, -4:, 1] = 40
    assert pull(shift, BOX, 1.0, LIPS) == pytest.approx(1.0)


def _drawn(filmed, lips, plan, chosen):
    with Patches(filmed.patches) as patches:
        composer = Composer(filmed.track, lips, patches, order=np.arange(len(plan)), plan=plan, chosen=chosen)
        for t, frame in enumerate(read_frames(filmed.video, filmed.info, stop=10)):
            composer.compose(frame, t)
    return composer.stretch


def test_every_drawn_frame_has_its_figure_and_the_footages_own_speech_is_not_stretched(filmed):
    lips = LipSpace.fit(filmed.track)
    plan = lips.encode(filmed.track, 7)[:12]
    stretch = _drawn(filmed, lips, plan, choose(plan, head_turn(filmed.track)[:12], Library.of(filmed.track, lips)))
    assert np.isnan(stretch[10:]).all()
    assert (stretch[:10] < 1.5).all()


def test_a_closed_mouth_asked_to_open_wide_is_held_back_before_it_looks_stretched(filmed):
    lips = LipSpace.fit(filmed.track)
    codes, opening = lips.encode(filmed.track, 7), filmed.track.opening
    shut, wide = int(np.argmin(opening)), int(np.argmax(opening))
    stretch = _drawn(filmed, lips, np.repeat(codes[wide : wide + 1], 10, axis=0), np.full(10, shut))
    assert stretch.min() > 1.1, "nothing was asked of it"
    assert stretch.max() < STRETCHED
