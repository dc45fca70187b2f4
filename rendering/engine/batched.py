"""A network on its device, given what it works on in batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rendering.engine.errors import EngineError

Array = np.ndarray[Any, Any]
Net = Callable[..., torch.Tensor | Sequence[torch.Tensor]]


@dataclass
class _Size:
    together: int


class Batched:
    """Calls ``net`` with (together, ...): fewer are filled up with zeros, so that no shape is ever new.

    ``together`` is halved when the device has no memory for so many, and stays so.
    """

    def __init__(self, net: Net, where: torch.device, together: int) -> None:
        self._net, self._device, self._size = net, where, _Size(together)

    def doing(self, net: Net) -> Batched:
        """The same with ``net``; both are halved at once."""
        other = Batched(net, self._device, self.together)
        other._size = self._size
        return other

    @property
    def together(self) -> int:
        return self._size.together

    def __call__(self, *given: Array) -> list[Array]:
        """``given``, each (n, ...), n >= 1 -> what the network answers, each (n, ...), numbers in float32.

        Raises ``device_error``, and torch's ``OutOfMemoryError`` when not even one fits.
        """
        parts: list[list[Array]] = []
        done = 0
        while done < len(given[0]):
            chunks = [part[done : done + self.together] for part in given]
            try:
                parts.append(self._batch(chunks))
            except torch.OutOfMemoryError:
                if self.together == 1:
                    raise
                self._size.together //= 2
                continue
            except torch.AcceleratorError as error:
                raise EngineError("device_error", str(error).splitlines()[0]) from error
            done += len(chunks[0])
        return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]

    def _batch(self, given: Sequence[Array]) -> list[Array]:
        count = len(given[0])
        # TF32 would keep ten bits of a number: the card is to answer what the processor answers.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            answer = self._net(*(self._filled(torch.from_numpy(part)) for part in given))
            several = [answer] if isinstance(answer, torch.Tensor) else answer
            return [(one.float() if one.is_floating_point() else one)[:count].cpu().numpy() for one in several]

    def _filled(self, part: torch.Tensor) -> torch.Tensor:
        """``part`` (n, ...) on the device, with zeros up to :attr:`together` of them."""
        # A card fetches pinned memory by itself, while this thread goes on.
        whole = torch.zeros((self.together, *part.shape[1:]), dtype=part.dtype, pin_memory=self._device.type == "cuda")
        whole[: len(part)] = part
        return whole.to(self._device, non_blocking=True)
