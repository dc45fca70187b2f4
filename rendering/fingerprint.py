"""What makes one render the same as another: the same bytes, the same options, the same engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from projects.models import AudioTake, Footage
from rendering.execution.catalogue import ENGINE_VERSION

__all__ = ["ENGINE_VERSION", "fingerprint"]


def fingerprint(
    footage: Footage,
    take: AudioTake,
    options: Mapping[str, Any],
    engine: str = ENGINE_VERSION,
    base: str = "",
    weights: str = "",
    mouths: str = "",
) -> str:
    """SHA-256 over the footage's and the take's bytes, the take's words, a preset's snapshot and the engine's version.

    ``base`` is the identity of the team's own base model, ``weights`` that of the operator's checkpoint which draws the
    mouths, ``mouths`` that of the presenter's own network which does, if one is used. Both blobs and the take's script
    version should be loaded. Names, teams and ids are no part of it: the same file uploaded again is the same, unless
    another of its faces was chosen, another tracker followed it or other words are given with it.
    """
    parts: dict[str, Any] = {
        "engine": engine,
        "footage": footage.blob.sha256,
        "take": take.blob.sha256,
        "options": {name: _plain(value) for name, value in options.items()},
    }
    if footage.analysis_tracker:  # what the bundled one followed keeps its fingerprint
        parts["tracker"] = footage.analysis_tracker
    if footage.chosen_face:
        parts["face"] = [_plain(value) for value in footage.chosen_face]
    if take.script_version.text.strip():  # lips close where the words have p, b, m
        parts["text"] = [take.script_version.language, take.script_version.text]
    if base:  # what was made without one keeps its fingerprint
        parts["base"] = base
    if weights:
        parts["weights"] = weights
    if mouths:
        parts["mouths"] = mouths
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Numbers in one spelling: 1 and 1.0 are the same choice, whichever way a database gave them back."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return format(float(value), ".6g")
    return value
