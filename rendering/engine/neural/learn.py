"""A footage's mouth model: collect, train, measure, and leave it in a folder of its own.

Unlike the analysis it is made from, it is made when somebody wants it, and may say that it is not good enough.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from math import inf, isfinite
from pathlib import Path

import cv2
import torch

from rendering.engine import device, scratch
from rendering.engine.analysis import read_analysis
from rendering.engine.contract import (
    ENGINE_VERSION,
    MOUTHS_CHECKPOINT,
    MOUTHS_NETWORK,
    MOUTHS_PICTURE,
    MOUTHS_PROGRESS,
    MOUTHS_REPORT,
    LearntMouths,
    MouthsRequest,
    Report,
    silent,
)
from rendering.engine.errors import EngineError
from rendering.engine.media.probe import probe_footage
from rendering.engine.neural import gate, kept, model
from rendering.engine.neural.crops import SIZES, Crops, size_for
from rendering.engine.neural.footage import blocks, collect
from rendering.engine.neural.measure import measure
from rendering.engine.neural.net import reduction
from rendering.engine.neural.train import Initial, Progress, Schedule, Trained, train

LEAST_S = 15.0
"""Of usable footage, as the gate asks for: with less nothing is begun that would be refused after minutes."""
SHOWN_S = 0.5
"""How far it is, is written at most this often."""
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 88)


def learn_mouths(request: MouthsRequest, *, schedule: Schedule | None = None, report: Report = silent) -> LearntMouths:
    """Train a network for a footage and judge it. Leaves both in ``request.out``, good or not.

    What stops it (``report`` raises, the process is killed) leaves a checkpoint, and the next call goes on from there.
    Raises ``footage_tier``, ``mouths_too_little``, ``stale_analysis``, ``device_error``, and what reading footage
    raises.
    """
    analysis, where, out = read_analysis(request.analysis), device.chosen(), request.out
    if analysis.prepared.tier == "C":
        raise EngineError("footage_tier")
    schedule = replace(schedule or Schedule(), max_seconds=inf if request.max_seconds is None else request.max_seconds)
    schedule = replace(schedule, steps=request.steps or schedule.steps)
    track, lips = analysis.track, analysis.lips
    deserved = size_for(track) if device.like_card(where) else SIZES[0]
    size = request.size or min(deserved, request.max_size or deserved)
    initial = initial_of(request.initial, size)
    info, video = probe_footage(request.footage, request.limits)
    usable_s = float((blocks(track, Crops(track, lips, size)) >= 0).sum() / video.fps)
    if usable_s < LEAST_S:
        raise EngineError("mouths_too_little", f"{usable_s:.1f} s to learn from")
    lessons = collect(request.footage, info, request.analysis, track, lips, size, report)
    out.mkdir(parents=True, exist_ok=True)
    (out / MOUTHS_REPORT).unlink(missing_ok=True)
    checkpoint, show = out / MOUTHS_CHECKPOINT, Shown(out)
    trained = train(lessons, checkpoint, schedule, initial=initial, device=where, report=report, show=show)
    torch.cuda.empty_cache()  # who renders next on this card has need of it; nothing where there is none
    save(out, trained)
    network = kept.load(out, where, together=1)
    verdict = gate.judge(measure(request.footage, info, request.analysis, track, lips, network, report))
    identity = model.identity(out)
    began_with = initial.identity if initial else ""
    also = {"identity": identity, "psnr": trained.psnr, "initial": began_with, "space": model.space(lips)}
    gate.write_report(out, verdict, trained.size, trained.steps, dull=network.dull, **also)
    checkpoint.unlink(missing_ok=True)
    return LearntMouths(
        engine=ENGINE_VERSION,
        passed=verdict.passed,
        figures={name: value if isfinite(value) else None for name, value in asdict(verdict.figures).items()},
        failed=tuple(each.name for each in verdict.failed),
        identity=identity,
        size=trained.size,
        steps=trained.steps,
        psnr=trained.psnr,
        initial=began_with,
    )


def initial_of(folder: Path | None, size: int) -> Initial | None:
    """The weights of another model to begin with; None where there are none for squares of ``size`` pixels."""
    if folder is None:
        return None
    try:
        stored = kept.read(folder)
    except EngineError:
        return None
    if reduction(stored["size"]) != reduction(size):
        return None
    return Initial(model.identity(folder), {name: value.float() for name, value in stored["weights"].items()})


def save(folder: Path, trained: Trained) -> None:
    """Leave the network in ``folder``, in half precision: 5.5 or 9.7 MB."""
    weights = {name: value.half().cpu() for name, value in trained.net.state_dict().items()}
    stored = {"form": kept.FORM, "engine": ENGINE_VERSION, "size": trained.size, "weights": weights}
    with scratch.replacing(folder / MOUTHS_NETWORK) as part:
        torch.save(stored, part)


class Shown:
    """Leaves in a folder how far the training is, and what it draws by now. Both files are always whole."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._written_at = folder, -inf

    def __call__(self, progress: Progress) -> None:
        last = progress.step == progress.steps
        if progress.picture is not None:
            with scratch.replacing(self._folder / MOUTHS_PICTURE) as part:
                cv2.imwrite(str(part), progress.picture, QUALITY)
        elif not last and time.monotonic() - self._written_at < SHOWN_S:
            return
        self._written_at = time.monotonic()
        psnr = None if progress.psnr is None else round(progress.psnr, 2)
        said = {"step": progress.step, "steps": progress.steps, "eta_s": round(progress.eta_s, 1), "psnr": psnr}
        with scratch.replacing(self._folder / MOUTHS_PROGRESS) as part:
            part.write_text(json.dumps(said))
