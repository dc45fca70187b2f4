"""The frames under a take that outlasts its footage: back and forth, without a loop that anybody would see."""

from __future__ import annotations

import dataclasses

import numpy as np

from rendering.engine.face.walk import motion, walk

FRAMES = 1500
"""A minute at 25 frames a second, over six seconds of footage."""


def _turns(order: np.ndarray) -> np.ndarray:
    return order[1:-1][np.diff(order, 2) != 0]


def _repetition(order: np.ndarray) -> float:
    """The share of frames that are as they were one period earlier, for the period that fits best."""
    return max(float((order[:-lag] == order[lag:]).mean()) for lag in range(25, len(order) // 2))


def test_a_short_take_plays_the_footage_from_its_start(filmed):
    np.testing.assert_array_equal(walk(filmed.track, 40, 25), np.arange(40))


def test_a_long_take_walks_back_and_forth_without_a_jump(filmed):
    order = walk(filmed.track, FRAMES, 25)
    assert len(order) == FRAMES
    assert (np.abs(np.diff(order)) == 1).all()
    assert order.min() == 0
    assert order.max() < len(filmed.track)


def test_it_turns_where_head_and_shoulders_rest(filmed):
    turns, unrest = _turns(walk(filmed.track, FRAMES, 25)), motion(filmed.track)
    assert len(turns) >= 10
    assert unrest[turns].mean() < 0.8 * np.median(unrest)
    assert unrest[turns].max() < 1.5 * np.median(unrest)


def test_it_does_not_turn_at_the_same_place_again_and_again(filmed):
    order = walk(filmed.track, FRAMES, 25)
    turns = _turns(order)
    for ends in (turns[::2], turns[1::2]):
        assert len(set(ends.tolist())) >= 3
        assert (np.diff(ends) == 0).mean() < 0.5
    there_and_back = np.abs((np.arange(FRAMES) - 149) % 298 - 149)
    assert _repetition(there_and_back) == 1
    assert _repetition(order) < 0.6


def test_a_gesture_is_not_walked_through_backwards(filmed):
    thumbs = filmed.track.thumbs.copy()
    thumbs[30:50] = np.random.default_rng(1).integers(0, 255, thumbs[30:50].shape)
    order = walk(dataclasses.replace(filmed.track, thumbs=thumbs), FRAMES, 25)
    backwards = order[1:][np.diff(order) < 0]
    assert len(backwards) > 300
    assert not ((backwards >= 30) & (backwards < 50)).any()


def test_the_way_back_stays_in_the_last_long_shot(filmed):
    track = dataclasses.replace(filmed.track, shots=[(0, 50), (50, 140), (140, 150)])
    order = walk(track, 600, 25)
    assert order[300:].min() >= 50
    assert order.max() < 140


def test_the_same_take_gets_the_same_walk(filmed):
    np.testing.assert_array_equal(walk(filmed.track, FRAMES, 25), walk(filmed.track, FRAMES, 25))


def test_footage_of_one_followed_frame_holds_it(filmed):
    ok = np.zeros(len(filmed.track), bool)
    ok[7] = True
    order = walk(dataclasses.replace(filmed.track, ok=ok), 400, 25)
    assert len(order) == 400
    assert (np.diff(order) >= 0).all()
