"""The generated presenter: footage with known truth."""

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from rendering.engine.demo import DEMO_SCRIPTS, make_demo_footage, make_demo_takes

ROOT = Path(__file__).parents[2]


def test_the_presenter_is_followed_in_every_frame_and_her_mouth_measured_right(filmed):
    assert filmed.track.ok.all()
    assert len(filmed.track) == len(filmed.truth.opening) == 150
    assert np.corrcoef(filmed.track.opening, filmed.truth.opening)[0, 1] > 0.85
    assert np.corrcoef(filmed.track.width, filmed.truth.width)[0, 1] > 0.6


@pytest.mark.parametrize("size", [(256, 144), (144, 256)])
def test_footage_has_the_size_rate_length_and_sound_asked_for(tmp_path, size):
    made = make_demo_footage(tmp_path / "a.mp4", seconds=1.2, size=size, fps=30)
    with av.open(str(made.video)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, video.average_rate, video.frames) == (*size, 30, 36)
        assert float(audio.duration * audio.time_base) == pytest.approx(1.2, abs=0.05)
    assert len(made.opening) == len(made.width) == 36
    assert made.audio is not None
    assert made.audio.exists()


def test_silent_footage_has_no_sound_track_and_still_speaks(tmp_path):
    made = make_demo_footage(tmp_path / "a.mp4", seconds=2, size=128, sound=False)
    with av.open(str(made.video)) as container:
        assert not container.streams.audio
    assert made.audio is None
    assert made.opening.max() > 0.1


def test_the_same_seed_films_the_same_and_another_moves_otherwise(tmp_path):
    def picture(seed: int) -> np.ndarray:
        with av.open(str(make_demo_footage(tmp_path / "a.mp4", seconds=1, size=128, seed=seed).video)) as container:
            return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)][20]

    assert np.array_equal(picture(1), picture(1))
    assert not np.array_equal(picture(1), picture(2))


def test_two_processes_film_the_same_bytes_whatever_lies_in_their_memory(tmp_path):
    # Macroblocks that do not fill whole vectors are where libx264 read memory that nobody had written. glibc fills
    # what it hands out with the byte given.
    film = "from rendering.engine.demo import make_demo_footage as film; from pathlib import Path; import sys; "
    film += "film(Path(sys.argv[1]), seconds=2, size=160, seed=3, sound=False)"
    for byte in ("85", "170"):
        command = [sys.executable, "-c", film, tmp_path / f"{byte}.mp4"]
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "MALLOC_PERTURB_": byte})
    assert (tmp_path / "85.mp4").read_bytes() == (tmp_path / "170.mp4").read_bytes()


def test_progress_is_reported_and_may_stop_the_filming(tmp_path):
    class EnoughError(Exception):
        pass

    def report(stage: str, done: int, total: int) -> None:
        if done >= 10:
            raise EnoughError

    with pytest.raises(EnoughError):
        make_demo_footage(tmp_path / "a.mp4", seconds=2, size=128, report=report)


def test_the_takes_are_one_english_and_one_chinese_of_a_good_length(tmp_path):
    takes = make_demo_takes(tmp_path)
    assert [script.language for script, _ in takes] == ["en", "zh-hans"] == [s.language for s in DEMO_SCRIPTS]
    for _, path in takes:
        with av.open(str(path)) as container:
            assert 6 <= container.duration / 1e6 <= 11
