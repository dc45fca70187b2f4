"""Whether a trained network may draw for a presenter. If not, the ``exemplar`` back end goes on doing so.

Figures come from :mod:`rendering.engine.neural.measure`: how true a mouth is on frames that were never learnt from, and
how well it follows a plan on frames that were, as in a render. What a clip allows is told by the ``exemplar`` back end
on the same frames: a network must be better than what it takes the place of in what it is for, and as good in the rest
(docs/decisions/0019). Nothing here loads torch: what was decided is read wherever a render is planned.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from rendering.engine import scratch
from rendering.engine.contract import ENGINE_VERSION, MOUTHS_REPORT


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured. NaN where it could not be."""

    usable_s: float
    """Footage to learn from, seconds."""
    psnr: float
    ssim: float
    """Of the mouth, given the frame's own mouth as the plan: dB, and 0..1."""
    exemplar_psnr: float
    exemplar_ssim: float
    """The same of the ``exemplar`` back end: what a clip's own grain and contrast allow."""
    own_opening: float
    own_width: float
    exemplar_own_opening: float
    exemplar_own_width: float
    """r of opening and width, drawn from the frame's own mouth and tracked again, with the frame's own tracked so."""
    planned: float
    """r of the opening, drawn from another moment's mouth on taught frames and tracked again, with that plan's."""
    planned_lag: int
    """Frames by which it agrees best; positive is late."""
    exemplar_planned: float
    """The same r of the ``exemplar`` back end."""
    amplitude: float
    exemplar_amplitude: float
    """Standard deviation of that opening over the plan's."""
    leak: float
    leak_r: float
    """With the plan standing still on taught frames: standard deviation of the opening over the frames' own, and its r
    with theirs; both less what the head's turn explains."""
    exemplar_leak: float
    exemplar_leak_r: float
    flicker: float
    exemplar_flicker: float
    """Of the skin, over the source's."""
    middle: float
    finest: float
    """Power of the mouth's detail over the truth's, .12 to .2 and .46 to .5 cycles a pixel: detail, and a grid."""
    seam: float
    exemplar_seam: float
    """Mean change where the mask lets 5 to 30 % through, grey levels."""


@dataclass(frozen=True)
class Criterion:
    name: str
    """Of the figure that is judged."""
    bound: str
    """In words for the log."""
    met: Callable[[Figures], bool]


NOISE = 0.02
"""By which an r of a few seconds, tracked again, may differ without anything being worse."""
CRITERIA = (
    Criterion("usable_s", ">= 15", lambda f: f.usable_s >= 15),
    Criterion(
        "psnr",
        ">= exemplar_psnr + .8, or 27 where exemplar is below",
        lambda f: f.psnr >= max(f.exemplar_psnr, min(27, f.exemplar_psnr + 0.8)),
    ),
    Criterion("ssim", ">= exemplar_ssim", lambda f: f.ssim >= f.exemplar_ssim),
    Criterion(
        "own_opening",
        ">= exemplar_own_opening - .02, no more than .88",
        lambda f: f.own_opening >= min(0.88, f.exemplar_own_opening - NOISE),
    ),
    Criterion(
        "own_width",
        ">= exemplar_own_width - .02, no more than .80",
        lambda f: f.own_width >= min(0.80, f.exemplar_own_width - NOISE),
    ),
    Criterion(
        "planned",
        ">= exemplar_planned - .02, no more than .93",
        lambda f: f.planned >= min(0.93, f.exemplar_planned - NOISE),
    ),
    Criterion("planned_lag", "0", lambda f: f.planned_lag == 0),
    Criterion(
        "amplitude",
        ".85 to 1.25, or exemplar_amplitude where that is outside",
        lambda f: min(0.85, f.exemplar_amplitude) <= f.amplitude <= max(1.25, f.exemplar_amplitude),
    ),
    Criterion("leak", "<= exemplar_leak, no less than .35", lambda f: f.leak <= max(0.35, f.exemplar_leak)),
    Criterion(
        "leak_r",
        "leak * |leak_r| <= that of exemplar, no less than .15",
        lambda f: f.leak * abs(f.leak_r) <= max(0.15, f.exemplar_leak * abs(f.exemplar_leak_r)),
    ),
    Criterion("flicker", "<= exemplar_flicker, no less than 1.1", lambda f: f.flicker <= max(1.1, f.exemplar_flicker)),
    Criterion("middle", ">= .45", lambda f: f.middle >= 0.45),
    Criterion("finest", "<= 1.2", lambda f: f.finest <= 1.2),
    Criterion("seam", "<= 1.05 exemplar_seam", lambda f: f.seam <= 1.05 * f.exemplar_seam),
)
"""A figure that is no number meets none."""


@dataclass(frozen=True)
class Failed:
    """A criterion that was not met."""

    name: str
    figure: float
    bound: str


@dataclass(frozen=True)
class Verdict:
    figures: Figures
    failed: tuple[Failed, ...]

    @property
    def passed(self) -> bool:
        return not self.failed


def judge(figures: Figures) -> Verdict:
    """Which criteria ``figures`` miss, in the order of :data:`CRITERIA`."""
    values = asdict(figures)
    missed = (each for each in CRITERIA if not each.met(figures))
    return Verdict(figures, tuple(Failed(each.name, values[each.name], each.bound) for each in missed))


def write_report(folder: Path, verdict: Verdict, size: int, steps: int, **also: Any) -> None:
    """Leave ``neural.json`` in ``folder``; ``also``: what else it is to say, as JSON knows it."""
    figures = {name: value if isfinite(value) else None for name, value in asdict(verdict.figures).items()}
    said = {"engine": ENGINE_VERSION, "size": size, "steps": steps, "figures": figures, **also}
    with scratch.replacing(folder / MOUTHS_REPORT) as part:
        part.write_text(json.dumps(said, indent=1))


def read_report(folder: Path) -> Verdict | None:
    """What was decided of the model in ``folder``, judged by the criteria of today; None where nothing was that can be
    read, or by another version of the engine."""
    try:
        said = json.loads((folder / MOUTHS_REPORT).read_text())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("figures"), dict):
        return None
    if said.get("engine") != ENGINE_VERSION or said["figures"].keys() != Figures.__dataclass_fields__.keys():
        return None
    figures: dict[str, Any] = {
        name: float("nan") if value is None else value for name, value in said["figures"].items()
    }
    return judge(Figures(**figures))
