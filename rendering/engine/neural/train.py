"""Teaching the network: the lower face of the presenter's own frames, masked out, redrawn from that frame's own mouth.

A kill loses what came after the last checkpoint and nothing else: on the processor an interrupted training ends in the
very weights of an unbroken one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import cos, inf, isfinite, log10, pi
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rendering.engine import scratch
from rendering.engine.contract import ENGINE_VERSION, Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.neural.batches import Batch, Batches
from rendering.engine.neural.footage import Lessons
from rendering.engine.neural.losses import mean, mouth_area, total
from rendering.engine.neural.net import MouthNet, composite, quick, reduction

Array = np.ndarray[Any, Any]

FORM = 2
"""Of the files written here; another form is not read."""
BETAS, DECAY = (0.9, 0.99), 0.01
AT_ONCE = 16
"""Held-out squares drawn together."""
REMEMBERED = 50
"""Losses that the next is compared with."""
DIVERGED = 3.0
"""Times their median that counts as having gone astray."""
SHOWN = 6
KEPT_S = 15.0
"""Seconds after which a checkpoint is kept also between two that are due: who is often interrupted gets on, too."""
TIMED = 20
"""Steps after which a training whose time is limited knows how many fit into it."""
USED, LATE = 0.9, 1.25
"""Shares of that time: what steps are planned for, validations besides; and when it ends although some are left,
because the machine has become slower."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast it learns."""

    steps: int = 3000
    batch: int = 8
    rate: float = 1.2e-3
    """Of AdamW at its highest; it falls along half a cosine to ``last_rate``."""
    last_rate: float = 2e-5
    warm_up: int = 100
    """Steps over which the rate rises."""
    clip: float = 0.5
    """Longest gradient."""
    average: float = 0.998
    """Share of the averaged weights that each step keeps."""
    validate_every: int = 250
    checkpoint_every: int = 100
    patience: int = 4
    """Validations without :attr:`gain_db` after which it has learnt what it can."""
    gain_db: float = 0.05
    max_seconds: float = inf
    """Wall clock, all sittings together. If it is short, there are as many steps as fit into it: see :func:`fitted`."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Progress:
    """Told after every step."""

    step: int
    steps: int
    loss: float
    eta_s: float
    psnr: float | None
    """Of the mouth on frames held out, dB; None before the first validation."""
    picture: Array | None
    """(h, w, 3) u8 BGR after a validation: held-out faces with their hole, drawn, and as they were filmed."""


Show = Callable[[Progress], None]


def unseen(progress: Progress) -> None:
    """Shows nobody."""


@dataclass(frozen=True, eq=False)
class Initial:
    """Weights to begin with instead of random ones."""

    identity: str
    weights: dict[str, Tensor]
    """Float32, by name."""


@dataclass(frozen=True, eq=False)
class Trained:
    net: MouthNet
    """The averaged weights that did best on the held-out frames."""
    size: int
    steps: int
    psnr: float
    """Of the mouth on those, dB."""
    history: tuple[tuple[int, float], ...]
    """(step, dB) of every validation."""
    rolled_back: int
    """Times that it went astray."""


def train(
    lessons: Lessons,
    checkpoint: Path,
    schedule: Schedule | None = None,
    *,
    initial: Initial | None = None,
    device: torch.device | None = None,
    report: Report = silent,
    show: Show = unseen,
) -> Trained:
    """Teach a network ``lessons``, on from ``checkpoint`` if that belongs to the same lessons, schedule and ``initial``
    weights. ``device``: None is the processor.

    ``report("train", step, steps)`` may raise to stop it: the checkpoint stays. Raises ``device_error``.
    """
    try:
        where = device or torch.device("cpu")
        return _Training(lessons, checkpoint, schedule or Schedule(), initial, where).run(report, show)
    except torch.AcceleratorError as error:
        raise EngineError("device_error", str(error).splitlines()[0]) from error


class _Training:
    def __init__(
        self, lessons: Lessons, checkpoint: Path, schedule: Schedule, initial: Initial | None, device: torch.device
    ) -> None:
        self.schedule, self.device, self.checkpoint = schedule, device, checkpoint
        self.size, self.batches = lessons.size, Batches(lessons, seed=schedule.seed, size=schedule.batch)
        self.identity = _identity(lessons, schedule, initial)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            self.net = MouthNet(reduction(lessons.size))
        if initial is not None:
            self.net.load_state_dict(initial.weights)
        self.net = self.net.to(device, memory_format=torch.channels_last)
        self.average = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.best = {name: value.clone() for name, value in self.average.items()}
        self.optimiser = self._optimiser()
        self.step, self.spent_s, self.slowed, self.rolled_back = 0, 0.0, 1.0, 0
        self.took: list[float] = []
        self.kept_at = time.monotonic()
        self.parts = 1
        self.recent: list[float] = []
        self.history: list[tuple[int, float]] = []
        self._resume()

    def _optimiser(self) -> torch.optim.AdamW:
        fused = self.device.type == "cuda"
        return torch.optim.AdamW(self.net.parameters(), lr=0.0, betas=BETAS, weight_decay=DECAY, fused=fused)

    def run(self, report: Report, show: Show) -> Trained:
        began, before, loss = time.monotonic(), self.spent_s, 0.0
        while self.step < self.schedule.steps and not self._done():
            report("train", self.step, self.schedule.steps)
            loss = self._timed(self._learn)
            self.step += 1
            if self.step == TIMED:
                self.schedule = fitted(self.schedule, median(self.took))
            schedule, picture = self.schedule, None
            if self.step % schedule.validate_every == 0 or self.step == schedule.steps:
                picture = self._validate()
            self.spent_s = before + time.monotonic() - began
            late = time.monotonic() - self.kept_at >= KEPT_S
            if late or self.step % schedule.checkpoint_every == 0 or self.step == schedule.steps:
                self._keep()
            left = self.spent_s / self.step * (schedule.steps - self.step)
            left = min(left, max(0.0, schedule.max_seconds - self.spent_s))
            psnr = self.history[-1][1] if self.history else None
            show(Progress(self.step, schedule.steps, loss, left, psnr, picture))
        if not self.history or self.history[-1][0] != self.step:
            picture = self._validate()
            self._keep()
            show(Progress(self.step, self.schedule.steps, loss, 0.0, self.history[-1][1], picture))
        report("train", self.schedule.steps, self.schedule.steps)
        self.net.load_state_dict(self.best)
        history = tuple(self.history)
        return Trained(
            self.net.eval(), self.size, self.step, max(psnr for _, psnr in history), history, self.rolled_back
        )

    def _done(self) -> bool:
        """Whether the time is over, or nothing is gained any more."""
        schedule, scores = self.schedule, [psnr for _, psnr in self.history]
        if self.spent_s >= LATE * schedule.max_seconds:
            return True
        late = scores[-schedule.patience :]
        return len(scores) > schedule.patience and max(late) < max(scores[: -schedule.patience]) + schedule.gain_db

    def _timed(self, learn: Callable[[], float]) -> float:
        """The same, with the time that the first steps of a sitting took."""
        began = time.monotonic()
        loss = learn()
        if self.step < TIMED:
            self.took.append(time.monotonic() - began)
        return loss

    def _learn(self) -> float:
        """One step. Returns its loss."""
        schedule = self.schedule
        batch, pairs = self.batches.at(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.slowed * rate_at(self.step, schedule)
        value = self._graded(batch, pairs)
        if not isfinite(value) or (len(self.recent) == REMEMBERED and value > DIVERGED * median(self.recent)):
            self._roll_back()
            return value
        self.recent = [*self.recent[1 - REMEMBERED :], value]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), schedule.clip)
        self.optimiser.step()
        share = 1 - min(schedule.average, (1 + self.step) / (10 + self.step))
        for name, value_now in self.net.state_dict().items():
            self.average[name].lerp_(value_now, share)
        return value

    def _graded(self, batch: Batch, pairs: bool) -> float:
        """The loss of a batch, its gradient left in the network. What the device has no memory for at once is taken
        half by half, from then on."""
        while True:
            self.optimiser.zero_grad(set_to_none=True)
            try:
                return sum(self._part(Batch(*(each[some] for each in batch)), pairs) for some in self._some(batch))
            except torch.OutOfMemoryError:
                if 4 * self.parts > len(batch.seen):
                    raise
                self.parts *= 2

    def _some(self, batch: Batch) -> list[Array]:
        """Places of each part of a batch: frames with those that follow on them."""
        half = np.arange(len(batch.seen) // 2)
        return [
            np.concatenate([half[part :: self.parts], half[part :: self.parts] + len(half)])
            for part in range(self.parts)
        ]

    def _part(self, batch: Batch, pairs: bool) -> float:
        seen, condition, truth = self._there(batch)
        loss = total(self._drawn(seen, condition), truth, seen, pairs=pairs) * (len(seen) / self.schedule.batch)
        loss.backward()
        return float(loss.detach())

    def _roll_back(self) -> None:
        """It went astray: back to the averaged weights, or the best where these went along; at half the rate."""
        if not all(bool(value.isfinite().all()) for value in self.average.values()):
            self.average = {name: value.clone() for name, value in self.best.items()}
        self.rolled_back += 1
        self.slowed /= 2
        self.recent = []
        self.net.load_state_dict(self.average)
        self.optimiser = self._optimiser()

    def _there(self, batch: Batch) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(part).to(self.device) for part in batch)

    def _drawn(self, seen: Tensor, condition: Tensor) -> Tensor:
        """The composite (n, 3, s, s), float32."""
        with quick(self.device):
            drawn = self.net(seen.contiguous(memory_format=torch.channels_last), condition)
        return composite(drawn.contiguous(), seen)

    def _validate(self) -> Array:
        """Score the averaged weights on the held-out frames. Returns a picture of some."""
        now = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.net.load_state_dict(self.average)
        places, errors, rows = self.batches.held_out, [], []
        shown = set(places[np.linspace(0, len(places) - 1, SHOWN).astype(int)].tolist())
        with torch.inference_mode():
            for start in range(0, len(places), AT_ONCE):
                some = places[start : start + AT_ONCE]
                seen, condition, truth = self._there(self.batches.plain(some))
                made = self._drawn(seen, condition)
                area = mouth_area(seen)
                errors += [
                    float(mean((made[k : k + 1] - truth[k : k + 1]) ** 2, area[k : k + 1])) for k in range(len(some))
                ]
                columns = torch.cat((seen[:, :3], made, truth), dim=2).permute(0, 2, 3, 1).cpu().numpy()
                rows += [column for place, column in zip(some, columns, strict=True) if int(place) in shown]
        self.net.load_state_dict(now)
        wrong = sum(errors) / len(errors)
        psnr = -10 * log10(max(wrong, 1e-10)) if isfinite(wrong) else 0.0
        if not self.history or psnr > max(score for _, score in self.history):
            self.best = {name: value.clone() for name, value in self.average.items()}
        self.history.append((self.step, psnr))
        shown_rows = np.nan_to_num(np.concatenate(rows, axis=1), posinf=1.0)
        return np.clip(255 * shown_rows + 0.5, 0, 255).astype(np.uint8)

    def _keep(self) -> None:
        state = {
            "form": FORM,
            "identity": self.identity,
            "step": self.step,
            "steps": self.schedule.steps,
            "spent_s": self.spent_s,
            "slowed": self.slowed,
            "rolled_back": self.rolled_back,
            "recent": self.recent,
            "history": [list(each) for each in self.history],
            "net": self.net.state_dict(),
            "average": self.average,
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
        }
        with scratch.replacing(self.checkpoint) as part:
            torch.save(state, part)
        self.kept_at = time.monotonic()

    def _resume(self) -> None:
        """Go on where the checkpoint ended, if there is one of these lessons and this schedule."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state.get("form") != FORM or state.get("identity") != self.identity:
            return
        self.step, self.spent_s = state["step"], state["spent_s"]
        self.schedule = shortened(self.schedule, state["steps"])
        self.slowed, self.rolled_back = state["slowed"], state["rolled_back"]
        self.recent = list(state["recent"])
        self.history = [(int(step), float(psnr)) for step, psnr in state["history"]]
        self.net.load_state_dict(state["net"])
        self.average, self.best = state["average"], state["best"]
        self.optimiser.load_state_dict(state["optimiser"])


def fitted(schedule: Schedule, step_s: float) -> Schedule:
    """``schedule`` with no more steps than fit into its time when each takes ``step_s``: the rate has to fall all the
    way. Two sittings make the same training, for the number is kept; two trainings may differ, as their machines do."""
    if schedule.max_seconds == inf:
        return schedule
    return shortened(schedule, max(TIMED + 1, int(USED * schedule.max_seconds / max(step_s, 1e-6))))


def shortened(schedule: Schedule, steps: int) -> Schedule:
    """``schedule`` with ``steps`` at most, a quarter of them at most to warm up; looked at at least eight times."""
    if steps >= schedule.steps:
        return schedule
    looked_at = min(schedule.validate_every, max(1, steps // 8))
    warm_up = min(schedule.warm_up, max(TIMED, steps // 4))
    return replace(schedule, steps=steps, warm_up=warm_up, validate_every=looked_at)


def rate_at(step: int, schedule: Schedule) -> float:
    """The rate of step ``step``: a straight rise, then half a cosine down."""
    if step < schedule.warm_up:
        return schedule.rate * (step + 1) / schedule.warm_up
    done = (step - schedule.warm_up) / max(1, schedule.steps - schedule.warm_up)
    return schedule.last_rate + (schedule.rate - schedule.last_rate) * (1 + cos(pi * done)) / 2


def _identity(lessons: Lessons, schedule: Schedule, initial: Initial | None) -> str:
    """What a checkpoint must have been made from to be gone on with. The time that may be spent is no part of it."""
    said = {name: value for name, value in asdict(schedule).items() if name not in ("max_seconds", "checkpoint_every")}
    began_with = initial.identity if initial else ""
    digest = hashlib.sha256(f"{ENGINE_VERSION} {FORM} {lessons.size} {sorted(said.items())} {began_with}".encode())
    for part in (lessons.frames, lessons.conditions, lessons.held_out, lessons.pictures[:: max(1, len(lessons) // 8)]):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
