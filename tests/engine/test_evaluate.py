"""What the suite's figures mean, on numbers whose answer is known; the suite itself runs in ``test_engine.py``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rendering.engine.__main__ import main
from rendering.engine.errors import EngineError
from rendering.engine.evaluate import figures, measures
from rendering.engine.evaluate.clips import find_clips, read_phonemes
from rendering.engine.evaluate.other_voice import chosen_pairs
from rendering.engine.evaluate.own_voice import folds, hidden
from rendering.engine.evaluate.sheet import SheetOptions, sheet
from rendering.engine.evaluate.table import as_markdown, as_text, means
from tests.engine.clips import make_video
from tests.engine.conftest import Filmed

FPS = 25.0


def series(seed: int, n: int = 500) -> np.ndarray:
    """(n,) something that moves like a mouth."""
    noise = np.random.default_rng(seed).normal(size=n + 8)
    return np.convolve(noise, np.ones(9) / 9, mode="valid") * 0.1


@pytest.mark.parametrize("late", [-3, 0, 4])
def test_a_result_that_is_late_is_found_late_by_as_many_frames(late: int) -> None:
    truth = series(1)
    made = np.roll(truth, late) + 0.1 * series(2)
    assert measures.best_lag(made, truth, FPS).frames == late


def test_frames_without_a_face_do_not_spoil_a_correlation() -> None:
    truth = series(1)
    made = truth.copy()
    made[100:150] = np.nan
    assert measures.r(made, truth) == pytest.approx(1)
    assert np.isnan(measures.r(np.full(500, np.nan), truth))


def test_a_level_that_comes_from_the_other_thirds_is_neither_merit_nor_fault() -> None:
    truth = [series(seed) + level for seed, level in ((1, 0.0), (2, 0.05), (3, 0.1))]
    levels = [np.mean([part.mean() for part in truth if part is not own]) for own in truth]
    still = [level + 1e-3 * series(seed) for seed, level in zip((4, 5, 6), levels, strict=True)]
    assert measures.r(np.concatenate(still), np.concatenate(truth)) < -0.3
    assert abs(measures.r_within(list(zip(still, truth, strict=True)))) < 0.15
    moving = [part - part.mean() + level for part, level in zip(truth, levels, strict=True)]
    assert measures.r_within(list(zip(moving, truth, strict=True))) == pytest.approx(1)


def test_a_leak_is_what_the_plan_does_not_explain() -> None:
    plan, own, noise = (np.random.default_rng(seed).normal(size=500) for seed in (1, 2, 3))
    given = plan[:, None]
    assert abs(measures.leak(plan + 0.5 * noise, own, given)) < 0.1
    assert measures.leak(plan + 0.5 * noise + 0.5 * own, own, given) > 0.5
    correlated = own + plan  # a plan that happens to follow the footage's own mouth is no leak
    assert abs(measures.leak(plan + 0.5 * noise, correlated, given)) < 0.1


PAUSES = [(2.0, 4.0), (8.0, 10.0), (14.0, 16.0)]


@pytest.mark.parametrize("noise", [0.001, 0.004, 0.008])
def test_a_resting_mouth_is_at_rest_however_much_the_tracker_trembles(noise: float) -> None:
    still = 0.02 + np.random.default_rng(5).normal(size=500) * noise
    assert measures.rest(still, FPS, PAUSES).movement < 0.35 * noise


@pytest.mark.parametrize("noise", [0.001, 0.004])
def test_a_mouth_that_moves_in_pauses_is_seen_through_the_trembling(noise: float) -> None:
    random = np.random.default_rng(5)
    moving = 0.02 + 0.01 * np.sin(2 * np.pi * np.arange(500) / FPS) + random.normal(size=500) * noise
    assert measures.rest(moving, FPS, PAUSES).movement == pytest.approx(0.01 / np.sqrt(2), rel=0.25)


def test_a_take_without_a_pause_has_no_rest() -> None:
    assert np.isnan(measures.rest(series(1), FPS, [(1.0, 1.3)]).movement)


def test_pauses_are_where_nobody_speaks() -> None:
    active = np.concatenate([np.zeros(50), np.ones(100), np.zeros(80)])
    assert measures.pauses(active, 100.0, 2.3) == [(0.0, 0.5), (1.5, 2.3)]


def test_what_is_held_out_is_not_in_the_track_that_is_learned_from(filmed: Filmed) -> None:
    learned = hidden(filmed.track, 50, 100, 9)
    assert not learned.ok[41:109].any()
    assert learned.ok[:41].all()
    assert np.isnan(learned.opening[41:109]).all()
    assert np.isfinite(filmed.track.opening).all(), "the whole track is as it was"


def test_every_frame_is_held_out_once() -> None:
    for frames in (75, 150, 601):
        stretches = folds(frames, FPS)
        assert [frame for start, stop in stretches for frame in range(start, stop)] == list(range(frames))


def test_each_face_gets_its_voices_and_never_its_own() -> None:
    names = [f"clip{i}" for i in range(7)]
    pairs = chosen_pairs(names, names[:5], 2)
    assert len(pairs) == len(set(pairs)) == 14
    assert all(face != voice for face, voice in pairs)
    assert {voice for _, voice in pairs} == set(names[:5])
    assert len(chosen_pairs(names, names, None)) == 42


def test_clips_are_found_in_folders_and_named_apart(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("one/b.mp4", "one/a.MOV", "one/notes.txt", "two/b.mp4"):
        (tmp_path / name).touch()
    found = find_clips([tmp_path / "one", tmp_path / "two" / "b.mp4", tmp_path / "one" / "b.mp4"])
    assert [clip.path.name for clip in found] == ["a.MOV", "b.mp4", "b.mp4"]
    assert len({clip.name for clip in found}) == 3


def test_sounds_that_are_no_sounds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.phones.json"
    path.write_text(json.dumps([[0, 0.5, ""], [0.5, 0.6, "p"]]))
    assert read_phonemes(path) == ((0.0, 0.5, ""), (0.5, 0.6, "p"))
    path.write_text("[1, 2]")
    with pytest.raises(EngineError, match="bad_media"):
        read_phonemes(path)


def test_means_are_over_the_rows_that_have_the_figure() -> None:
    rows = [
        {"clip": "long", "seconds": 20.0, "r_open": 0.8, "kept": 2},
        {"clip": "short", "seconds": 8.0, "r_open": 0.4},
        {"clip": "bad", "note": "no face"},
    ]
    whole, long, short = means(rows)
    assert (whole["r_open"], whole["kept"]) == (0.6, 2.0)
    assert (long["r_open"], short["r_open"]) == (0.8, 0.4)
    assert "no face" in as_text(rows)
    assert len({line.count("|") for line in as_markdown(rows).splitlines()}) == 1


def test_a_face_has_the_means_of_its_pairs_by_the_shipped_base_and_by_the_teams() -> None:
    pairs = [
        {"clip": "ann", "voice": "ben", "open": 0.5, "team_open": 0.7, "plan_width": 0.3, "team_plan_width": 0.4},
        {"clip": "ann", "voice": "cleo", "plan_width": 0.5, "team_plan_width": 0.8},
    ]
    row = figures.of_pairs(pairs)
    assert (row["other_open"], row["other_team_open"]) == (0.5, 0.7)
    assert (row["other_plan_width"], row["other_team_plan_width"]) == (0.4, pytest.approx(0.6))
    assert "to.open" in as_text([{"clip": "ann", **row}])
    assert "to.open" not in as_text([{"clip": "ann", **figures.of_pairs([{"clip": "ann", "open": 0.5}])}])


def test_clips_that_cannot_be_measured_end_the_command_with_a_table_and_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wall = make_video(tmp_path / "wall.mp4", pictures=80, size=(160, 120))
    status = main(["evaluate", str(wall), str(tmp_path / "gone.mp4"), "--json", str(tmp_path / "all.json")])
    told = capsys.readouterr().out
    assert status == 1
    assert "no_face" in told
    assert "No such file" in told
    assert [row["clip"] for row in json.loads((tmp_path / "all.json").read_text())["rows"]] == ["wall", "gone"]


def test_a_sheet_shows_every_mouth_asked_for_at_full_size(filmed: Filmed, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    shown = SheetOptions(start_s=1.0, seconds=0.4, columns=5)
    sounds = [(0.0, 1.2, "p"), (1.2, 6.0, "")]
    alone = sheet(filmed.video, out, phonemes=sounds, options=shown)
    beside = sheet(filmed.video, out, source=filmed.video, phonemes=sounds, options=shown)
    io = float(np.nanmedian(filmed.track.io))
    assert alone[0] == pytest.approx(5 * io, rel=0.15)
    assert alone[1] == pytest.approx(2 * 0.9 * io + 2 * 16, rel=0.15)
    assert beside[1] > 1.6 * alone[1]
    assert out.stat().st_size > 5000
    with pytest.raises(EngineError, match="no mouth"):
        sheet(filmed.video, out, phonemes=sounds, options=SheetOptions(start_s=60.0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sheet", "film.mp4", "-o", "out.jpeg2"], "PNG"),
        (["sheet", "film.mp4", "-o", "out.png", "--start", "-3"], "between 0 and"),
        (["sheet", "film.mp4", "-o", "out.png", "--face", "left"], "such as 0.3,0.5"),
        (["evaluate", "film.mp4", "--pairs", "-1"], "whole number"),
        (["evaluate", "film.mp4", "--jobs", "0"], "--jobs"),
        (["evaluate", "film.mp4", "--mouths", "kept", "--mouths-steps", "0"], "whole number from 1"),
    ],
)
def test_a_wrong_wish_is_told_in_words_before_any_work(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_a_table_that_could_not_be_written_is_not_measured_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wall = make_video(tmp_path / "wall.mp4", pictures=80, size=(160, 120))
    assert main(["evaluate", str(wall), "--markdown", str(tmp_path / "gone" / "table.md")]) == 1
    told = capsys.readouterr()
    assert "no such folder" in told.err
    assert "wall" not in told.out


def test_the_command_line_promises_no_second_try(
    filmed: Filmed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sheet", str(filmed.video), "-o", str(tmp_path / "out.png"), "--start", "60"]) == 1
    told = capsys.readouterr().err
    assert "no mouth between" in told
    assert "by itself" not in told
