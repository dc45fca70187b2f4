"""The lip space and the choice of lent mouths."""

import dataclasses

import numpy as np
import pytest

from rendering.engine.errors import EngineError
from rendering.engine.face.choose import Library, choose
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.profile import library_frames
from rendering.engine.face.track import opening_width


@pytest.fixture(scope="module")
def lips(filmed):
    return LipSpace.fit(filmed.track)


def test_codes_hold_what_the_mouth_does(filmed, lips):
    measured = np.stack([filmed.track.opening, filmed.track.width], axis=1)
    by_the_head = np.tensordot(head_turn(filmed.track) - lips.pose, lips.turn, axes=1)
    opening, width = opening_width(lips.decode(lips.encode(filmed.track)) + by_the_head)
    assert np.corrcoef(measured[:, 0], opening)[0, 1] > 0.98
    assert np.corrcoef(measured[:, 1], width)[0, 1] > 0.9
    np.testing.assert_allclose(lips.encode(filmed.track).std(axis=0), 1, atol=0.05)


def test_encoding_undoes_decoding(filmed, lips):
    codes = np.random.default_rng(1).normal(size=(9, 8))
    pose = np.repeat(lips.pose[None], 9, axis=0)
    np.testing.assert_allclose(lips.encode_shapes(lips.decode(codes), pose), codes, atol=1e-3)


def test_codes_do_not_follow_the_turning_head(filmed, lips):
    codes, turned = lips.encode(filmed.track), head_turn(filmed.track)
    follows = [max(np.corrcoef(codes[:, k], turned[:, axis])[0, 1] ** 2 for axis in range(2)) for k in range(8)]
    assert np.average(follows, weights=lips.weights) < 0.05


def test_what_a_turning_head_does_to_the_lips_opens_and_widens_no_mouth(filmed, lips):
    """Who nods with their words would lose the words otherwise."""
    usual = lips.decode(np.zeros((1, 8)))
    moved = usual + np.tensordot([[5.0, -5.0], [-5.0, 5.0]], lips.turn, axes=1)
    assert np.abs(moved - usual).max() > 0.02
    rest = np.stack(opening_width(usual))
    np.testing.assert_allclose(np.stack(opening_width(moved)), np.repeat(rest, 2, axis=1), atol=0.004)


def test_the_usual_mouth_of_an_opening_has_that_opening(filmed, lips):
    wanted = np.array([[np.percentile(filmed.track.opening, q), np.median(filmed.track.width)] for q in (20, 50, 90)])
    got = lips.opening_width(lips.of_measures(wanted))
    np.testing.assert_allclose(got[:, 0], wanted[:, 0], atol=0.02)


def test_hand_made_modes_open_and_widen_by_the_amount_asked(filmed):
    lips = LipSpace.from_hand(filmed.track)
    rest = lips.opening_width(np.zeros((1, 8)))[0]
    got = lips.opening_width(lips.of_measures(rest + np.array([[0.1, 0.0], [0.0, 0.05]])))
    assert got[0, 0] - rest[0] == pytest.approx(0.1, abs=0.015)
    assert got[1, 1] - rest[1] == pytest.approx(0.05, abs=0.01)
    assert lips.hand_made


def test_a_lip_space_is_the_same_after_being_stored(filmed, lips, tmp_path):
    lips.save(tmp_path / "lips.npz")
    again = LipSpace.load(tmp_path / "lips.npz")
    np.testing.assert_array_equal(again.encode(filmed.track), lips.encode(filmed.track))
    assert again.hand_made is False


def test_frames_turned_away_blurred_or_covered_are_not_lent(filmed):
    track = filmed.track
    yaw, blur, points = track.yaw.copy(), track.blur.copy(), track.points.copy()
    yaw[20], blur[60] = 45, blur[60] - 3
    points[100, 14, 1] += 3 * track.io[100]
    usable = library_frames(dataclasses.replace(track, yaw=yaw, blur=blur, points=points))
    assert not usable[[20, 60, 100]].any()
    assert usable.mean() > 0.8


def _library(filmed, lips):
    return Library.of(filmed.track, lips)


def test_a_plan_taken_from_the_footage_chooses_that_footage(filmed, lips):
    frames = np.arange(30, 90)
    library = _library(filmed, lips)
    codes = lips.encode(filmed.track, 7)
    chosen = choose(codes[frames], head_turn(filmed.track)[frames], library)
    assert (chosen == frames).mean() > 0.95


def test_lent_mouths_follow_the_plan_and_seldom_jump(filmed, lips):
    plan = lips.encode(filmed.track, 7)[::-1][:100]
    chosen = choose(plan, head_turn(filmed.track)[:100], _library(filmed, lips))
    opening = filmed.track.opening
    assert np.corrcoef(opening[chosen], lips.opening_width(plan)[:, 0])[0, 1] > 0.8
    assert (np.diff(chosen) != 1).mean() < 0.35


def test_a_mouth_of_the_same_shot_is_preferred(filmed, lips):
    track = dataclasses.replace(filmed.track, shots=[(0, 75), (75, 150)])
    plan = lips.encode(track, 7)[80:140]
    turned = head_turn(track)[:60]
    shots = np.zeros(60, int)
    chosen = choose(plan, turned, Library.of(track, lips), None, shots)
    assert (chosen < 75).mean() > 0.9
    assert (choose(plan, turned, Library.of(track, lips)) < 75).mean() < 0.5


def test_where_no_frame_is_good_every_followed_frame_may_lend(filmed, lips):
    turned_away = dataclasses.replace(filmed.track, yaw=np.full(len(filmed.track), 60, np.float32))
    np.testing.assert_array_equal(library_frames(turned_away), filmed.track.ok)


def test_a_library_without_a_frame_is_a_coded_failure(filmed, lips):
    empty = dataclasses.replace(_library(filmed, lips), frames=np.zeros(0, int))
    with pytest.raises(EngineError) as failure:
        choose(np.zeros((5, 8)), np.zeros((5, 2)), empty)
    assert failure.value.code == "no_face"
