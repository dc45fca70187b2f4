"""The gate: what is refused, what is warned of, and which rung of the ladder footage stands on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rendering.engine.errors import FAILURES
from rendering.engine.findings import FINDINGS, Seen, refusals, remarks, tier_of

GOOD = Seen(
    duration_s=30.0,
    fps=25.0,
    tracked=1.0,
    longest_gap_s=0.0,
    io_px=90.0,
    yaw_p90=8.0,
    longest_shot_s=30.0,
    shots=1,
    has_audio=True,
    speech_s=26.0,
    cv_open=0.6,
    offset_ms=0.0,
    opening_range=0.2,
    faces=1,
    captions=0,
    covered_s=0.0,
    personal=True,
)


def test_good_footage_passes_without_a_word() -> None:
    assert refusals(GOOD) == ()
    assert remarks(GOOD) == ()
    assert tier_of(GOOD) == "A"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"tracked": 0.3}, "no_face"),
        ({"tracked": 0.89}, "face_lost"),
        ({"tracked": 0.97, "longest_gap_s": 1.04}, "face_lost"),
        ({"io_px": 23.9}, "face_small"),
        ({"yaw_p90": 30.5}, "face_turned"),
        ({"longest_shot_s": 2.5, "shots": 9}, "no_steady_shot"),
    ],
)
def test_unusable_footage_is_refused_with_its_reason(change: dict[str, float], code: str) -> None:
    found = refusals(replace(GOOD, **change))  # type: ignore[arg-type]
    assert [finding.code for finding in found] == [code]
    assert found[0].level == "refused"
    assert code in FAILURES


@pytest.mark.parametrize(
    "change", [{"tracked": 0.91, "longest_gap_s": 0.9}, {"io_px": 24.5}, {"yaw_p90": 29.0}, {"longest_shot_s": 3.0}]
)
def test_footage_just_inside_the_gate_passes(change: dict[str, float]) -> None:
    assert refusals(replace(GOOD, **change)) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        ({"speech_s": 5.0, "personal": False}, "little_speech", "warning"),
        ({"cv_open": 0.1, "personal": False}, "sound_mismatch", "warning"),
        ({"has_audio": False, "speech_s": 0.0, "personal": False}, "no_own_voice", "warning"),
        ({"offset_ms": -80.0}, "sound_offset", "warning"),
        ({"duration_s": 12.0}, "short_footage", "warning"),
        ({"opening_range": 0.03, "personal": False}, "still_mouth", "warning"),
        ({"covered_s": 0.8}, "mouth_covered", "warning"),
        ({"captions": 1}, "caption_over_chin", "warning"),
        ({"tracked": 0.98}, "face_gaps", "info"),
        ({"shots": 2}, "several_shots", "info"),
        ({"faces": 2}, "several_faces", "info"),
    ],
)
def test_what_is_worth_saying_is_said_once(change: dict[str, float], code: str, level: str) -> None:
    found = remarks(replace(GOOD, **change))  # type: ignore[arg-type]
    assert [(finding.code, finding.level) for finding in found] == [(code, level)]
    assert code in FINDINGS


def test_the_ladder_has_three_rungs() -> None:
    assert tier_of(replace(GOOD, personal=False)) == "B"
    assert tier_of(replace(GOOD, opening_range=0.05)) == "A"
    assert tier_of(replace(GOOD, opening_range=0.03)) == "C"


def test_no_code_is_both_a_failure_and_a_finding() -> None:
    assert not FAILURES.keys() & FINDINGS.keys()
