"""A mouth model on disk: one folder with the weights of its network and the report that says whether it may draw.

It belongs to one analysis of one footage: its numbers mean that footage's mouths. Nothing here loads torch.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rendering.engine.contract import MOUTHS_NETWORK, MOUTHS_REPORT, Limits, MouthsRequest, Tier
from rendering.engine.face.lips import LipSpace
from rendering.engine.neural import gate

SAME = 0.005
"""IO by which the lip space that a model learnt may differ from the footage's: analysed again on another machine."""
DIGITS = 5
"""Of those spaces' numbers in the report."""


@dataclass(frozen=True)
class Standing:
    """Whether a model may draw: ``instead`` is a code of why not, and empty where it may."""

    instead: str = ""
    identity: str = ""


def standing(folder: Path | None, tier: Tier, lips: LipSpace) -> Standing:
    """Of the model in ``folder`` for footage of ``tier`` and with ``lips``.

    ``footage_tier``: without patches nothing can be lent; ``no_mouths``; ``stale_mouths``: of another engine or of
    another analysis, or damaged; ``mouths_not_good``.
    """
    if tier == "C":
        return Standing("footage_tier")
    if folder is None or not (folder / MOUTHS_REPORT).is_file():
        return Standing("no_mouths")
    verdict, said = gate.read_report(folder), read_said(folder)
    if verdict is None or not _same_space(said, lips) or identity(folder) != said.get("identity"):
        return Standing("stale_mouths")
    return Standing("" if verdict.passed else "mouths_not_good", identity(folder))


def identity(folder: Path) -> str:
    """16 hex digits of the network's SHA-256; empty where there is none."""
    path = folder / MOUTHS_NETWORK
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return _identity(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _identity(path: Path, *_stamp: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_said(folder: Path) -> dict[str, Any]:
    """Everything that the report says; empty where there is none that can be read."""
    try:
        said = json.loads((folder / MOUTHS_REPORT).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def space(lips: LipSpace) -> dict[str, Any]:
    """What the eight numbers of ``lips`` mean, for the report."""
    return {name: np.round(getattr(lips, name).astype(float), DIGITS).tolist() for name in ("mean", "modes")}


def _same_space(said: Mapping[str, Any], lips: LipSpace) -> bool:
    """Whether the same numbers mean the same mouths, as far as a unit of each goes."""
    try:
        learnt = {name: np.array(said["space"][name], float) for name in ("mean", "modes")}
    except (KeyError, TypeError, ValueError):
        return False
    now = {"mean": lips.mean, "modes": lips.modes}
    return all(
        learnt[name].shape == now[name].shape and bool(np.abs(learnt[name] - now[name]).max() <= SAME) for name in now
    )


def mouths_from_json(values: Mapping[str, Any]) -> MouthsRequest:
    """``MouthsRequest`` from the protocol's plain types."""
    return MouthsRequest(
        footage=Path(values["footage"]),
        analysis=Path(values["analysis"]),
        out=Path(values["out"]),
        initial=Path(values["initial"]) if values.get("initial") else None,
        size=values.get("size"),
        max_size=values.get("max_size"),
        steps=values.get("steps"),
        max_seconds=values.get("max_seconds"),
        limits=Limits(**(values.get("limits") or {})),
    )
