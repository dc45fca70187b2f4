"""What was made faster still gives the same: cheaper steps beside the ones they stand for."""

import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import savgol_filter

from rendering.engine.analysis import ANALYSIS, RecentAnalyses
from rendering.engine.contract import RENDER_STAGES, RenderOptions, RenderRequest
from rendering.engine.errors import EngineError
from rendering.engine.face import geometry
from rendering.engine.face.track import STEADY_BLOCK, STEADY_BLOCKS, SteadyPoints, Track
from rendering.engine.face.warp import Warp
from rendering.engine.media.planes import Planes
from rendering.engine.prepare import prepare
from rendering.engine.render import render, with_tail
from rendering.engine.voice.adamw import AdamW
from rendering.engine.voice.cepstra import loud_level, mel_power
from rendering.engine.voice.features import log_mel

ROOT = Path(__file__).resolve().parents[2]


def test_our_smoothing_is_savitzky_golays():
    values = np.random.default_rng(0).normal(size=(1300, 3, 2)).cumsum(axis=0)
    smoothed = geometry.smooth(values, [(0, 1300)], 7)
    np.testing.assert_allclose(smoothed, savgol_filter(values, 7, 2, axis=0), atol=1e-10)
    assert not np.allclose(smoothed, values, atol=0.1)


def test_our_optimiser_takes_the_steps_that_torchs_takes():
    start = torch.linspace(-1, 1, 12).reshape(3, 4)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    steps = 8
    mine = AdamW([ours], rate=0.05, decay=0.1, steps=steps)
    other = torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(other, steps)
    for _ in range(steps):
        for weights in (ours, theirs):
            ((weights - 0.3) ** 2).sum().backward()
        mine.step()
        other.step()
        schedule.step()
        other.zero_grad()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert not torch.allclose(ours, start, atol=0.05)


def test_luma_warped_in_16_bits_is_the_one_warped_in_8_but_for_rounding():
    random = np.random.default_rng(2)
    picture = cv2.GaussianBlur(random.integers(0, 256, (90, 110), dtype=np.uint8), (0, 0), 0.7)
    target = random.uniform(10, 80, (1, 12, 2))
    (warp,) = Warp.several([(6, 4, 80, 70)], target, target + random.normal(0, 2, (1, 12, 2)))
    x, y = np.meshgrid(np.arange(80, dtype=np.float32) + 6 - 2, np.arange(70, dtype=np.float32) + 4 - 3)
    places = cv2.resize(warp.shift, (80, 70)) + np.dstack([x, y])
    cubic, lanczos = (
        cv2.remap(picture, places, np.empty(0), window, borderMode=cv2.BORDER_REPLICATE).astype(int)
        for window in (cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    )
    drawn = warp(Planes(picture, *[picture[::2, ::2].copy()] * 2), (2, 3), (26, 14, 30, 20)).y
    assert drawn.dtype == np.uint8
    fine = np.s_[10:30, 20:50]
    assert np.abs(drawn - lanczos)[fine].max() <= 1
    assert np.abs(cubic - lanczos)[fine].max() > 1
    cubic[fine] = lanczos[fine]
    assert np.abs(drawn - cubic).max() <= 1


@pytest.mark.parametrize(
    ("fine", "inside"),
    [
        ((0, 0, 30, 20), np.s_[:16, :24]),
        ((70, 60, 90, 90), np.s_[56:, 64:]),
        ((0, 0, 200, 200), np.s_[:, :]),
        ((100, 10, 30, 20), np.s_[:0, :0]),
        ((-40, 10, 30, 20), np.s_[:0, :0]),
        (None, np.s_[:0, :0]),
    ],
)
def test_all_but_the_fine_part_of_a_warp_is_what_it_would_be_without_one(fine, inside):
    random = np.random.default_rng(5)
    picture = Planes(*(random.integers(0, 256, size, np.uint8) for size in ((90, 110), (45, 55), (45, 55))))
    target = random.uniform(10, 80, (1, 12, 2))
    (warp,) = Warp.several([(6, 4, 80, 70)], target, target + random.normal(0, 2, (1, 12, 2)))
    drawn, whole, coarse = (warp(picture, (2, 4), part) for part in (fine, (6, 4, 80, 70), None))
    coarse.y[inside] = whole.y[inside]
    assert np.array_equal(drawn.y, coarse.y)
    assert np.array_equal(drawn.u, coarse.u)


@pytest.mark.parametrize("samples", [1, 2, 7, 4001, 500_000])
def test_the_level_of_loud_samples_is_their_percentile(samples: int):
    sound = np.random.default_rng(3).normal(size=samples).astype(np.float32)
    assert loud_level(sound) == float(np.percentile(np.abs(sound), 99.95))


@pytest.mark.parametrize("listen", [log_mel, mel_power])
def test_listening_to_a_long_take_holds_no_copy_of_it(listen: Callable[[np.ndarray], np.ndarray]):
    def peak(minutes: int) -> int:
        sound = np.random.default_rng(4).normal(size=minutes * 60 * 16_000).astype(np.float32)
        tracemalloc.start()
        listen(sound)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    # What is heard of a minute takes a quarter of its sound's 3.8 MB, and a second such array is worked in.
    assert peak(3) - peak(2) < 0.8 * 60 * 16_000 * 4


def test_a_take_that_has_its_tail_is_not_copied():
    sound = np.zeros(16_000, np.float32)
    longer = with_tail(sound, 1.0)
    assert len(longer) == 24_000
    assert with_tail(longer, 1.0) is longer


def test_starting_the_engine_loads_nothing_that_a_render_does_not_need():
    done = subprocess.run(
        [sys.executable, "-c", "import rendering.engine.render, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rendering.engine.prepare" in done.stdout.split()
    assert not {"torch", "scipy.signal", "scipy.stats"} & set(done.stdout.split())


def test_points_smoothed_where_they_are_asked_for_are_those_of_the_whole_track():
    n = 40 * STEADY_BLOCK + 5
    points = np.random.default_rng(1).normal(size=(n, 6, 3)).cumsum(axis=0).astype(np.float32)
    cuts = [(0, 31), (31, 33), (40, 64), (64, 69), (95, 97), (100, n)]
    whole, steady = geometry.smooth(points, cuts, 7), SteadyPoints(points, cuts)
    for index in (*range(140), n - 1, 5, n // 2):
        np.testing.assert_array_equal(steady[index], whole[index])
    np.testing.assert_array_equal(steady.of((1, 4)), whole[:, [1, 4]])


def test_a_track_of_any_length_keeps_a_bounded_number_of_smoothed_frames():
    steady = SteadyPoints(np.zeros((10 * STEADY_BLOCK * STEADY_BLOCKS, 1, 3), np.float32), [])
    for index in range(0, 10 * STEADY_BLOCK * STEADY_BLOCKS, STEADY_BLOCK):
        assert steady[index].shape == (1, 3)
    assert len(steady._recent) == STEADY_BLOCKS


def test_an_analysis_that_is_made_anew_leaves_the_one_in_use_whole(filmed, tmp_path: Path):
    filmed.track.save(tmp_path / "track.npz")
    used = Track.load(tmp_path / "track.npz")
    assert not used.points.flags.owndata  # on disk
    cut = Track.load(tmp_path / "track.npz")
    object.__setattr__(cut, "points", cut.points[:3])
    cut.save(tmp_path / "track.npz")
    np.testing.assert_array_equal(used.points, filmed.track.points)
    assert len(Track.load(tmp_path / "track.npz").points) == 3


@pytest.fixture(scope="module")
def analysed(filmed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(filmed.video, tmp_path_factory.mktemp("analysed")).folder


def test_a_warm_process_reads_an_analysis_once(analysed: Path, tmp_path: Path):
    folder = shutil.copytree(analysed, tmp_path / "one")
    recent = RecentAnalyses()
    first, kept = recent.get(folder)
    assert not kept
    assert recent.get(folder) == (first, True)
    os.utime(folder / ANALYSIS, (1, 1))  # made anew
    again, kept = recent.get(folder)
    assert not kept
    assert again is not first


def test_only_the_last_few_analyses_are_kept(analysed: Path, tmp_path: Path):
    recent = RecentAnalyses(kept=2)
    folders = [shutil.copytree(analysed, tmp_path / str(number)) for number in range(3)]
    for folder in folders:
        recent.get(folder)
    assert len(recent) == 2
    assert [recent.get(folder)[1] for folder in (folders[2], folders[1], folders[0])] == [True, True, False]
    shutil.rmtree(folders[0])
    with pytest.raises(EngineError, match="stale_analysis"):
        recent.get(folders[0])


def test_long_footage_leaves_room_for_fewer_analyses(analysed: Path, tmp_path: Path):
    folders = [shutil.copytree(analysed, tmp_path / str(number)) for number in range(3)]
    frames = len(RecentAnalyses().get(analysed)[0].track)
    recent = RecentAnalyses(frames=2 * frames)
    for folder in folders:
        recent.get(folder)
    assert len(recent) == 2
    short = RecentAnalyses(frames=1)
    assert [short.get(folders[0])[1] for _ in range(2)] == [False, True], "the last one is kept however long"


def test_a_second_render_is_the_same_and_says_where_its_time_went(filmed, analysed: Path, tmp_path: Path):
    take = tmp_path / "take.wav"
    soundfile.write(take, 0.1 * np.random.default_rng(0).normal(size=16_000), 16_000)
    results, videos = [], []
    for number in range(2):
        out = tmp_path / f"{number}.mp4"
        options = RenderOptions(speed="ultrafast")
        request = RenderRequest(footage=filmed.video, analysis=analysed, audio=take, out=out, options=options)
        results.append(render(request))
        videos.append(out.read_bytes())
    assert videos[0] == videos[1]
    assert results[1].analysis_kept
    for result in results:
        assert result.seconds.keys() == set(RENDER_STAGES)
        assert result.busy.keys() == {"decode", "draw", "check", "encode"}
        assert result.codecs["encode"].startswith(("libx264", "h264_nvenc"))
        assert all(0 < seconds <= result.seconds["compose"] for seconds in result.busy.values())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own")
def test_memory_that_is_kept_for_the_next_frame_is_given_back_when_asked():
    code = (
        "import os\nfrom rendering.engine import memory\nmemory.share_one_arena()\n"
        "def held(): return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE') >> 20\n"
        "blocks = [bytearray(1 << 20) for _ in range(200)]\nfull = held()\ndel blocks\n"
        "kept = held()\nmemory.give_back()\nprint(full - kept, kept - held())"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    kept_from_system, given_back = (int(word) for word in told.stdout.split())
    assert kept_from_system < 50
    assert given_back > 150
