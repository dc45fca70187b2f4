"""A presenter's network, kept beside the analysis of the footage it learnt from."""

from __future__ import annotations

from pathlib import Path

import torch

from rendering.engine import scratch
from rendering.engine.analysis import read_analysis
from rendering.engine.contract import ENGINE_VERSION, Limits, Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.media.probe import probe_footage
from rendering.engine.neural import gate
from rendering.engine.neural.crops import SIZES, size_for
from rendering.engine.neural.draw import Network
from rendering.engine.neural.footage import collect
from rendering.engine.neural.measure import measure
from rendering.engine.neural.net import MouthNet, reduction
from rendering.engine.neural.train import Schedule, Show, Trained, train, unseen

NETWORK, CHECKPOINT = "neural.pt", "neural.training"
"""In the folder of an analysis: the weights in half precision; and an unfinished training."""
FORM = 1


def learn_mouths(
    footage: Path,
    folder: Path,
    *,
    schedule: Schedule | None = None,
    size: int | None = None,
    device: str = "cpu",
    report: Report = silent,
    show: Show = unseen,
) -> gate.Verdict:
    """Train a network for ``footage``, as analysed in ``folder``, and judge it. Leaves both there.

    ``size``: pixels a side of its squares; None takes what the footage deserves. What stops it (``report`` raises, the
    process is killed) leaves a checkpoint, and the next call goes on from there. Raises ``too_short``,
    ``stale_analysis``, ``device_error``, and what reading footage raises.
    """
    analysis = read_analysis(folder)
    track, lips = analysis.track, analysis.lips
    info, _ = probe_footage(footage, Limits(max_seconds=float("inf")))
    lessons = collect(footage, info, folder, track, lips, size or size_for(track), report)
    (folder / gate.REPORT).unlink(missing_ok=True)
    trained = train(lessons, folder / CHECKPOINT, schedule, device=device, report=report, show=show)
    save(folder, trained)
    network = load(folder, torch.device(device))
    verdict = gate.judge(measure(footage, info, folder, track, lips, network, report))
    gate.write_report(folder, verdict, trained.size, trained.steps)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return verdict


def save(folder: Path, trained: Trained) -> None:
    """Leave ``neural.pt`` in ``folder``."""
    weights = {name: value.half().cpu() for name, value in trained.net.state_dict().items()}
    with scratch.replacing(folder / NETWORK) as part:
        torch.save({"form": FORM, "engine": ENGINE_VERSION, "size": trained.size, "weights": weights}, part)


def load(folder: Path, device: torch.device) -> Network:
    """The network that :func:`save` left in ``folder``. Raises ``stale_analysis``."""
    try:
        stored = torch.load(folder / NETWORK, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise EngineError("stale_analysis", f"no {NETWORK}") from error
    if (stored["form"], stored["engine"]) != (FORM, ENGINE_VERSION) or stored["size"] not in SIZES:
        raise EngineError("stale_analysis", f"{NETWORK} of {stored['engine']}")
    net = MouthNet(reduction(stored["size"]))
    net.load_state_dict({name: value.float() for name, value in stored["weights"].items()})
    return Network(net, stored["size"], device)
