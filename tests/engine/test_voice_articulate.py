"""Known sounds in the plan: lips meet, touch the teeth, round; and nothing else changes."""

import numpy as np
import pytest

from rendering.engine.voice.articulate import (
    HEARD_LIPS_S,
    LIPS_S,
    articulate,
    closing,
    closures_met,
    opinion,
    reopened,
    with_heard,
)
from rendering.engine.voice.visemes import LEAD_S

FPS = 25.0
TIMES = np.arange(100) / FPS
USUAL, LOW = np.array([0.1, 0.6]), np.array([0.02, 0.5])
SHUT = 0.02


def spoken(*sounds: str, start: float = 1.0, each: float = 0.1) -> list[tuple[float, float, str]]:
    return [(start + k * each, start + (k + 1) * each, sound) for k, sound in enumerate(sounds)]


def drawn(*sounds: str, each: float = 0.1) -> np.ndarray:
    flat = np.tile(USUAL, (len(TIMES), 1))
    return articulate(flat, TIMES, spoken(*sounds, each=each), SHUT, USUAL, LOW)


@pytest.mark.parametrize("sound", ["p", "b", "m"])
@pytest.mark.parametrize("each", [0.03, 0.1])
def test_lips_meet_however_short_the_sound(sound: str, each: float) -> None:
    assert drawn("a", sound, "a", each=each)[:, 0].min() == pytest.approx(SHUT, abs=0.012)


def test_a_closure_comes_and_goes_within_a_few_frames() -> None:
    opening = drawn("a", "m", "a")[:, 0]
    moved = np.flatnonzero(np.abs(opening - USUAL[0]) > 0.002)
    assert 4 <= len(moved) <= 9
    assert np.abs(np.diff(opening)).max() < 0.9 * (USUAL[0] - SHUT)


def test_f_brings_the_lip_to_the_teeth_and_does_not_close() -> None:
    opening = drawn("a", "f", "a")[:, 0]
    assert SHUT + 0.01 < opening.min() < 0.6 * USUAL[0]


def test_u_rounds_and_i_does_not() -> None:
    assert drawn("k", "u", "k")[:, 1].min() < USUAL[1] - 0.03
    assert np.array_equal(drawn("k", "i", "k")[:, 1], np.full(len(TIMES), USUAL[1]))


def test_sounds_without_lips_change_nothing() -> None:
    assert np.array_equal(drawn("a", "k", "s", "e", ""), np.tile(USUAL, (len(TIMES), 1)))


def test_a_mouth_that_is_closed_already_stays() -> None:
    closed = np.tile([0.01, 0.6], (len(TIMES), 1))
    assert np.array_equal(articulate(closed, TIMES, spoken("m"), SHUT, USUAL, LOW), closed)


def test_an_opinion_knows_where_it_knows_nothing() -> None:
    said, known = opinion([*spoken("a", start=1.0, each=0.4), *spoken("i", start=3.0, each=0.4)], TIMES)
    at = {round(float(time), 2): float(share) for time, share in zip(TIMES, known[:, 0], strict=True)}
    assert at[1.2] == at[3.2] == 1.0
    assert at[0.6] == at[2.2] == at[3.92] == 0.0
    assert said[TIMES == 1.2, 0] > said[TIMES == 3.2, 0] + 0.4
    assert not opinion([], TIMES)[1].any()


def test_an_hour_of_sounds_fits_in_memory() -> None:
    sounds = spoken(*["m", "a"] * 20000, start=0.0, each=0.09)
    times = np.arange(90000) / FPS
    said, known = opinion(sounds, times)
    assert known.all()
    assert said.shape == (90000, 2)
    assert closing(sounds, times).max() == 1.0


def test_closures_are_counted_where_they_are_asked_and_where_they_are_wrong() -> None:
    sounds = spoken("a", "m", "a", "a", "a", "b", "a")
    opening = np.full(len(TIMES), 0.1)
    opening[(TIMES > 1.11) & (TIMES < 1.19)] = 0.0
    assert closures_met(opening, TIMES, sounds, 0.02) == (1, 2, 0, 5)
    opening[(TIMES > 1.33) & (TIMES < 1.37)] = 0.0
    assert closures_met(opening, TIMES, sounds, 0.02) == (1, 2, 1, 5)
    assert closures_met(np.full(len(TIMES), np.nan), TIMES, sounds, 0.02) == (0, 0, 0, 0)


def test_closures_are_heard_where_nothing_is_known() -> None:
    heard = [(1.12, 1.18), (2.5, 2.52)]
    assert with_heard([], heard) == [(1.12 + LEAD_S, 1.18, "m"), (2.51, 2.52, "m")]
    known = [(1.0, 2.0, "a")]
    assert with_heard(known, heard) == [(1.0, 2.0, "a"), (2.51, 2.52, "m")]
    assert with_heard(known, []) == known


def test_closures_that_are_less_sure_come_and_go_more_slowly_and_are_as_deep() -> None:
    told, heard = (closing(spoken("m"), TIMES, lips_s) for lips_s in (LIPS_S, HEARD_LIPS_S))
    assert heard.max() == told.max() == 1.0
    assert heard.sum() > 1.1 * told.sum()


def test_beside_closures_the_mouth_opens_as_far_as_it_usually_does() -> None:
    opening = np.where(np.arange(100) % 10 < 3, SHUT, 0.08)
    raised = reopened(opening, 0.07, np.ones(100), SHUT, 0.2)
    assert raised.mean() == pytest.approx(0.07, abs=1e-3)
    assert (raised[opening == SHUT] == SHUT).all()
    assert (np.diff(reopened(np.linspace(SHUT, 0.2, 50), 0.12, np.ones(50), SHUT, 0.2)) > 0).all()
    assert (reopened(opening, 0.05, np.ones(100), SHUT, 0.2) == opening).all(), "wide enough as it is"
    assert (reopened(opening, 0.07, np.zeros(100), SHUT, 0.2) == opening).all(), "nobody talks"
