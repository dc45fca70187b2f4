"""A team's own base model: the shipped one goes on learning from the team's own footage, of all presenters together.

It is kept only if it understands presenters it has never met better than the shipped one does: every presenter is left
out in turn, the rest is learnt from, and the one left out is asked.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rendering.engine import scratch
from rendering.engine.contract import BASE_MIN_PRESENTERS, BASE_MIN_SPEECH_S, ENGINE_VERSION, Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.voice.base import BaseModel, load_base
from rendering.engine.voice.base_train import load_replay
from rendering.engine.voice.features import DIMENSIONS
from rendering.engine.voice.lessons import Lesson

WEIGHTS, FIGURES = "base.npz", "base.json"
MIN_GAIN = 0.02
"""By which the held-out score (.7 r of the opening + .3 r of the width, mean over presenters) has to rise."""
MAX_FOLDS = 6
"""Presenters are left out one by one up to this many, in so many groups beyond it."""
OWN, REPLAY = 6, 2
"""Pieces of a batch: of the team's footage, and of synthesised speech so that other voices are not forgotten."""
PIECE = 100
"""Frames: 2 s."""
_RATE, _DECAY, _DROPOUT = 5e-4, 0.05, 0.25
_JITTER = 0.3
"""sd of the noise on the mel bands, per band and, at half that, per frame: few microphones were heard."""
_REPLAY_WEIGHT = 0.1
"""With 1, synthesised mouths pull the answers back to what they were."""
_STEPS, _STEPS_AT_S, _MOST_STEPS = 300, 80.0, 1500
"""300 steps for 80 s, as measured; growing with the root of the seconds."""

Library = Mapping[str, Sequence[Lesson]]
"""Lessons by presenter: those of one person must stand together, or the test would be no test."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """How well a base model follows presenters it has not learnt from: mean r over them."""

    opening: float
    width: float

    @property
    def score(self) -> float:
        return 0.7 * self.opening + 0.3 * self.width


def train_team_base(
    library: Library, out: Path, *, seed: int = 0, steps: int | None = None, report: Report = silent
) -> dict[str, Any]:
    """Learn from ``library``; write ``base.npz`` and ``base.json`` into ``out`` if that pays. Returns the figures.

    ``kept`` says whether it was written, ``identity`` as what; otherwise what an earlier training left in ``out``
    stays. Deterministic for one ``seed``. Some two seconds of CPU for each presenter of a minute in all, a minute for
    hours of footage; the stage reported is ``train``. ``steps`` of each training; None: by how much there is.
    Raises ``base_too_little`` for fewer than 3 presenters or 60 s of speech.
    """
    names = sorted(library)
    seconds = sum(lesson.speech_s for name in names for lesson in library[name])
    if len(names) < BASE_MIN_PRESENTERS or seconds < BASE_MIN_SPEECH_S:
        raise EngineError("base_too_little", f"{len(names)} presenters, {seconds:.0f} s of speech")
    shipped, steps = load_base(), steps or _steps(seconds)
    folds = [names[start :: min(len(names), MAX_FOLDS)] for start in range(min(len(names), MAX_FOLDS))]
    progress = _Progress(report, (len(folds) + 1) * steps)
    before: dict[str, Held] = {}
    after: dict[str, Held] = {}
    for asked in folds:
        rest = {name: library[name] for name in names if name not in asked}
        model = _learn(shipped, rest, steps, seed, progress)
        before |= {name: follow(shipped, library[name]) for name in asked}
        after |= {name: follow(model, library[name]) for name in asked}
    was, now = _mean(before), _mean(after)
    figures: dict[str, Any] = {
        "engine": ENGINE_VERSION,
        "seed": seed,
        "presenters": len(names),
        "clips": sum(len(library[name]) for name in names),
        "speech_s": round(seconds, 1),
        "steps": steps,
        "opening_before": round(was.opening, 3),
        "opening_after": round(now.opening, 3),
        "width_before": round(was.width, 3),
        "width_after": round(now.width, 3),
        "better_for": sum(after[name].score > before[name].score for name in names),
        "gain": round(now.score - was.score, 3),
        "least_gain": MIN_GAIN,
    }
    figures["kept"] = figures["gain"] >= MIN_GAIN and 2 * figures["better_for"] > len(names)
    if figures["kept"]:
        model = _levelled(_learn(shipped, library, steps, seed, progress), shipped, library)
        figures["identity"] = _write(model, figures, out)
    report("train", progress.total, progress.total)
    return figures


def learn_base(library: Library, *, seed: int = 0) -> BaseModel:
    """What :func:`train_team_base` would learn from ``library``, of which it is not asked whether it pays."""
    shipped = load_base()
    steps = _steps(sum(lesson.speech_s for name in sorted(library) for lesson in library[name]))
    return _levelled(_learn(shipped, library, steps, seed, _Progress(silent, steps)), shipped, library)


def _write(model: BaseModel, figures: Mapping[str, Any], out: Path) -> str:
    """Returns its identity."""
    out.mkdir(parents=True, exist_ok=True)
    with scratch.replacing(out / WEIGHTS) as part:
        model.save(part)
    with scratch.replacing(out / FIGURES) as part:
        part.write_text(json.dumps(figures, indent=2) + "\n")
    return _identity(out)


def _identity(folder: Path) -> str:
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:16]


def read_team_base(folder: Path) -> tuple[BaseModel, str] | None:
    """The base that :func:`train_team_base` left in ``folder`` and its identity (16 hex digits of its SHA-256).

    None when there is none, it is damaged, or another version of the engine made it: the shipped one serves then.
    """
    try:
        if json.loads((folder / FIGURES).read_text())["engine"] != ENGINE_VERSION:
            return None
        return load_base(folder / WEIGHTS), _identity(folder)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def follow(model: BaseModel, lessons: Sequence[Lesson]) -> Held:
    """How well ``model`` follows one presenter: r in each clip, weighed by its known frames."""
    weight = np.array([lesson.known.sum() for lesson in lessons], float)
    scores = np.array([_agreement(model.forward(lesson.heard), lesson) for lesson in lessons])
    opening, width = weight @ scores / weight.sum()
    return Held(opening=float(opening), width=float(width))


def _agreement(said: np.ndarray, lesson: Lesson) -> np.ndarray:
    """Pearson's r of ``said`` (t, 2) with the lesson's opening and width, (2,)."""
    a, b = said[lesson.known].astype(np.float64), lesson.shape[lesson.known].astype(np.float64)
    a, b = a - a.mean(0), b - b.mean(0)
    r: np.ndarray = (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0) + 1e-12)
    return r


def _mean(held: Mapping[str, Held]) -> Held:
    return Held(
        opening=float(np.mean([one.opening for one in held.values()])),
        width=float(np.mean([one.width for one in held.values()])),
    )


def _steps(seconds: float) -> int:
    return int(min(_MOST_STEPS, _STEPS * max(1.0, seconds / _STEPS_AT_S) ** 0.5))


class _Progress:
    """Steps of all trainings as one line."""

    def __init__(self, report: Report, total: int) -> None:
        self.report, self.total, self.done = report, total, 0

    def step(self) -> None:
        if self.done % 10 == 0:
            self.report("train", self.done, self.total)
        self.done += 1


def _levelled(model: BaseModel, shipped: BaseModel, library: Library) -> BaseModel:
    """``model`` with answers of the shipped one's mean and sd on the same speech: learning from few makes them timid.

    What weighs one model's answers against another's goes by their sd.
    """

    def spread(of: BaseModel) -> tuple[np.ndarray, np.ndarray]:
        said = np.concatenate([of.forward(one.heard)[one.known] for name in sorted(library) for one in library[name]])
        return said.mean(0), said.std(0)

    (mean, sd), (wanted_mean, wanted_sd) = spread(model), spread(shipped)
    scale = wanted_sd / np.maximum(sd, 1e-4)
    weights = dict(model.weights)
    weights["out.w"] = weights["out.w"] * scale[:, None]
    weights["out.b"] = (weights["out.b"] - mean) * scale + wanted_mean
    weights["rule"] = weights["rule"] * scale
    return BaseModel(weights)


def _learn(shipped: BaseModel, library: Library, steps: int, seed: int, progress: _Progress) -> BaseModel:
    from rendering.engine.voice.base_net import repeatable

    with repeatable(seed):
        return _fine_tune(shipped, library, steps, np.random.default_rng(seed), progress)


def _fine_tune(
    shipped: BaseModel, library: Library, steps: int, random: np.random.Generator, progress: _Progress
) -> BaseModel:
    import torch

    from rendering.engine.voice.adamw import AdamW
    from rendering.engine.voice.base_net import BaseNet

    pieces = _Pieces(library, random)
    net = BaseNet.from_model(shipped, dropout=_DROPOUT).train()
    optimiser = AdamW(net.parameters(), rate=_RATE, decay=_DECAY, steps=steps)
    for _ in range(steps):
        heard, target, weight = (torch.from_numpy(part) for part in pieces.draw())
        bands = heard[:, :DIMENSIONS]
        noise = torch.randn(*bands.shape[:2], 1) + 0.5 * torch.randn_like(bands)
        heard = torch.cat([bands + _JITTER * noise, heard[:, DIMENSIONS:]], 1)
        wrong = weight[:, None] * (net(heard) - target) ** 2
        parts = [wrong[part].sum() / (2 * weight[part].sum() + 1) for part in (slice(OWN), slice(OWN, None))]
        loss = parts[0] + _REPLAY_WEIGHT * parts[1]
        loss.backward()
        optimiser.step()
        progress.step()
    return net.eval().to_model()


class _Pieces:
    """Draws batches: presenters by the root of how much there is of them, so that nobody drowns the others."""

    def __init__(self, library: Library, random: np.random.Generator) -> None:
        self.random = random
        self.lessons = [_padded(lesson) for name in sorted(library) for lesson in library[name]]
        owner = [name for name in sorted(library) for _ in library[name]]
        seconds = np.array([weight.sum() for _, _, weight in self.lessons], float)
        whole = {name: seconds[[one == name for one in owner]].sum() for name in library}
        share = np.array([length / whole[name] ** 0.5 for length, name in zip(seconds, owner, strict=True)])
        self.share = share / share.sum()
        self.replay = load_replay()

    def draw(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heard (8, 83, 100), target (8, 2, 100), weight (8, 100), float32; the team's own first."""
        cuts = []
        for index in self.random.choice(len(self.lessons), OWN, p=self.share):
            heard, target, weight = self.lessons[index]
            start = int(self.random.integers(0, len(weight) - PIECE + 1))
            cuts.append((heard[:, start : start + PIECE], target[:, start : start + PIECE], weight[start:][:PIECE]))
        heard, target = self.replay
        for row in self.random.integers(0, len(heard), REPLAY):
            start = int(self.random.integers(0, heard.shape[2] - PIECE + 1))
            part = slice(start, start + PIECE)
            cuts.append((heard[row][:, part], target[row][:, part], np.ones(PIECE, np.float32)))
        heards, targets, weights = (np.stack(part) for part in zip(*cuts, strict=True))
        return heards, targets, weights


def _padded(lesson: Lesson) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heard (83, t), target (2, t) and weight (t,), float32, of at least one piece's length."""
    short = max(0, PIECE - len(lesson.heard))
    heard, target = (np.pad(part, ((0, short), (0, 0))).T.copy() for part in (lesson.heard, lesson.target))
    return heard, target, np.pad(lesson.known, (0, short)).astype(np.float32)
