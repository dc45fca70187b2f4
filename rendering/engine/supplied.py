"""What the operator supplied, opened once when the engine starts: what cannot be used is not announced."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from rendering.engine.alignment import weights
from rendering.engine.enhance import settings
from rendering.engine.errors import EngineError
from rendering.engine.wav2lip import checkpoint

DRAWN, ENHANCER, TRACKER = "wav2lip", "enhancer", "tracker"


def refused() -> dict[str, str]:
    """Codes of why a checkpoint, an enhancer or a tracker that is set up cannot be used, by what it would be for.

    Nothing is kept in memory, and nothing is put on a device: a process that only analyses starts the same engine.
    """
    found: dict[str, str] = {}
    if os.environ.get(checkpoint.VARIABLE, "") and (code := _code(lambda: checkpoint.check(checkpoint.required()))):
        found[DRAWN] = code
    if os.environ.get(settings.MODEL, "") and (code := _code(_open_enhancer)):
        found[ENHANCER] = code
    if code := _code(_open_tracker):
        found[TRACKER] = code
    return found


def usable(able: Mapping[str, str], refused: Mapping[str, str]) -> dict[str, str]:
    """Of the ways to draw that a machine is ``able`` to by its files those that need nothing which was refused."""
    return {name: identity for name, identity in able.items() if refused.keys().isdisjoint(name.split("+"))}


def _code(opened: Callable[[], object]) -> str:
    try:
        opened()
    except EngineError as error:
        return error.code
    return ""


def _open_enhancer() -> None:
    path = settings.required()
    from rendering.engine.enhance import model

    model.check(path)


def _open_tracker() -> None:
    if weights.asked() == weights.BUNDLED:
        return
    paths = weights.required()
    import torch

    from rendering.engine.alignment import nets

    nets.Nets(*paths, torch.device("cpu"))
