"""Which device the networks run on. Imports torch: only what runs one asks."""

from __future__ import annotations

import os

import torch

from rendering.engine.errors import EngineError

VARIABLE = "ENGINE_DEVICE"
"""``auto`` (a graphics card where there is one), ``cpu``, ``cuda`` or ``cuda:1``."""


def chosen() -> torch.device:
    """The device that the environment asks for. Raises ``device_error`` when it is not there."""
    name = os.environ.get(VARIABLE, "") or "auto"
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError("device_error", f"{VARIABLE}={name}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError("device_error", f"{VARIABLE}={name}, of {torch.cuda.device_count()} CUDA devices")
    return device


def said(device: torch.device) -> str:
    """The device in words."""
    return f"{device}: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)
