"""Pose, smoothing and splines on made-up points with known answers."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rendering.engine.face import geometry
from rendering.engine.face.track import CutFinder
from rendering.engine.face.warp import Warp, spline
from rendering.engine.media.planes import Planes


@pytest.fixture
def random():
    return np.random.default_rng(5)


def _poses(random, n):
    turns = Rotation.from_euler("yxz", random.uniform(-25, 25, (n, 3)), degrees=True)
    return random.uniform(40, 90, n), turns.as_matrix(), random.uniform(0, 300, (n, 3))


def test_a_similarity_is_found_exactly(random):
    shape = random.normal(size=(22, 3))
    scale, rotation, shift = _poses(random, 6)
    seen = geometry.project(np.repeat(shape[None], 6, axis=0), (scale, rotation, shift))
    found = geometry.similarity(shape, seen)
    for got, true in zip(found, (scale, rotation, shift), strict=True):
        np.testing.assert_allclose(got, true, atol=1e-6)


def test_a_mirror_image_is_never_taken_for_a_turn(random):
    shape = random.normal(size=(22, 3))
    _, rotation, _ = geometry.similarity(shape, (shape * [-1, 1, 1])[None])
    assert np.linalg.det(rotation[0]) == pytest.approx(1.0)


def test_normalising_undoes_projecting(random):
    pose = _poses(random, 4)
    shapes = random.normal(size=(4, 40, 3))
    np.testing.assert_allclose(geometry.normalise(geometry.project(shapes, pose), pose), shapes, atol=1e-9)


@pytest.mark.parametrize(("axis", "which"), [("y", 0), ("x", 1), ("z", 2)])
def test_each_angle_reports_its_own_turn_only(axis, which):
    rotation = Rotation.from_euler(axis, 20, degrees=True).as_matrix()[None]
    found = [abs(float(angle[0])) for angle in geometry.angles(rotation)]
    assert found[which] == pytest.approx(20, abs=1e-6)
    assert sum(found) == pytest.approx(20, abs=1e-6)


def test_a_nose_to_the_right_of_the_picture_is_positive_yaw():
    towards_viewer = np.array([0, 0, -1.0])
    rotation = Rotation.from_euler("y", -20, degrees=True).as_matrix()
    assert (rotation @ towards_viewer)[0] > 0
    assert geometry.angles(rotation[None])[0][0] == pytest.approx(20)


def test_runs_end_at_cuts_and_gaps():
    ok = np.array([1, 1, 0, 1, 1, 1, 1, 0], bool)
    assert geometry.runs(ok, [(0, 5), (5, 8)]) == [(0, 2), (3, 5), (5, 7)]


def test_smoothing_never_looks_across_a_cut():
    step = np.concatenate([np.zeros(20), np.ones(20)])
    np.testing.assert_allclose(geometry.smooth(step, [(0, 20), (20, 40)], 7), step, atol=1e-12)
    assert not np.allclose(geometry.smooth(step, [(0, 40)], 7), step, atol=1e-3)


def test_stretches_too_short_to_smooth_stay_as_they_are():
    values = np.array([1.0, 5.0, 2.0])
    np.testing.assert_array_equal(geometry.smooth(values, [(0, 2), (2, 3)], 7), values)


def test_a_spline_passes_through_its_knots_and_keeps_straight_lines_straight(random):
    knots = random.uniform(0, 1, (20, 2))
    straight = knots @ np.array([[1.1, 0.2], [-0.3, 0.9]]) + 0.5
    at = random.uniform(0, 1, (50, 2))
    np.testing.assert_allclose(spline(knots, straight, at), at @ np.array([[1.1, 0.2], [-0.3, 0.9]]) + 0.5, atol=1e-6)
    values = random.normal(size=(20, 2)) * 0.02
    np.testing.assert_allclose(spline(knots, values, knots), values, atol=0.01)


def test_a_warp_that_moves_nothing_gives_the_picture_back(random):
    picture = _noise(random, 60, 80)
    points = random.uniform(0, 60, (12, 2)) + [100, 50]
    same = _warp((100, 50, 80, 60), points, points)(picture, (100, 50))
    for plane, wanted in zip(same, picture, strict=True):
        np.testing.assert_array_equal(plane, wanted)


def test_a_shifted_warp_reads_from_where_the_source_lies(random):
    picture = _noise(random, 60, 80)
    target = random.uniform(0, 40, (12, 2)) + [105, 55]
    moved = _warp((100, 50, 40, 30), target, target + [6, 4])(picture, (100, 50))
    for plane, wanted in zip(moved, picture.part(6, 4, 40, 30), strict=True):
        np.testing.assert_allclose(plane.astype(int), wanted.astype(int), atol=1)


def test_chroma_is_warped_with_its_luma(random):
    """A bent ramp of which all three planes show the same place."""
    y, x = np.mgrid[:80, :100].astype(float)
    ramp = 20 + 1.8 * x + y / 2
    half = ramp.reshape(40, 2, 50, 2).mean(axis=(1, 3))
    picture = Planes(*(np.rint(values).astype(np.uint8) for values in (ramp, half, half)))
    target = random.uniform(0, 1, (12, 2)) * [60, 40] + [20, 20]
    drawn = _warp((20, 20, 60, 40), target, target + random.normal(0, 1.5, (12, 2)))(picture, (0, 0))
    shown = drawn.y.reshape(20, 2, 30, 2).mean(axis=(1, 3))
    assert np.abs(drawn.u - shown).max() < 2
    assert abs((drawn.u - shown).mean()) < 0.5
    assert np.abs(shown - half[10:30, 10:40]).max() > 2


def test_the_fine_part_of_a_warp_keeps_more_detail_and_the_rest_is_the_same(random):
    picture = _noise(random, 80, 80)
    target = random.uniform(10, 70, (12, 2)) + [100, 50]
    warp = _warp((110, 60, 60, 60), target, target + [0.5, 0.5])
    plain, fine = warp(picture, (100, 50)), warp(picture, (100, 50), (120, 70, 40, 40))
    part = np.s_[10:50, 10:50]
    assert fine.y[part].astype(float).var() > 1.02 * plain.y[part].astype(float).var()
    fine.y[part] = plain.y[part]
    for plane, other in zip(fine, plain, strict=True):
        np.testing.assert_array_equal(plane, other)


def _warp(box, target, source):
    return Warp.several([box], target[None], source[None])[0]


def _noise(random, height, width):
    sizes = ((height, width), *[(height // 2, width // 2)] * 2)
    return Planes(*(random.integers(0, 255, size, dtype=np.uint8) for size in sizes))


def test_a_cut_is_found_and_motion_is_not_one(random):
    scene = random.integers(0, 255, (36, 64), dtype=np.uint8)
    other = random.integers(0, 255, (36, 64), dtype=np.uint8)
    cuts = CutFinder()
    assert [cuts(picture) for picture in (scene, scene, other, other)] == [False, False, True, False]
    moving = CutFinder()
    smooth = np.clip(128 + 60 * np.sin(np.arange(120) / 12), 0, 255).astype(np.uint8)
    assert not any(moving(np.tile(np.roll(smooth, 2 * step), (36, 1))) for step in range(20))
