"""What a piece of work took, in seconds, memory and use of the card; and the machine that it was measured on."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np

from rendering.engine import device
from rendering.engine.contract import ENGINE_VERSION

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PEAK = "5"
"""Written to ``clear_refs``: the peak of resident memory begins anew."""
ASKED_EVERY_MS = 200
IN_USE = ("utilization.gpu", "utilization.decoder", "utilization.encoder", "memory.used")


@dataclass(frozen=True)
class Spent:
    """What a piece of work took."""

    wall_s: float
    cpu_s: float
    """Of all threads, children that it waited for included."""
    peak_mb: int | None
    """Resident memory of this process, what it held before included; None where the system does not tell."""
    card_mb: int | None
    """Memory of the card that torch held at most; None without a card."""
    card: dict[str, float]
    """Mean use of the card, its decoder and its encoder in percent, and MiB of its memory in use; empty without one."""


def spent(work: Callable[[], Any]) -> tuple[Spent, Any]:
    """What ``work`` took, and what it returned."""
    _forget_peaks()
    with _Card() as card:
        wall, cpu = time.monotonic(), _cpu()
        result = work()
        wall, cpu = time.monotonic() - wall, _cpu() - cpu
    return Spent(round(wall, 3), round(cpu, 3), _peak_mb(), _card_mb(), card.means()), result


def ratio(base: Sequence[Spent], other: Sequence[Spent]) -> dict[str, float]:
    """How fast ``other`` is, in parts of ``base`` of the same round: the median in wall time and in CPU time."""
    pairs = list(zip(base, other, strict=True))
    return {
        "wall": round(median(a.wall_s / b.wall_s for a, b in pairs), 3),
        "cpu": round(median(a.cpu_s / b.cpu_s for a, b in pairs), 3),
    }


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _forget_peaks() -> None:
    if CLEAR.exists():
        CLEAR.write_text(PEAK)
    if (torch := _torch_on_card()) is not None:
        torch.cuda.reset_peak_memory_stats()


def _peak_mb() -> int | None:
    if not CLEAR.exists():
        return None
    return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) // 1024


def _card_mb() -> int | None:
    torch = _torch_on_card()
    return None if torch is None else int(torch.cuda.max_memory_allocated()) >> 20


def _torch_on_card() -> Any:
    """Torch, where it is loaded and has a card; nothing here loads it."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() else None


class _Card:
    """Asks ``nvidia-smi`` all the while; where there is none, nothing is known."""

    def __init__(self) -> None:
        self._told: list[list[float]] = []
        self._asking: subprocess.Popen[str] | None = None

    def __enter__(self) -> _Card:
        if (program := shutil.which("nvidia-smi")) is not None:
            number = (os.environ.get(device.VARIABLE, "").partition(":")[2]) or "0"
            asked = [program, "-i", number, f"--query-gpu={','.join(IN_USE)}", "--format=csv,noheader,nounits"]
            self._asking = subprocess.Popen(
                [*asked, f"--loop-ms={ASKED_EVERY_MS}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            self._thread = threading.Thread(target=self._listen, args=(self._asking,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._asking is not None:
            self._asking.terminate()
            self._asking.wait()
            self._thread.join()

    def _listen(self, asking: subprocess.Popen[str]) -> None:
        for line in asking.stdout or ():
            figures = [part.strip() for part in line.split(",")]
            if len(figures) == len(IN_USE):
                self._told.append([float(figure) if figure[:1].isdigit() else float("nan") for figure in figures])

    def means(self) -> dict[str, float]:
        if not self._told:
            return {}
        found = dict(zip(IN_USE, np.mean(self._told, axis=0).tolist(), strict=True))
        return {name: round(value, 1) for name, value in found.items() if value == value}


def machine() -> dict[str, Any]:
    """What it was measured on."""
    import cv2
    import torch

    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in described.splitlines() if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 2**30, 1),
        "device": device.said(device.chosen()),
        "cards": _cards(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "engine": ENGINE_VERSION,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "av": av.__version__,
        "ffmpeg": {name: ".".join(map(str, version)) for name, version in av.library_versions.items()},
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "threads": {"torch": torch.get_num_threads(), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "")},
    }


def _cards() -> list[str]:
    """Name, driver and memory of each card, as ``nvidia-smi`` knows them."""
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    asked = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()
