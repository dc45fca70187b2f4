"""Mouths laid into frames: the plan is seen again, and nothing else has changed."""

import contextlib
import dataclasses
import threading

import numpy as np
import pytest

from rendering.engine.face.blend import Colour, Mask
from rendering.engine.face.choose import Library, choose, speed
from rendering.engine.face.compose import Composer, shape
from rendering.engine.face.fades import fade_in_out, fading
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.points import LIPS
from rendering.engine.face.profile import Patches
from rendering.engine.face.track import Follower, opening_width
from rendering.engine.media.frames import read_frames
from rendering.engine.media.planes import Planes
from rendering.engine.pipeline import Helpers

COUNT = 60


@pytest.fixture(scope="module")
def lips(filmed):
    return LipSpace.fit(filmed.track)


@pytest.fixture(scope="module")
def reversed_speech(filmed, lips):
    """The end of the footage's speech, backwards: a plan that the first frames' own mouths do not follow."""
    return lips.encode(filmed.track, 7)[::-1][:COUNT].copy()


def _composer(filmed, lips, plan, *, track=None, patched=True):
    track = track or filmed.track
    order = np.arange(len(plan))
    if not patched:
        return Composer(track, lips, None, order=order, plan=plan, chosen=None)
    chosen = choose(plan, head_turn(track)[order], Library.of(track, lips), speed(track)[order])
    return Composer(track, lips, Patches(filmed.patches), order=order, plan=plan, chosen=chosen)


def _drawn(filmed, composer, count=COUNT):
    """(frame before, frame after, whether drawn) for each frame."""
    for t, frame in enumerate(read_frames(filmed.video, filmed.info, stop=count)):
        before = (frame.y.copy(), frame.u.copy(), frame.v.copy())
        drawn = composer.compose(frame, t)
        yield before, frame, drawn


def _opening(frames):
    follower = Follower(None)
    points = [follower(frame, cut=False)[0] for frame in frames]
    return [float(opening_width(p[None, LIPS])[0][0]) for p in points]


def test_the_planned_opening_is_seen_again(filmed, lips, reversed_speech):
    frames = [frame for _, frame, _ in _drawn(filmed, _composer(filmed, lips, reversed_speech))]
    planned = lips.opening_width(reversed_speech)[:, 0]
    own = filmed.track.opening[:COUNT]
    seen = _opening(frames)
    assert np.corrcoef(seen, planned)[0, 1] > 0.85
    assert np.corrcoef(seen, planned)[0, 1] > np.corrcoef(seen, own)[0, 1] + 0.3


def test_nothing_above_the_nose_or_far_from_the_jaw_changes(filmed, lips, reversed_speech):
    for t, (before, frame, drawn) in enumerate(_drawn(filmed, _composer(filmed, lips, reversed_speech), 20)):
        assert drawn
        points, io = filmed.track.points[t], filmed.track.io[t]
        changed = np.argwhere(before[0] != frame.y)
        assert len(changed) > 100
        low, high = changed.min(axis=0), changed.max(axis=0)
        assert low[0] > points[5, 1]
        assert high[0] < points[152, 1] + 0.4 * io
        assert low[1] > points[234, 0] - 0.3 * io
        assert high[1] < points[454, 0] + 0.3 * io


def test_a_frame_without_a_face_keeps_every_byte(filmed, lips, reversed_speech):
    ok, points = filmed.track.ok.copy(), filmed.track.points.copy()
    ok[8:12], points[8:12] = False, np.nan
    pose = {name: getattr(filmed.track, name).copy() for name in ("scale", "rotation", "shift", "yaw", "pitch")}
    for values in pose.values():
        values[8:12] = np.nan
    track = dataclasses.replace(filmed.track, ok=ok, points=points, **pose)
    for t, (before, frame, drawn) in enumerate(
        _drawn(filmed, _composer(filmed, lips, reversed_speech, track=track), 16)
    ):
        assert drawn == (not 8 <= t < 12)
        if not drawn:
            np.testing.assert_array_equal(before[0], frame.y)
            np.testing.assert_array_equal(before[1], frame.u)


def test_the_footages_own_speech_comes_back_nearly_as_it_was(filmed, lips):
    plan = lips.encode(filmed.track, 7)[:20]
    for before, frame, _ in _drawn(filmed, _composer(filmed, lips, plan), 20):
        touched = before[0] != frame.y
        gap = np.abs(before[0].astype(int) - frame.y)[touched].mean()
        assert gap < 4


def test_skin_does_not_flicker_more_than_in_the_footage(filmed, lips, reversed_speech):
    old, new, last = [], [], None
    for t, (before, frame, _) in enumerate(_drawn(filmed, _composer(filmed, lips, reversed_speech))):
        spots = filmed.track.steady.points[t][[207, 427, 199], :2].astype(int)
        now = [
            np.array([plane[y - 3 : y + 4, x - 3 : x + 4].mean() for x, y in spots]) for plane in (before[0], frame.y)
        ]
        if last is not None:
            old.append(np.abs(now[0] - last[0]))
            new.append(np.abs(now[1] - last[1]))
        last = now
    assert np.mean(new) < 1.5 * np.mean(old) + 0.5


def test_a_silent_mouth_is_opened_with_the_hand_made_modes(filmed):
    lips = LipSpace.from_hand(filmed.track)
    plan = np.zeros((COUNT, 8), np.float32)
    plan[:, 0] = np.abs(np.sin(np.arange(COUNT) / 4)) * 3
    rows = list(_drawn(filmed, _composer(filmed, lips, plan, patched=False)))
    seen = _opening([frame for _, frame, _ in rows])
    assert all(drawn for _, _, drawn in rows)
    # The film's own mouth speaks on; what follows the plan is measured beside it.
    own = np.stack([filmed.track.opening[:COUNT], np.ones(COUNT)], axis=1)
    seen, planned = (values - own @ np.linalg.lstsq(own, values, rcond=None)[0] for values in (seen, plan[:, 0]))
    assert np.corrcoef(seen, planned)[0, 1] > 0.8


def test_a_lent_mouth_is_never_stretched_beyond_its_bound(lips):
    lent = np.zeros((30, 8), np.float32)
    plan = np.zeros((30, 8), np.float32)
    plan[:, 0] = np.linspace(0, 30, 30)
    drawn = lips.decode(shape(plan, lent, lips)) - lips.decode(lent)
    assert np.linalg.norm(drawn, axis=2).max() <= 0.0701


def test_a_mouth_is_drawn_wider_and_rounder_than_planned_but_within_the_presenters_own_range(filmed, lips):
    usual, low, high = np.nanpercentile(filmed.track.width, [50, 5, 95])
    width = usual + 0.5 * min(high - usual, usual - low) * np.sin(np.arange(80) / 8)
    plan = lips.of_measures(np.stack([np.full(80, np.nanmedian(filmed.track.opening)), width], axis=1))
    drawn = shape(plan, plan, lips)
    planned, shown = (lips.opening_width(codes)[:, 1] for codes in (plan, drawn))
    assert 1.2 < np.polyfit(planned, shown, 1)[0] < 1.5
    assert (drawn >= np.minimum(lips.low, plan.min(axis=0)) - 0.01).all()
    assert (drawn <= np.maximum(lips.high, plan.max(axis=0)) + 0.01).all()


def test_a_mouth_that_trembles_is_calmed_and_one_that_closes_still_closes(filmed, lips):
    """A step of .004 IO up and down every frame, and a closure of two frames out of an open mouth."""
    opening = np.repeat(np.percentile(filmed.track.opening, 80), 40)
    opening[20:22] = np.percentile(filmed.track.opening, 1)
    deep = opening[19] - opening[20]
    opening += 0.002 * (-1.0) ** np.arange(40)
    width = np.repeat(np.median(filmed.track.width), 40)
    plan = lips.of_measures(np.stack([opening, width], axis=1))
    drawn = lips.opening_width(shape(plan, plan, lips))[:, 0]
    planned = lips.opening_width(plan)[:, 0]
    assert np.abs(np.diff(drawn, 2))[:14].max() < 0.25 * np.abs(np.diff(planned, 2))[:14].max()
    assert drawn[10:18].mean() - drawn[20:22].mean() > 0.9 * deep


def test_after_a_jump_the_skins_shading_goes_over_slowly():
    size = (64, 48)
    mask = Mask(np.array([[4, 4], [60, 4], [60, 44], [4, 44]], np.float32), (0, 0, *size), 30.0)
    own, old, new = (
        Planes(np.full((48, 64), level, np.uint8), *[np.full((24, 32), 128, np.uint8)] * 2) for level in (100, 108, 100)
    )
    colour = Colour()
    shown = [colour.lead_on(colour(new, own, mask), old, mask)] + [colour(new, own, mask) for _ in range(30)]
    levels = [float(picture.y[24, 32]) for picture in shown]
    assert levels[0] == pytest.approx(108, abs=1)
    assert max(np.abs(np.diff(levels))) <= 2
    assert levels[-1] == pytest.approx(100, abs=0.5)


def test_skin_far_from_the_lips_stays_the_frames_own():
    polygon = np.array([[0, 0], [200, 0], [200, 200], [0, 200]], np.float32)
    lips = np.array([[80, 90], [120, 90], [120, 110], [80, 110]], np.float32)
    share = Mask(polygon, (0, 0, 200, 200), 100.0, (lips,)).full()
    assert share[100, 100] == pytest.approx(1, abs=0.01)
    assert share[100, 128] > 0.9
    assert share[100, 160] == 0
    assert Mask(polygon, (0, 0, 200, 200), 100.0).full()[100, 160] == pytest.approx(1, abs=0.01)


def test_the_new_mouth_fades_beside_frames_that_keep_their_own():
    ok = np.array([1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1], bool)
    weight = fade_in_out(ok)
    assert weight[5] == 0
    assert weight[0] == weight[-1] == 1
    assert (np.diff(weight[:6]) <= 0).all()


def test_mouths_begun_by_several_threads_are_those_begun_one_by_one(filmed, lips, reversed_speech):
    """With jumps, and a frame without a face, in batches that begin and end within a cross-fade."""
    chosen = np.concatenate([np.arange(60, 67), np.arange(100, 107), np.arange(30, 36)])
    covered = np.arange(len(filmed.track)) == 11
    track, order = dataclasses.replace(filmed.track, covered=filmed.track.covered | covered), np.arange(len(chosen))
    begun, stretch = [], []
    for helpers in (Helpers(0), Helpers(3)):
        with Patches(filmed.patches) as patches, contextlib.closing(helpers):
            composer = Composer(
                track, lips, patches, order=order, plan=reversed_speech[order], chosen=chosen, helpers=helpers
            )
            frames = list(read_frames(filmed.video, filmed.info, stop=len(order)))
            if helpers:
                begun.append(
                    [m for first in range(0, 20, 8) for m in composer.begin_all(frames[first : first + 8], first)]
                )
            else:
                begun.append([composer.begin(frame, t) for t, frame in enumerate(frames)])
        stretch.append(composer.stretch)
    np.testing.assert_array_equal(*stretch)
    assert [each is None for each in begun[0]] == [each is None for each in begun[1]] == covered[:20].tolist()
    for one, other in zip(*begun, strict=True):
        if one is not None:
            assert one.lenders == other.lenders
            for mine, theirs in zip(
                (*one.lent, *one.own, *one.ground), (*other.lent, *other.own, *other.ground), strict=True
            ):
                np.testing.assert_array_equal(mine, theirs)
    assert any(one is not None and len(one.lenders) > 1 for one in begun[0])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("helper")]


def test_the_mouth_before_a_jump_goes_on_for_as_long_as_it_fades():
    jump, weight = np.array([False, False, True, False, False, True, True]), np.ones(7)
    chosen = np.array([5, 6, 20, 21, 22, 40, 3])
    known = fading(chosen, weight, jump, lambda frame: frame != 22)
    assert known == [None, None, (7, 0), (8, 1), None, (22, 0), (41, 0)]
    weight[3] = 0
    assert fading(chosen, weight, jump, lambda frame: True)[2:5] == [(7, 0), None, None]
