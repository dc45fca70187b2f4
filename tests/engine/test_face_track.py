"""Following a face whose movements are known."""

import numpy as np
import pytest

from rendering.engine.contract import Limits
from rendering.engine.errors import EngineError
from rendering.engine.face.detect import Detector
from rendering.engine.face.profile import Patches, PatchWriter, library_frames, region
from rendering.engine.face.track import Track, track_footage
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import probe
from tests.engine.clips import make_video


def test_every_frame_of_the_presenter_is_followed(filmed):
    assert filmed.track.ok.all()
    assert filmed.track.shots == [(0, 150)]
    assert filmed.track.points.shape == (150, 468, 3)


def test_the_opening_seen_is_the_opening_that_was_made(filmed):
    assert np.corrcoef(filmed.track.opening, filmed.truth.opening)[0, 1] > 0.9
    assert np.corrcoef(filmed.track.width, filmed.truth.width)[0, 1] > 0.6


def test_the_unit_of_length_is_the_distance_of_the_outer_eye_corners(filmed):
    assert np.median(filmed.track.io) == pytest.approx(63 * 320 / 288, rel=0.15)
    assert np.linalg.norm(filmed.track.template[263] - filmed.track.template[33]) == pytest.approx(1.0, abs=1e-4)


def test_a_track_is_the_same_after_being_stored(filmed, tmp_path):
    filmed.track.save(tmp_path / "track.npz")
    again = Track.load(tmp_path / "track.npz")
    np.testing.assert_array_equal(again.points, filmed.track.points)
    np.testing.assert_array_equal(again.opening, filmed.track.opening)
    assert again.shots == filmed.track.shots
    assert again.size == filmed.track.size == (320, 320)


def test_footage_without_a_face_is_refused(tmp_path):
    path = make_video(tmp_path / "grey.mp4", pictures=12)
    with pytest.raises(EngineError) as failure:
        track_footage(path, probe(path, Limits()))
    assert failure.value.code == "no_face"


def _edited(filmed, path, edit):
    """The presenter's first 40 frames with ``edit(number, picture)`` applied, tracked."""
    pictures = [frame.bgr((0, 0, 320, 320))[:, :, ::-1] for frame in read_frames(filmed.video, filmed.info, stop=40)]
    make_video(path, pictures=40, size=(320, 320), paint=lambda n: edit(n, pictures[n].copy()))
    return path


def test_a_lost_face_is_found_again(filmed, tmp_path):
    def edit(number, picture):
        if 15 <= number < 20:
            picture[:] = 90
        return picture

    path = _edited(filmed, tmp_path / "gap.mp4", edit)
    track = track_footage(path, probe(path, Limits()))
    assert not track.ok[15:20].any()
    assert track.ok[:15].all()
    assert track.ok[20:].all()
    assert np.isnan(track.points[17]).all()
    assert all(np.isfinite(track.steady.points[t]).all() for t in (14, 20))


def test_a_cut_parts_the_shots_and_its_neighbours_are_not_reused(filmed, tmp_path):
    def edit(number, picture):
        return (
            picture
            if number < 20
            else 255 - np.roll(picture, 40, axis=0)[::-1] // 3
            if number < 22
            else picture[:, ::-1]
        )

    path = _edited(filmed, tmp_path / "cut.mp4", edit)
    track = track_footage(path, probe(path, Limits()))
    assert track.shots[0] == (0, 20)
    assert track.shots[-1] == (22, 40)
    usable = library_frames(track)
    assert not usable[18:24].any()
    assert usable[5:15].any()


def test_of_two_faces_the_one_pointed_at_is_followed(filmed, tmp_path):
    pictures = [frame.bgr((0, 0, 320, 320))[:, :, ::-1] for frame in read_frames(filmed.video, filmed.info, stop=12)]
    path = make_video(
        tmp_path / "two.mp4",
        pictures=12,
        size=(640, 320),
        paint=lambda n: np.hstack([pictures[n], pictures[n][:, ::-1]]),
    )
    info = probe(path, Limits())
    for point, left in (((0.2, 0.4), True), ((0.8, 0.4), False)):
        track = track_footage(path, info, face=point)
        assert (track.points[:, 1, 0] < 320).all() == left


def test_the_larger_of_two_faces_is_the_presenter(filmed, tmp_path):
    import cv2

    def paint(number):
        picture = pictures[number]
        small = np.full_like(picture, 60)
        small[80:240, 80:240] = cv2.resize(picture, (160, 160), interpolation=cv2.INTER_AREA)
        return np.hstack([small, picture])

    pictures = [frame.bgr((0, 0, 320, 320))[:, :, ::-1] for frame in read_frames(filmed.video, filmed.info, stop=12)]
    path = make_video(tmp_path / "two.mp4", pictures=12, size=(640, 320), paint=paint)
    track = track_footage(path, probe(path, Limits()))
    assert (track.points[:, 1, 0] > 320).all()


def test_a_small_face_in_a_wide_picture_is_found(filmed):
    import cv2

    frame = next(iter(read_frames(filmed.video, filmed.info)))
    wide = np.full((720, 1280, 3), 120, np.uint8)
    wide[300:420, 900:1020] = cv2.resize(frame.bgr((0, 0, 320, 320)), (120, 120), interpolation=cv2.INTER_AREA)
    faces = Detector()(wide, thorough=True)
    assert faces
    x, y = faces[0].centre
    assert 900 < x < 1020
    assert 300 < y < 420


def test_patches_come_back_as_they_were_kept(filmed):
    with Patches(filmed.patches) as patches:
        assert len(patches) == len(filmed.track)
        frame = next(iter(read_frames(filmed.video, filmed.info, start=40, stop=41)))
        box = region(filmed.track.points[40])
        assert patches.box(40) == box
        assert np.abs(patches.read(40).astype(int) - frame.bgr(box)).mean() < 2.5


def test_a_patch_file_that_was_cut_short_is_told_from_a_whole_one(filmed, tmp_path):
    short = tmp_path / "patches.bin"
    short.write_bytes(filmed.patches.read_bytes()[:-40])
    with pytest.raises(EngineError) as failure:
        Patches(short)
    assert failure.value.code == "stale_analysis"


def test_a_failure_while_tracking_leaves_no_patch_file_that_looks_whole(filmed, tmp_path):
    path = tmp_path / "patches.bin"
    frame = next(iter(read_frames(filmed.video, filmed.info)))

    def fail():
        with PatchWriter(path) as writer:
            writer.add(frame, filmed.track.points[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(EngineError):
        Patches(path)
