"""What the network sees: a square and a hole that move with the head alone, and the mouth that is wanted in it."""

from dataclasses import replace

import numpy as np
import pytest

from rendering.engine.face import geometry
from rendering.engine.face.blend import outline
from rendering.engine.face.lips import LipSpace
from rendering.engine.face.points import JAW, LIPS
from rendering.engine.media.frames import read_frames
from rendering.engine.neural.crops import SIZES, Crops, rigid_hole, size_for, usable_frames, windows

SIZE = 64


@pytest.fixture(scope="module")
def lips(filmed):
    return LipSpace.fit(filmed.track)


@pytest.fixture(scope="module")
def crops(filmed, lips):
    return Crops(filmed.track, lips, SIZE)


def test_the_hole_has_the_same_shape_whatever_the_mouth_does(filmed, crops):
    frames = np.flatnonzero(filmed.track.clear)[::10]
    steady = filmed.track.steady
    shapes = []
    for index in frames:
        back = crops.matrix(index)
        hole = crops.wanted(np.zeros(8, np.float32), index).hole @ back[:, :2].T + back[:, 2]
        flat = np.column_stack([hole, np.zeros(len(hole))])
        scale, *_ = steady.pose_of(index)
        shapes.append(np.linalg.norm(np.diff(flat, axis=0), axis=1).sum() / scale[0])
    opening = filmed.track.opening[frames]
    assert opening.max() - opening.min() > 0.1
    assert np.ptp(shapes) < 0.02 * np.mean(shapes)


def test_the_hole_holds_every_mouth_and_what_the_blend_replaces(filmed, crops):
    outside = 0
    for index in np.flatnonzero(filmed.track.clear)[::5]:
        points = filmed.track.steady.points[index]
        hole = crops.wanted(np.zeros(8, np.float32), index).maps(SIZE)[0]
        for place in crops.into(np.concatenate([points[LIPS, :2], outline(points)]), index):
            x, y = np.clip(np.round(place).astype(int), 0, SIZE - 1)
            outside += hole[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max() == 0
    assert outside == 0


def test_the_jaw_is_within_the_square(filmed, crops):
    for index in np.flatnonzero(filmed.track.clear)[::20]:
        low = crops.into(filmed.track.steady.points[index][JAW[5:16], :2], index)
        assert (low > 0).all()
        assert (low < SIZE - 1).all()


def test_maps_have_smooth_edges_and_lie_in_each_other(filmed, crops, lips):
    wide = int(np.nanargmax(filmed.track.opening))
    hole, inside, outer, jaw = crops.wanted(crops.own_codes()[wide], wide).maps(SIZE)
    assert ((inside > 0) & (inside < 1)).any()
    assert inside.sum() > 20
    for inner, around in ((inside, outer), (outer, hole), (outer, jaw)):
        assert (inner <= around + 0.5).all()


def test_a_mouth_planned_wider_open_has_a_larger_inside(crops, lips):
    shut, wide = (lips.of_measures(np.array([[opening, 0.6]]))[0] for opening in (0.02, 0.2))
    assert crops.wanted(wide, 30).maps(SIZE)[1].sum() > 3 * crops.wanted(shut, 30).maps(SIZE)[1].sum()


def test_what_is_cut_and_laid_back_is_where_it_was(filmed, lips):
    crops = Crops(filmed.track, lips, 128)
    frame = next(iter(read_frames(filmed.video, filmed.info, start=40, stop=41)))
    points = filmed.track.steady.points[40][LIPS, :2]
    low, high = points.min(axis=0).astype(int), points.max(axis=0).astype(int)
    box = (int(low[0]) & ~1, int(low[1]) & ~1, int(high[0] - low[0]) & ~1, int(high[1] - low[1]) & ~1)
    picture, covered = crops.lay(crops.cut(frame, 40), 40, box)
    assert (covered == 1).all()
    assert np.abs(picture.astype(int) - frame.bgr(box)).mean() < 3


def test_a_padded_square_shows_the_same_middle(filmed, lips):
    frame = next(iter(read_frames(filmed.video, filmed.info, start=40, stop=41)))
    plain, padded = (Crops(filmed.track, lips, SIZE, padding).cut(frame, 40) for padding in (0, 4))
    assert padded.shape == (SIZE + 8, SIZE + 8, 3)
    assert np.abs(padded[4:-4, 4:-4].astype(int) - plain).mean() < 0.5


def test_the_condition_is_about_one_and_follows_mouth_and_head(filmed, crops):
    told = windows(crops.own_codes(), filmed.track.runs)
    conditions = np.stack([crops.condition(told[index], index) for index in range(0, len(filmed.track), 10)])
    assert conditions.shape[1] == 43
    assert conditions.dtype == np.float32
    assert np.abs(conditions).max() < 8
    assert 0.5 < conditions[:, 16].std() < 2  # the first number of the middle frame
    turned = np.corrcoef(conditions[:, 40], filmed.track.yaw[::10])[0, 1]
    assert turned > 0.9


def test_windows_do_not_look_beyond_a_cut():
    codes = np.arange(12, dtype=np.float32)[:, None] * np.ones(8, np.float32)
    told = windows(codes, [(0, 5), (5, 12)])
    assert told[4, :, 0].tolist() == [2, 3, 4, 4, 4]
    assert told[5, :, 0].tolist() == [5, 5, 5, 6, 7]


def test_the_square_is_as_fine_as_the_footage(filmed):
    io = float(np.nanmedian(filmed.track.io))
    assert size_for(filmed.track) == next(size for size in SIZES if size >= 0.95 * 1.6 * io)


def test_frames_whose_hole_leaves_the_picture_are_left_out(filmed, crops, lips):
    usable = usable_frames(filmed.track, crops)
    assert usable.sum() > 100
    assert not (usable & ~filmed.track.clear).any()
    lowest = geometry.project(rigid_hole(filmed.track)[None], filmed.track.steady.pose_of(40))[0, :, 1].max()
    cut_off = replace(filmed.track, size=(filmed.track.size[0], int(lowest)))
    assert not usable_frames(cut_off, Crops(cut_off, lips, SIZE))[40]
