"""Copies to a card and back, beside what it computes. On a processor there is nothing to copy.

After PyTorch's notes on CUDA semantics ("Use pinned memory buffers", "CUDA streams"). What a stream of copies and the
stream of the networks share is handed over by events; memory of the card that both use goes back to its pool when both
are done with it (``record_stream``), pinned memory when the copy from or into it is (PyTorch's host allocator).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Sent:
    """Tensors on their way to the device, each (n, ...)."""

    parts: list[Tensor]
    copied: torch.cuda.Event | None
    """None: they are where they were."""

    def __len__(self) -> int:
        return len(self.parts[0])

    def here(self) -> list[Tensor]:
        """They, for what this thread has its device do from now on."""
        if self.copied is not None:
            stream = torch.cuda.current_stream(self.parts[0].device)
            stream.wait_event(self.copied)
            for part in self.parts:
                part.record_stream(stream)
        return self.parts


@dataclass(frozen=True, eq=False)
class Returned:
    """Tensors on their way back."""

    parts: list[Tensor]
    copied: torch.cuda.Event | None

    def arrays(self) -> list[Array]:
        """They, once they are back."""
        if self.copied is not None:
            self.copied.synchronize()
        return [part.numpy() for part in self.parts]


class Copies:
    """A stream for each direction, where the device has any."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._is_card = device, device.type == "cuda"
        if self._is_card:
            self._out, self._back = (torch.cuda.Stream(device) for _ in range(2))

    def send(self, given: Sequence[Array]) -> Sent:
        """Copies of ``given``. Where the device has no memory for them they wait in this machine's."""
        staged = [self._staged(part) for part in given]
        if not self._is_card:
            return Sent(staged, None)
        try:
            with torch.cuda.stream(self._out):
                parts = [part.to(self._device, non_blocking=True) for part in staged]
                return Sent(parts, self._out.record_event())
        except torch.OutOfMemoryError:
            return Sent(staged, None)

    def fetch(self, parts: list[Tensor]) -> Returned:
        """``parts``, which this thread has its device compute."""
        if not self._is_card:
            return Returned(parts, None)
        self._back.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._back):
            back = [torch.empty(part.shape, dtype=part.dtype, pin_memory=True) for part in parts]
            for host, part in zip(back, parts, strict=True):
                host.copy_(part, non_blocking=True)
                part.record_stream(self._back)
            return Returned(back, self._back.record_event())

    def _staged(self, part: Array) -> Tensor:
        source = torch.from_numpy(part)
        return torch.empty(source.shape, dtype=source.dtype, pin_memory=self._is_card).copy_(source)
