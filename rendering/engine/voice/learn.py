"""Stages 4 and 5: how far sound and picture are apart, and how this presenter's mouth follows a voice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from rendering.engine.contract import Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.voice import ridge
from rendering.engine.voice.base import BaseModel, hear, load_base, read_curve
from rendering.engine.voice.features import at_times
from rendering.engine.voice.pauses import activity

LAGS_MS = np.arange(-240, 241, 20)
_USUAL_LAG_MS = 80.0
"""sd of what uploads are usually off by: without evidence, sound and picture are taken to be together."""
_INDEPENDENT_HZ = 12.0
"""Moments of a mouth that say something new, per second."""
_QUICK_S = 0.4
"""Slower movement says little about the lag."""
_DRIFT_S = 0.8
"""Slower movement of the mouth (a smile that comes and goes, a laugh, the head's turn) is not of the words."""
_SLOW_S = 2.0
"""Slower movement does not count as the presenter's amplitude either: one laugh would make every word a shout."""
_PAUSES_S = 2.0
"""Of silence in the footage, from which its pauses show how the mouth rests."""
MIN_SPEECH_S = 3.0
"""Less aligned speech than this teaches nothing: the base model is used alone."""
NO_EVIDENCE, EVIDENCE = 0.1, 1.4
"""Trust grows from none at .1 to full at .1 + 1.4 / sqrt(seconds of speech): chance shrinks with length."""


@dataclass(frozen=True, eq=False)
class VoiceModel:
    """How one presenter's mouth follows a voice. Lengths of ``mouth`` are the lip space's own units."""

    offset_ms: float
    """Sound behind picture; removed while learning, 0 when it could not be told."""
    offset_score: float
    """How well the base model agrees with the mouth at that offset, r."""
    cv_open: float
    cv_width: float
    """Held-out r of the presenter's own model, 5 blocks; 0 when there was nothing to learn from."""
    speech_s: float
    """Seconds of speech under followed frames."""
    opening_range: float
    """95th minus 5th percentile of the opening, IO."""
    trust: float
    """0..1: the weight of the presenter's own model beside the base; 0 when the sound is not that of the mouth."""
    mouth_mean: np.ndarray
    mouth_low: np.ndarray
    mouth_high: np.ndarray
    """(8,): mean, 1st and 99th percentile of the library's mouths."""
    rest: np.ndarray
    """(8,): the mouth when nothing is said."""
    shape_mean: np.ndarray
    shape_sd: np.ndarray
    shape_low: np.ndarray
    shape_high: np.ndarray
    """(2,): opening and width while speaking, IO: mean, sd less slow drift, 1st and 99th percentile."""
    lift: np.ndarray
    """(3, 8): a mouth from (opening, width, 1)."""
    read: np.ndarray
    """(9, 2): opening and width from (mouth, 1)."""
    usual: np.ndarray
    """(3, 2, 2): what the presenter's ridge (held out), the base and both together say of the library's own speech:
    mean and sd of opening and width."""
    ridge: ridge.Ridge | None = None

    @property
    def personal(self) -> bool:
        """Whether the presenter's own model has the larger say."""
        return self.trust >= 0.5

    def save(self, path: Path) -> None:
        """Write as one .npz."""
        values: dict[str, Any] = {name: value for name, value in self.__dict__.items() if name != "ridge"}
        if self.ridge is not None:
            values |= {f"ridge.{name}": value for name, value in asdict(self.ridge).items()}
        np.savez(path, **values)

    @classmethod
    def load(cls, path: Path) -> VoiceModel:
        """Read what :meth:`save` wrote. Raises ``stale_analysis``."""
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files}
        plain: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in values:
                plain[field.name] = values[field.name] if values[field.name].ndim else values[field.name].item()
        own = {name[6:]: value for name, value in values.items() if name.startswith("ridge.")}
        try:
            return cls(**plain, ridge=ridge.Ridge(**own) if own else None)
        except TypeError as error:  # what an earlier version wrote
            raise EngineError("stale_analysis", f"{path}: {error}") from error


@dataclass(frozen=True)
class Offset:
    ms: float
    score: float
    trusted: bool


def find_offset(base: BaseModel, heard: np.ndarray, shape: np.ndarray, ok: np.ndarray, fps: float) -> Offset:
    """The lag that the base model's agreement with the measured mouth speaks for, and what uploads usually have.

    ``shape`` (N, 2) opening and width, ``ok`` (N,). Positive: sound behind picture. Trusted when the agreement stands
    above what shifts of more than half a second, which cannot be true, reach by chance.
    """
    times = np.arange(len(shape)) / fps
    rough = np.concatenate([np.arange(-3000, -599, 60), np.arange(600, 3001, 60)])

    curve = base.curve(heard)
    seen = without_drift(shape, ok, fps, _QUICK_S)[ok]

    def agreement(lag_ms: float) -> float:
        said = without_drift(read_curve(curve, times + lag_ms / 1000), ok, fps, _QUICK_S)[ok]
        scores = [_r(said[:, column], seen[:, column]) for column in range(2)]
        return float(0.7 * scores[0] + 0.3 * scores[1])

    scores = np.array([agreement(float(lag)) for lag in LAGS_MS])
    chance = np.array([agreement(float(lag)) for lag in rough])
    # Log-likelihood of a correlation r over n independent frames: -n/2 log(1 - r^2).
    independent = _INDEPENDENT_HZ * ok.sum() / fps
    likely = -0.5 * independent * np.log1p(-(np.clip(scores, 0, 0.99) ** 2)) - 0.5 * (LAGS_MS / _USUAL_LAG_MS) ** 2
    weight = np.exp(likely - likely.max())
    score = float(scores[likely.argmax()])
    trusted = score > max(0.15, chance.mean() + 2.0 * chance.std())
    return Offset(float(round((weight * LAGS_MS).sum() / weight.sum())), score, bool(trusted))


def _r(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum() + 1e-12))


def without_drift(values: np.ndarray, ok: np.ndarray, fps: float, over_s: float = _DRIFT_S) -> np.ndarray:
    """``values`` (N, k) less what changes over seconds; 0 where not ``ok`` (N,)."""
    known = ok.astype(float)[:, None]
    values = np.where(ok[:, None], values, 0.0)
    slow = gaussian_filter1d(values, over_s * fps, axis=0, mode="constant")
    slow /= np.maximum(gaussian_filter1d(known, over_s * fps, axis=0, mode="constant"), 1e-6)
    result: np.ndarray = (values - slow) * known
    return result


def learn(
    opening_width: np.ndarray,
    mouth: np.ndarray,
    ok: np.ndarray,
    fps: float,
    audio16k: np.ndarray | None,
    report: Report = silent,
) -> VoiceModel:
    """Learn the presenter from tracked footage.

    ``opening_width`` (N, 2) IO, ``mouth`` (N, 8) lip space, ``ok`` (N,) bool (frames to learn from), ``audio16k`` the
    footage's own sound (n,) float32 or None.
    Deterministic; half a second of CPU for a minute of footage once its sounds are recognised.
    """
    ok = ok & np.isfinite(opening_width).all(1) & np.isfinite(mouth).all(1)
    if ok.sum() < 2:
        raise ValueError("no followed frame to learn from")
    shape, lips = opening_width.astype(np.float64), mouth.astype(np.float64)
    times = np.arange(len(ok)) / fps
    report("learn", 0, 2)
    base = load_base()
    heard = hear(audio16k) if audio16k is not None and len(audio16k) > 1600 else None
    speaking = np.zeros(len(ok), bool)
    offset = Offset(0.0, 0.0, False)
    if heard is not None and audio16k is not None:
        offset = find_offset(base, heard, shape, ok, fps)
        report("learn", 1, 2)
        times = times + (offset.ms / 1000 if offset.trusted else 0.0)
        speaking = at_times(activity(audio16k)[:, None], times)[:, 0] > 0.5
    told = _library(shape, lips, ok, speaking, fps)
    told |= {
        "offset_ms": offset.ms if offset.trusted else 0.0,
        "offset_score": offset.score,
        "speech_s": float((ok & speaking).sum() / fps),
    }
    if audio16k is None or heard is None or told["speech_s"] < MIN_SPEECH_S:
        usual = np.tile(np.array([[0.0], [1.0]], np.float32), (3, 1, 2))
        return VoiceModel(cv_open=0.0, cv_width=0.0, trust=0.0, usual=usual, **told)
    spoken = _Spoken(shape, lips, ok & speaking, times, fps)
    return _personal(
        base.predict(heard, times), ridge.listen(audio16k), spoken, told, offset.score * offset.trusted, report
    )


@dataclass(frozen=True, eq=False)
class _Spoken:
    """What was seen while somebody spoke: (N, 2), (N, 8), (N,) bool, (N,) s on the sound's clock."""

    shape: np.ndarray
    lips: np.ndarray
    known: np.ndarray
    times: np.ndarray
    fps: float


def _resting(opening: np.ndarray, ok: np.ndarray, speaking: np.ndarray, fps: float) -> np.ndarray:
    """(n,) bool: frames whose mouth is at rest. Who hardly pauses only breathes there: then the most closed ones."""
    quiet = ok & ~speaking
    if not speaking.any() or quiet.sum() < _PAUSES_S * fps:
        return ok & (opening <= np.percentile(opening[ok], 10))
    return quiet & (opening <= max(np.percentile(opening[ok], 25), np.percentile(opening[quiet], 30)))


def _library(shape: np.ndarray, lips: np.ndarray, ok: np.ndarray, speaking: np.ndarray, fps: float) -> dict[str, Any]:
    """Everything of a model that needs no sound: ranges, the resting mouth, and the way between shape and lips."""
    seen = ok & speaking if (ok & speaking).sum() > 25 else ok
    resting = _resting(shape[:, 0], ok, speaking, fps)
    ones = np.ones((int(ok.sum()), 1))
    little = np.diag([1e-5, 1e-5, 0.0]) * ok.sum()  # keeps a mouth that hardly moves from dividing by nothing
    design = np.hstack([shape[ok], ones])
    lift = np.linalg.solve(design.T @ design + little, design.T @ lips[ok])
    read = np.linalg.lstsq(np.hstack([lips[ok], ones]), shape[ok], rcond=None)[0]
    low, high = np.percentile(shape[ok, 0], [5, 95])
    lively = without_drift(shape, seen, fps, _SLOW_S)[seen]
    single = np.float32
    return {
        "opening_range": float(high - low),
        "mouth_mean": lips[seen].mean(0).astype(single),
        "mouth_low": np.percentile(lips[ok], 1, axis=0).astype(single),
        "mouth_high": np.percentile(lips[ok], 99, axis=0).astype(single),
        "rest": np.median(lips[resting], axis=0).astype(single),
        "shape_mean": shape[seen].mean(0).astype(single),
        "shape_sd": lively.std(0).astype(single),
        "shape_low": np.percentile(shape[ok], 1, axis=0).astype(single),
        "shape_high": np.percentile(shape[ok], 99, axis=0).astype(single),
        "lift": lift.astype(single),
        "read": read.astype(single),
    }


def _personal(
    general: np.ndarray,
    sounds: np.ndarray,
    spoken: _Spoken,
    told: dict[str, Any],
    agreement: float,
    report: Report,
) -> VoiceModel:
    """The presenter's own ridge, and how far it can be trusted. ``general`` (N, 2): what the base model says."""
    known, times = spoken.known, spoken.times
    target = without_drift(np.hstack([spoken.shape, spoken.lips]), known, spoken.fps)
    chosen = np.flatnonzero(known)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), ridge.MAX_FRAMES)).astype(int)]
    own, held_out = ridge.learn(sounds, times[chosen], target[chosen])
    scores = ridge.block_scores(held_out[:, :2], target[chosen, :2])
    trust = _trust(scores, agreement, told["speech_s"])
    usual = [_usual(held_out[:, :2]), _usual(general[chosen])]
    opinions = [
        (said - stats[0]) / stats[1] for said, stats in zip((held_out[:, :2], general[chosen]), usual, strict=True)
    ]
    usual.append(_usual(fuse(opinions[0], opinions[1], trust)))
    report("learn", 2, 2)
    return VoiceModel(
        cv_open=float(scores[0]),
        cv_width=float(scores[1]),
        trust=trust,
        usual=np.array(usual, np.float32),
        ridge=own,
        **told,
    )


def fuse(own: np.ndarray, general: np.ndarray, trust: float) -> np.ndarray:
    """One opinion of two, each (n, 2) at sd 1: the presenter's ridge and the base, halves at full trust."""
    result: np.ndarray = (trust * own + general) / (trust + 1)
    return result


def _usual(said: np.ndarray) -> np.ndarray:
    """Mean and sd (2, 2) of opening and width (n, 2)."""
    return np.stack([said.mean(0), np.maximum(said.std(0), 1e-4)])


def _trust(scores: np.ndarray, agreement: float, speech_s: float) -> float:
    """0..1: how sure it is that this sound is of this mouth, from the held-out ``scores`` (2,) of the presenter's own
    model and the base model's ``agreement`` with the mouth, 0 where it does not stand out.

    Wrong sound (every clip under every other's) has evidence of .0 +- .8 / sqrt(s), right sound .2-1.3.
    """
    evidence = scores[0] + 0.5 * scores[1] + 1.5 * agreement
    return float(np.clip((evidence - NO_EVIDENCE) * np.sqrt(speech_s) / EVIDENCE, 0, 1))
