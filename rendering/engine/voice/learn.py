"""Stages 4 and 5: how far sound and picture are apart, and how this presenter's mouth follows a voice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rendering.engine.contract import Report, silent
from rendering.engine.voice import ridge
from rendering.engine.voice.base import FRAME_S, BaseModel, Weights, halve, load_base, read_curve
from rendering.engine.voice.features import at_times, context, features
from rendering.engine.voice.joint import fine_tune
from rendering.engine.voice.pauses import activity

LAGS_MS = np.arange(-240, 241, 20)
MIN_SPEECH_S = 3.0
"""Less aligned speech than this teaches nothing: the base model is used alone."""
NO_EVIDENCE, FULL_EVIDENCE = 0.2, 0.45
"""cv_open + 1.5 offset_score: wrong sound reaches .0-.36, the right one .43-1.3. In between the trust grows."""


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
    """(2,): opening and width while speaking, IO: mean, sd, 1st and 99th percentile."""
    lift: np.ndarray
    """(3, 8): a mouth from (opening, width, 1)."""
    read: np.ndarray
    """(9, 2): opening and width from (mouth, 1)."""
    own_sd: np.ndarray
    """(3, 2): sd of what ridge, base and joint say of the library's own speech."""
    ridge: ridge.Ridge | None = None
    joint: Weights | None = None

    @property
    def personal(self) -> bool:
        """Whether the presenter's own model has the larger say."""
        return self.trust >= 0.5

    def save(self, path: Path) -> None:
        """Write as one .npz."""
        values: dict[str, Any] = {
            name: value for name, value in self.__dict__.items() if name not in {"ridge", "joint"} and value is not None
        }
        if self.ridge is not None:
            values |= {f"ridge.{name}": value.astype(np.float32) for name, value in asdict(self.ridge).items()}
            values["ridge.centres"] = values["ridge.centres"].astype(np.float16)
        if self.joint is not None:
            values |= {f"joint.{name}": value for name, value in self.joint.items()}
        np.savez(path, **values)

    @classmethod
    def load(cls, path: Path) -> VoiceModel:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files}
        plain: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in values:
                plain[field.name] = values[field.name] if values[field.name].ndim else values[field.name].item()
        own = {name[6:]: value.astype(np.float32) for name, value in values.items() if name.startswith("ridge.")}
        plain["ridge"] = ridge.Ridge(**own) if own else None
        plain["joint"] = {name[6:]: value for name, value in values.items() if name.startswith("joint.")} or None
        return cls(**plain)


@dataclass(frozen=True)
class Offset:
    ms: float
    score: float
    trusted: bool


def find_offset(base: BaseModel, heard: np.ndarray, shape: np.ndarray, ok: np.ndarray, fps: float) -> Offset:
    """The lag at which the base model agrees best with the measured mouth.

    ``shape`` (N, 2) opening and width, ``ok`` (N,). Positive: sound behind picture. Trusted when the agreement stands
    well above what shifts of more than half a second, which cannot be true, reach by chance.
    """
    times = np.arange(len(shape)) / fps
    rough = np.concatenate([np.arange(-3000, -599, 60), np.arange(600, 3001, 60)])

    curve = base.curve(heard)

    def agreement(lag_ms: float) -> float:
        said = read_curve(curve, times + lag_ms / 1000)
        scores = [_r(said[ok, column], shape[ok, column]) for column in range(2)]
        return float(0.7 * scores[0] + 0.3 * scores[1])

    scores = np.array([agreement(float(lag)) for lag in LAGS_MS])
    chance = np.array([agreement(float(lag)) for lag in rough])
    best = int(scores.argmax())
    score = float(scores[best])
    trusted = score > max(0.2, chance.mean() + 3.0 * chance.std()) and ok.sum() / fps >= 6
    return Offset(float(LAGS_MS[best]), score, bool(trusted))


def _r(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum() + 1e-12))


def learn(
    opening_width: np.ndarray,
    mouth: np.ndarray,
    ok: np.ndarray,
    fps: float,
    audio16k: np.ndarray | None,
    report: Report = silent,
    *,
    lift: np.ndarray | None = None,
    base: BaseModel | None = None,
    seed: int = 0,
) -> VoiceModel:
    """Learn the presenter from tracked footage.

    ``opening_width`` (N, 2) IO, ``mouth`` (N, 8) lip space, ``ok`` (N,) bool (frames to learn from), ``audio16k`` the
    footage's own sound (n,) float32 or None. ``lift`` (3, 8): a mouth from (opening, width, 1), for a lip space that
    knows it beforehand (hand-made modes); otherwise it is regressed from the frames. ``base``: the model of any voice
    to start from, by default the committed one; plan with the same.
    Deterministic for one ``seed``. Some 3 s of CPU for 20 s of footage.
    """
    ok = ok & np.isfinite(opening_width).all(1) & np.isfinite(mouth).all(1)
    if ok.sum() < 2:
        raise ValueError("no followed frame to learn from")
    shape, lips = opening_width.astype(np.float64), mouth.astype(np.float64)
    times = np.arange(len(ok)) / fps
    report("learn", 0, 4)
    base = base or load_base()
    heard = features(audio16k) if audio16k is not None and len(audio16k) > 1600 else None
    speaking = np.zeros(len(ok), bool)
    offset = Offset(0.0, 0.0, False)
    if heard is not None and audio16k is not None:
        offset = find_offset(base, heard, shape, ok, fps)
        report("learn", 1, 4)
        times = times + (offset.ms / 1000 if offset.trusted else 0.0)
        speaking = at_times(activity(audio16k)[:, None], times)[:, 0] > 0.5
    told = _library(shape, lips, ok, speaking, lift)
    told |= {
        "offset_ms": offset.ms if offset.trusted else 0.0,
        "offset_score": offset.score,
        "speech_s": float((ok & speaking).sum() / fps),
    }
    if heard is None or told["speech_s"] < MIN_SPEECH_S:
        own_sd = np.ones((3, 2), np.float32)
        return VoiceModel(cv_open=0.0, cv_width=0.0, trust=0.0, own_sd=own_sd, **told)
    return _personal(base, heard, times, shape, lips, ok, speaking, told, seed, report)


def _library(
    shape: np.ndarray, lips: np.ndarray, ok: np.ndarray, speaking: np.ndarray, lift: np.ndarray | None
) -> dict[str, Any]:
    """Everything of a model that needs no sound: ranges, the resting mouth, and the way between shape and lips."""
    seen = ok & speaking if (ok & speaking).sum() > 25 else ok
    quiet = ok & ~speaking
    calm = np.percentile(shape[ok, 0], 25)
    pool = quiet if speaking.any() and quiet.sum() > 15 else ok
    resting = pool & (shape[:, 0] <= max(calm, np.percentile(shape[pool, 0], 30)))
    ones = np.ones((int(ok.sum()), 1))
    if lift is None:
        little = np.diag([1e-5, 1e-5, 0.0]) * ok.sum()  # keeps a mouth that hardly moves from dividing by nothing
        design = np.hstack([shape[ok], ones])
        lift = np.linalg.solve(design.T @ design + little, design.T @ lips[ok])
    read = np.linalg.lstsq(np.hstack([lips[ok], ones]), shape[ok], rcond=None)[0]
    low, high = np.percentile(shape[ok, 0], [5, 95])
    single = np.float32
    return {
        "opening_range": float(high - low),
        "mouth_mean": lips[seen].mean(0).astype(single),
        "mouth_low": np.percentile(lips[ok], 1, axis=0).astype(single),
        "mouth_high": np.percentile(lips[ok], 99, axis=0).astype(single),
        "rest": np.median(lips[resting], axis=0).astype(single),
        "shape_mean": shape[seen].mean(0).astype(single),
        "shape_sd": shape[seen].std(0).astype(single),
        "shape_low": np.percentile(shape[ok], 1, axis=0).astype(single),
        "shape_high": np.percentile(shape[ok], 99, axis=0).astype(single),
        "lift": lift.astype(single),
        "read": read.astype(single),
    }


def _personal(
    base: BaseModel,
    heard: np.ndarray,
    times: np.ndarray,
    shape: np.ndarray,
    lips: np.ndarray,
    ok: np.ndarray,
    speaking: np.ndarray,
    told: dict[str, Any],
    seed: int,
    report: Report,
) -> VoiceModel:
    """The presenter's own ridge and joint net, and how far they can be trusted."""
    chosen = np.flatnonzero(ok)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), ridge.MAX_FRAMES)).astype(int)]
    around = context(heard, times[chosen])
    held_out = ridge.cross_predict(around, shape[chosen])
    scores = ridge.block_scores(held_out, shape[chosen])
    report("learn", 2, 4)
    evidence = scores[0] + 1.5 * told["offset_score"]
    own = ridge.fit(around, lips[chosen].astype(np.float32))
    at_50 = np.arange(len(halve(heard))) * FRAME_S + FRAME_S / 4
    clock = at_50 - (times[0] - 0.0)
    fps = 1 / (times[1] - times[0])
    z = (shape - told["shape_mean"]) / np.maximum(told["shape_sd"], 1e-4)
    target = at_times(np.where(ok[:, None], z, 0.0), clock, fps)
    weight = (at_times(ok[:, None].astype(np.float32), clock, fps)[:, 0] > 0.99) & (clock >= 0)
    weight &= clock <= (len(ok) - 1) / fps
    joint = fine_tune(base, halve(heard), target, weight, seed=seed)
    report("learn", 3, 4)
    spoken = ok & speaking
    opinions = [held_out[speaking[chosen]], base.predict(heard, times[spoken]), joint.predict(heard, times[spoken])]
    own_sd = np.stack([opinion.std(0) if len(opinion) > 1 else np.ones(2) for opinion in opinions])
    report("learn", 4, 4)
    return VoiceModel(
        cv_open=float(scores[0]),
        cv_width=float(scores[1]),
        trust=float(np.clip((evidence - NO_EVIDENCE) / (FULL_EVIDENCE - NO_EVIDENCE), 0, 1)),
        own_sd=np.maximum(own_sd, 1e-4).astype(np.float32),
        ridge=own,
        joint=joint.weights,
        **told,
    )
