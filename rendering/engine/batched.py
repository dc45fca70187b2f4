"""A network on its device, given what it works on in batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from rendering.engine.errors import EngineError

Array = np.ndarray[Any, Any]


class Batched:
    """Calls ``net`` with (together, ...) float32: fewer are filled up with zeros, so that no shape is ever new.

    ``together`` is halved when the device has no memory for so many, and stays so.
    """

    def __init__(
        self, net: Callable[..., torch.Tensor | Sequence[torch.Tensor]], where: torch.device, together: int
    ) -> None:
        self._net, self._device, self.together = net, where, together

    def __call__(self, *given: Array) -> list[Array]:
        """``given``, each (n, ...) float32, n >= 1 -> what the network answers, each (n, ...) float32.

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
                self.together //= 2
                continue
            except torch.AcceleratorError as error:
                raise EngineError("device_error", str(error).splitlines()[0]) from error
            done += len(chunks[0])
        return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]

    def _batch(self, given: Sequence[Array]) -> list[Array]:
        count = len(given[0])
        filled = [np.zeros((self.together, *part.shape[1:]), np.float32) for part in given]
        for whole, part in zip(filled, given, strict=True):
            whole[:count] = part
        # TF32 would keep ten bits of a number: the card is to answer what the processor answers.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            answer = self._net(*(torch.from_numpy(part).to(self._device) for part in filled))
            several = [answer] if isinstance(answer, torch.Tensor) else answer
            return [one[:count].float().cpu().numpy() for one in several]
