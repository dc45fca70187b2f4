"""Another voice: one presenter's face, another clip's sound; the mouth that really said it is the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rendering.engine.contract import Report
from rendering.engine.evaluate import measures
from rendering.engine.evaluate.clips import Studied
from rendering.engine.evaluate.filming import Dubbed, cut, dub, write_take
from rendering.engine.face.walk import walk
from rendering.engine.neural.draw import Network
from rendering.engine.render import planned_mouth
from rendering.engine.voice.base import BaseModel
from rendering.engine.voice.visemes import Phoneme

TAKE_S = 10.0
"""Of a longer voice only this much is spoken: a pair says little more with more."""
OFFSETS_S = np.arange(-0.24, 0.241, 0.02)


def take_span(voice: Studied) -> tuple[float, float]:
    """The part of a voice's footage, in seconds of its picture, that other presenters say: its middle."""
    length = len(voice.analysis.track) / voice.fps
    start = max(0.0, (length - TAKE_S) / 2)
    return start, min(length, start + TAKE_S)


def truth_at(voice: Studied, times_s: np.ndarray) -> np.ndarray:
    """(n, 2) opening and width of the voice's own mouth at ``times_s`` of its picture; NaN where it was not seen."""
    at = times_s * voice.fps
    own = np.arange(len(voice.truth))
    columns = [np.interp(at, own, values) for values in voice.truth.T]  # NaN spreads to the values beside it
    result = np.stack(columns, axis=1)
    result[(at < 0) | (at > own[-1])] = np.nan
    return result


def plan_for(presenter: Studied, voice: Studied, offset_s: float, base: BaseModel | None = None) -> np.ndarray:
    """(n, 2) what ``presenter`` would do for the voice's part, at its own frame rate, nothing rendered.

    ``base``: in place of the shipped one.
    """
    start, end = take_span(voice)
    times = frame_times(presenter, start, end)
    audio = cut(_sound(voice), start + offset_s, end + offset_s)
    return presenter.analysis.lips.opening_width(planned_mouth(presenter.analysis, audio, times, 1.0, base))


def frame_times(presenter: Studied, start_s: float, end_s: float) -> np.ndarray:
    """(n,) seconds from the take's beginning of each output frame."""
    return np.arange(max(1, round((end_s - start_s) * presenter.fps))) / presenter.fps


def _sound(voice: Studied) -> np.ndarray:
    if voice.audio16k is None:
        raise ValueError("a clip without sound is nobody's voice")
    return voice.audio16k


def voice_offset(voice: Studied, plans: Mapping[str, np.ndarray], rates: Mapping[str, float]) -> float:
    """Seconds that this voice's sound is behind its own picture, as all other presenters' plans together hear it.

    ``plans``: opening and width (n, 2) of each presenter, planned as if the two were together. A clip's own error is
    nobody's merit or fault here: a short clip alone cannot tell it, many presenters' plans can.
    """
    start, _ = take_span(voice)
    scores = np.zeros(len(OFFSETS_S))
    for name, plan in plans.items():
        times = np.arange(len(plan)) / rates[name]
        scores += [
            np.nan_to_num(measures.r(plan[:, 0], truth_at(voice, start + times - late)[:, 0])) for late in OFFSETS_S
        ]
    return float(OFFSETS_S[int(np.argmax(scores))]) if plans else voice.analysis.voice.offset_ms / 1000


def chosen_pairs(names: Sequence[str], voices: Sequence[str], each: int | None) -> list[tuple[str, str]]:
    """(presenter, voice) to render: for each presenter ``each`` voices (None: all), every voice about as often."""
    pairs = []
    for place, presenter in enumerate(names):
        others = [voice for voice in voices if voice != presenter]
        count = len(others) if each is None else min(each, len(others))
        step = len(others) / max(count, 1)
        pairs += [(presenter, others[(place + int(k * step)) % len(others)]) for k in range(count)]
    return pairs


def other_voice(
    presenter: Studied,
    voice: Studied,
    offset_s: float,
    out: Path,
    report: Report,
    phonemes: tuple[Phoneme, ...] | None = None,
    base: BaseModel | None = None,
    network: Network | None = None,
) -> Dubbed:
    """Render the voice's part over the presenter's footage and track it again; ``base`` in place of the shipped one,
    ``network`` in place of the presenter's own mouths."""
    start, end = take_span(voice)
    sound = out.with_suffix(".wav")
    take = write_take(sound, _sound(voice), start + offset_s, end + offset_s)
    times = frame_times(presenter, start, end)
    order = walk(presenter.analysis.track, len(times), presenter.fps)
    truth = truth_at(voice, start + times)
    said = None if phonemes is None else measures.shifted(phonemes, start + offset_s, end + offset_s)
    track = presenter.analysis.track
    scene = (presenter, presenter.analysis, track, order, sound, take, truth)
    return dub(*scene, out, report, said, base=base, network=network)
