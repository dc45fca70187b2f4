"""face-alignment as a tracker: its weights are opened with care, and its landmarks take over where the mesh fails."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from rendering.engine.__main__ import main
from rendering.engine.alignment import nets as networks
from rendering.engine.alignment import weights
from rendering.engine.alignment.carry import ANCHORS, carried, gap
from rendering.engine.alignment.follow import AlignedDetector, AlignedFollower
from rendering.engine.alignment.nets import CELLS, POINTS, Marks, Nets, boxes
from rendering.engine.batched import Batched
from rendering.engine.errors import EngineError
from rendering.engine.face.detect import Face
from rendering.engine.face.follow import BundledDetector, Follower
from rendering.engine.face.mesh import Crop
from rendering.engine.face.points import LIPS
from rendering.engine.face.track import opening_width, track_footage
from rendering.engine.media.frame import Frame
from rendering.engine.media.frames import read_frames
from rendering.engine.prepare import prepare
from tests.engine.conftest import Filmed

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the right names and shapes that know nothing, and find nothing."""
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models.fan import FAN

    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("alignment")
    finder = s3fd().state_dict()
    for name, tensor in finder.items():
        if name.endswith("_conf.bias"):
            tensor[:-1] = 20.0
    torch.save(finder, folder / weights.FINDER)
    reader = FAN(networks.STACKS).state_dict()
    for part in ("weight", "bias"):
        reader[f"l{networks.STACKS - 1}.{part}"] *= 0.01  # low maps: it is sure of nothing
    torch.save(reader, folder / weights.READER)
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, random_weights: Path) -> None:
    monkeypatch.setenv("TRACKER", "face-alignment")
    monkeypatch.setenv("FACE_ALIGNMENT_WEIGHTS", str(random_weights))
    monkeypatch.setenv("FACE_ALIGNMENT_BATCH", "2")


class Knowing:
    """In place of the networks: landmarks that a mesh read elsewhere tells, for each frame by its number."""

    together = 8

    def __init__(self, told: dict[int, np.ndarray], score: float = 0.8) -> None:
        self.told, self.score, self.sizes = told, score, list[int]()
        self._detector = BundledDetector()

    def marks(self, frames: Sequence[Frame], crops: Sequence[Crop]) -> list[Marks | None]:
        self.sizes.append(len(frames))
        every = np.zeros((POINTS, 2), np.float32)
        result: list[Marks | None] = []
        for frame in frames:
            every[17:] = self.told[frame.index]
            result.append(Marks(every.copy(), self.score))
        return result


def knowing(filmed: Filmed, score: float = 0.8) -> Knowing:
    """Landmarks that agree with the mesh, as differently meant as two trackers mean them."""
    bias = np.random.default_rng(1).normal(0, 0.02, (len(ANCHORS), 2))
    points, io = filmed.track.points, filmed.track.io
    return Knowing({t: points[t][ANCHORS, :2] + io[t] * bias for t in range(len(points))}, score)


class ForgetfulFollower(Follower):
    """The mesh reads nothing in some frames."""

    def __init__(self, blind: range) -> None:
        super().__init__(None)
        self._blind, self._number = blind, -1

    def __call__(self, frame: Frame, *, cut: bool):
        self._number += 1
        found = super().__call__(frame, cut=cut)
        if self._number not in self._blind:
            return found
        self.tried = Crop.of_points(found[0])
        return None


def followed(filmed: Filmed, told: Knowing, blind: range, stop: int) -> list[np.ndarray | None]:
    tracker = AlignedFollower(None, told)
    tracker._follower = ForgetfulFollower(blind)
    frames = list(read_frames(filmed.video, filmed.info, stop=stop))
    tracker._follower.choose(frames[:5])
    found = []
    for first in range(0, stop, told.together):
        some = frames[first : first + told.together]
        found += tracker.follow(some, [False] * len(some))
    return found


def test_where_the_mesh_is_sure_its_points_stay_as_they_are(filmed: Filmed) -> None:
    found = followed(filmed, knowing(filmed), range(0), 20)
    for t, (points, _, _) in enumerate(found):
        np.testing.assert_array_equal(points, filmed.track.points[t])


def test_where_the_mesh_fails_the_last_one_is_carried_on_the_landmarks(filmed: Filmed) -> None:
    blind = range(40, 70)
    found = followed(filmed, knowing(filmed), blind, 72)
    truth = filmed.track.points[blind.start : blind.stop]
    held = filmed.track.points[blind.start - 1]
    made = np.array([found[t][0] for t in blind])
    io = float(np.median(filmed.track.io))
    assert np.linalg.norm((made - truth)[:, LIPS, :2], axis=2).mean() < 0.02 * io
    assert np.linalg.norm((made - truth)[..., :2], axis=2).mean() < 0.03 * io
    assert (
        np.linalg.norm((made - truth)[..., :2], axis=2).mean()
        < 0.5 * np.linalg.norm((held - truth)[..., :2], axis=2).mean()
    ), "it moves along"
    drawn, real = (opening_width(points[:, LIPS] / io)[0] for points in (made, truth))
    assert np.corrcoef(drawn, real)[0, 1] > 0.97
    assert max(found[t][1] for t in blind) <= 0.9, "such mouths are not lent to other frames"


def test_landmarks_that_are_not_sure_carry_nothing(filmed: Filmed) -> None:
    found = followed(filmed, knowing(filmed, score=0.2), range(12, 16), 18)
    assert [one is None for one in found] == [t in range(12, 16) for t in range(18)]


def test_a_mesh_on_another_face_than_the_landmarks_gives_way(filmed: Filmed) -> None:
    told = knowing(filmed)
    away = np.float32([0.5, 0]) * filmed.track.io[10]
    for t in range(10, 14):
        told.told[t] = told.told[t] + away
    found = followed(filmed, told, range(0), 14)
    moved = np.median(found[11][0][ANCHORS, :2] - filmed.track.points[11][ANCHORS, :2], axis=0)
    np.testing.assert_allclose(moved, away, atol=0.05 * filmed.track.io[10])


def test_landmarks_are_read_as_many_frames_at_a_time_as_fit(filmed: Filmed) -> None:
    told = knowing(filmed)
    followed(filmed, told, range(0), 20)
    assert told.sizes == [8, 8, 4]


def test_a_turned_and_open_face_is_carried_to_where_its_landmarks_are(filmed: Filmed) -> None:
    track = filmed.track
    shut, wide = int(track.opening.argmin()), int(track.opening.argmax())
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    marks = track.points[wide][ANCHORS, :2] @ turn.T * 1.4 + [7, 3]
    made = carried(track.points[shut], marks)
    there = track.points[wide][:, :2] @ turn.T * 1.4 + [7, 3]
    io = 1.4 * track.io[wide]
    assert np.linalg.norm(made[LIPS, :2] - there[LIPS], axis=1).max() < 0.03 * io
    assert gap(made, marks) < 0.02


def test_boxes_are_those_of_the_package() -> None:
    from face_alignment.detection.sfd.bbox import nms
    from face_alignment.detection.sfd.detect import get_predictions

    draw = np.random.default_rng(8)
    answer = []
    for level in range(6):
        side = max(1, 96 >> level)
        answer += [draw.normal(0, 1.2, (1, 2, side, side)), draw.normal(0, 0.5, (1, 4, side, side))]
        answer[-2][:, 0] += 3
    shares = [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in answer[::2]]
    given = list(itertools.chain(*zip(shares, answer[1::2], strict=True)))
    theirs = get_predictions(given, 1)[0]
    best = theirs[nms(theirs, 0.3)[0]]
    (ours,) = boxes(answer)
    assert len(ours) == networks.MOST_FACES
    near = [np.abs(theirs - one).max(axis=1).min() < 1e-6 for one in ours]
    assert all(near)
    np.testing.assert_allclose(ours[0], best, atol=1e-6)
    assert (np.diff(ours[:, 4]) <= 0).all(), "the surest first"


def test_a_landmark_is_where_its_map_is_highest_to_a_fraction_of_a_cell() -> None:
    draw = np.random.default_rng(2)
    places = draw.uniform(5, CELLS - 6, (POINTS, 2))
    rows, columns = np.mgrid[:CELLS, :CELLS]
    away = (columns - places[:, 0, None, None]) ** 2 + (rows - places[:, 1, None, None]) ** 2
    found, peaks = networks._centres(np.exp(-away / 2).astype(np.float32))
    assert np.abs(found - places).max() < 0.08
    assert peaks.min() > 0.75


class Seeing(Nets):
    """Landmarks read by a network that answers with where the picture is brightest."""

    def __init__(self) -> None:
        def brightest(given: torch.Tensor) -> torch.Tensor:
            small = torch.nn.functional.avg_pool2d(given.mean(dim=1, keepdim=True), 4)
            return small.expand(-1, POINTS, -1, -1)

        self._read = Batched(brightest, CPU, 3)


def test_places_in_a_crop_are_given_in_pixels_of_the_frame(filmed: Filmed) -> None:
    (frame,) = read_frames(filmed.video, filmed.info, stop=1)
    frame.y[...], frame.u[...], frame.v[...] = 16, 128, 128
    frame.y[131:134, 201:204] = 235
    for crop in (Crop(200.0, 125.0, 100.0, 0.0), Crop(190.0, 140.0, 130.0, 0.4), Crop(205.0, 130.0, 60.0, -0.7)):
        (marks,) = Seeing().marks([frame], [crop])
        np.testing.assert_allclose(marks.points[0], [202, 132], atol=1.2)


def test_faces_are_looked_for_in_several_frames_at_once(filmed: Filmed) -> None:
    asked: list[int] = []

    class Counting:
        def faces(self, pictures: Sequence[np.ndarray]) -> list[list[Face]]:
            asked.append(len(pictures))
            return [[Face(10, 10, 20, 20, 0.9, ((14, 16), (24, 16)))] for _ in pictures]

    frames = list(read_frames(filmed.video, filmed.info, stop=6))
    detector = AlignedDetector(Counting())
    detector.expect(frames)
    assert [len(detector(frame, thorough=False)) for frame in frames] == [1] * 6
    assert asked == [4, 2]


def test_too_large_a_batch_is_halved_and_changes_nothing() -> None:
    sizes = []

    def net(given: torch.Tensor) -> torch.Tensor:
        sizes.append(len(given))
        if len(given) > 2:
            raise torch.OutOfMemoryError("too many")
        return given * 2

    given = np.arange(7, dtype=np.float32)[:, None]
    batched = Batched(net, CPU, 8)
    np.testing.assert_array_equal(batched(given)[0], given * 2)
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert batched.together == 2


@pytest.mark.usefixtures("asked")
def test_weights_that_know_nothing_go_all_the_way_and_leave_the_mesh_alone(filmed: Filmed) -> None:
    """Detector, landmarks, batches and mirror run for real; nothing that they say is sure."""
    frames = list(read_frames(filmed.video, filmed.info, stop=2))
    loaded = networks.load()
    assert loaded is networks.load()
    tracker = AlignedFollower(None, loaded)
    tracker.choose(frames[:1])
    tracker._follower._last = Crop.of_points(filmed.track.points[0])
    tracker._follower._crop = Crop.of_points(filmed.track.points[0])
    found = tracker.follow(frames, [False] * 2)
    assert [one is not None for one in found] == [True] * 2
    assert all(look is not None and look.score < 0.35 and not look.carried for look in tracker.looks)
    crops = [Crop.of_points(filmed.track.points[t]) for t in range(2)]
    one, many = (each.marks(frames, crops) for each in (Nets(*weights.required(), CPU, 1), loaded))
    for a, b in zip(one, many, strict=True):
        np.testing.assert_allclose(a.points, b.points, atol=1e-2)


def test_missing_weights_are_refused_before_the_footage_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRACKER", "face-alignment")
    monkeypatch.setenv("FACE_ALIGNMENT_WEIGHTS", str(tmp_path))
    with pytest.raises(EngineError, match=weights.FINDER) as refused:
        prepare(tmp_path / "nothing.mp4", tmp_path / "analysis")
    assert refused.value.code == "no_tracker_weights"
    assert not (tmp_path / "analysis").exists()
    assert not list(tmp_path.glob("*.pth*")), "nothing was fetched"


def test_an_unknown_tracker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER", "dlib")
    with pytest.raises(EngineError) as refused:
        weights.identity()
    assert refused.value.code == "no_tracker"


def test_weights_are_fetched_only_where_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, random_weights: Path
) -> None:
    monkeypatch.setenv("FACE_ALIGNMENT_WEIGHTS", str(tmp_path / "new"))
    monkeypatch.setattr(weights, "HOST", random_weights.as_uri() + "/")
    with pytest.raises(EngineError):
        weights.required()
    monkeypatch.setenv("FACE_ALIGNMENT_DOWNLOAD", "1")
    with pytest.raises(EngineError, match="hash") as refused:
        weights.required()
    assert refused.value.code == "no_tracker_weights", "what came was not what the name promises"
    assert not (tmp_path / "new" / weights.FINDER).exists()


def test_without_a_folder_of_its_own_torchs_cache_is_looked_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FACE_ALIGNMENT_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert weights.folder() == Path(torch.hub.get_dir()) / "checkpoints" == tmp_path / "hub" / "checkpoints"
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert weights.folder() == Path(torch.hub.get_dir()) / "checkpoints"


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no pickle", "Error"),
        ({"weight": Runs()}, "UnpicklingError"),
        ([1, 2], "holds a list"),
        ({"conv1_1.weight": torch.zeros(3)}, "names that differ"),
    ],
)
def test_other_files_than_the_weights_are_refused(tmp_path: Path, content: object, said: str) -> None:
    path = tmp_path / weights.FINDER
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    net = torch.nn.Module()
    net.conv1_1 = torch.nn.Conv2d(3, 64, 3)
    with pytest.raises(EngineError, match=said) as refused:
        weights.read(path, net)
    assert refused.value.code == "bad_tracker_weights"


@pytest.mark.parametrize(
    ("tensor", "said"), [(torch.zeros(2), "is not"), (torch.full((4, 3), float("nan")), "not a number")]
)
def test_weights_of_another_shape_or_without_value_are_refused(tmp_path: Path, tensor: torch.Tensor, said: str) -> None:
    torch.save({"weight": tensor, "bias": torch.zeros(4)}, tmp_path / "x.pth")
    with pytest.raises(EngineError, match=said):
        weights.read(tmp_path / "x.pth", torch.nn.Linear(3, 4))


def test_analyses_by_different_trackers_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, random_weights: Path, filmed: Filmed
) -> None:
    from rendering.engine.__main__ import cache_folder
    from rendering.engine.contract import PrepareOptions

    bundled = cache_folder(filmed.video, PrepareOptions())
    monkeypatch.setenv("TRACKER", "face-alignment")
    monkeypatch.setenv("FACE_ALIGNMENT_WEIGHTS", str(random_weights))
    assert weights.identity().startswith("face-alignment-")
    assert len(weights.identity()) == len("face-alignment-") + 16
    assert cache_folder(filmed.video, PrepareOptions()) != bundled


def test_agreement_is_measured_by_a_command_and_skipped_without_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACE_ALIGNMENT_WEIGHTS", str(tmp_path))
    assert main(["trackers", str(tmp_path / "clip.mp4")]) == 0
    assert capsys.readouterr().out.startswith("Skipped: the weights of face-alignment are not on this machine")


def test_two_trackers_that_see_the_same_agree(filmed: Filmed) -> None:
    from rendering.engine.evaluate import agreement

    told = knowing(filmed)
    told.faces = lambda pictures: [[] for _ in pictures]
    both = AlignedFollower(None, told)
    both._follower = Follower(None)
    aligned = track_footage(filmed.video, filmed.info, tracker=both)
    found = agreement._figures("clip", filmed.track, aligned, both.looks, (1.0, 2.0))
    assert found.r_open > 0.97
    assert found.r_width > 0.9
    assert found.carried == 0
    assert found.apart < 0.06
    assert found.bundled_followed == found.aligned_followed == 1
    assert found.aligned_fps == len(aligned) / 2
