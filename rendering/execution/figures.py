"""How this machine stands: memory, processor, disk, and what its graphics device says of itself. What is not known is
left out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from projects.services import disk

MIB = 1024 * 1024
ASK = "memory.total,memory.used,temperature.gpu,utilization.gpu"
ASK_S = 5.0
"""How long the device's driver may take to answer."""

Figures = dict[str, float]


class Sampler:
    """Ask it now and then: the use of the processor is that since it was asked last."""

    def __init__(self) -> None:
        self._ticks = _ticks()

    def sample(self) -> Figures:
        """Percent, MiB and degrees Celsius by name."""
        before, self._ticks = self._ticks, _ticks()
        return {**_memory(), **_processor(before, self._ticks), **_disk(), **device()}


def _memory() -> Figures:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # no /proc here
        return {}
    kib = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    total, free = kib["MemTotal"] // 1024, kib.get("MemAvailable", kib["MemFree"]) // 1024
    return {"memory_total_mb": total, "memory_used_mb": total - free}


def _ticks() -> tuple[int, int]:
    """All ticks of all processors since the machine started, and the idle ones among them."""
    try:
        spent = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0, 0
    return sum(spent), spent[3] + spent[4]


def _processor(before: tuple[int, int], now: tuple[int, int]) -> Figures:
    load = {"load": round(os.getloadavg()[0], 2)}
    passed = now[0] - before[0]
    return {**load, "cpu_percent": round(100 * (1 - (now[1] - before[1]) / passed))} if passed > 0 else load


def _disk() -> Figures:
    try:
        return {"disk_free_mb": disk.space().free // MIB}
    except OSError:
        return {}


def device() -> Figures:
    """The figures of the graphics device that is ours, from NVIDIA's own command; nothing without one."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return {}
    asked = [command, f"--query-gpu={ASK}", "--format=csv,noheader,nounits"]
    if ours := os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip():
        asked.append(f"--id={ours}")
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=ASK_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return {}
    names = ("device_memory_mb", "device_memory_used_mb", "temperature_c", "device_use_percent")
    values = said.stdout.strip().split("\n")[0].split(",")
    return {name: float(value) for name, value in zip(names, values, strict=False) if _is_number(value)}


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdecimal()
