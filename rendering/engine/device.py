"""Which device the networks run on. Torch is loaded only by who runs one, or where there may be a card."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rendering.engine.errors import EngineError

if TYPE_CHECKING:
    import torch

VARIABLE = "ENGINE_DEVICE"
"""``auto`` (a graphics card where there is one), ``cpu``, ``cuda`` or ``cuda:1``; or :data:`FAKE`."""
FAKE = "fake"
"""The processor taken for a card: batches and announcements are a card's. To try an installation without one."""
MEMORY = "ENGINE_DEVICE_MEMORY_MB"
"""Of a card, what networks and their pictures may take in this process; 0 or nothing: all of it. What does not fit
is drawn in smaller batches."""
CARDS = tuple(Path("/dev") / name for name in ("nvidiactl", "dxg", "kfd", "nvhost-ctrl"))
"""Without any of these Linux has no card that torch could use."""


def asked() -> str:
    return os.environ.get(VARIABLE, "") or "auto"


def chosen() -> torch.device:
    """The device that the environment asks for, its memory bounded. Raises ``device_error`` when it is not there."""
    import torch

    name = asked()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device("cpu" if name == FAKE else name)
    except RuntimeError as error:
        raise EngineError("device_error", f"{VARIABLE}={name}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError("device_error", f"{VARIABLE}={name}, of {torch.cuda.device_count()} CUDA devices")
    if device.type == "cuda" and (megabytes := int(os.environ.get(MEMORY) or 0)):
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(fraction(megabytes, total), device)
    return device


def fraction(megabytes: int, total: int) -> float:
    """The share that ``megabytes`` are of ``total`` bytes; never more than all of them."""
    return min(1.0, (megabytes << 20) / total)


def like_card(device: torch.device) -> bool:
    """Whether work on ``device`` is cut as for a card: in large batches."""
    return device.type != "cpu" or asked() == FAKE


def said(device: torch.device) -> str:
    """The device in words; ``contract.is_card`` reads them."""
    import torch

    if device.type == "cuda":
        return f"{device}: {torch.cuda.get_device_name(device)}"
    return FAKE if asked() == FAKE else str(device)


def announced() -> str:
    """The same of the device that the environment asks for. Raises ``device_error``."""
    name = asked()
    if name in ("cpu", FAKE) or (name == "auto" and os.name == "posix" and not any(map(Path.exists, CARDS))):
        return "cpu" if name == "auto" else name
    return said(chosen())
