"""A network on its device, given what it works on in batches of one shape."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch

from rendering.engine.card.copies import Copies, Returned, Sent
from rendering.engine.errors import EngineError

Array = np.ndarray[Any, Any]
Net = Callable[..., torch.Tensor | Sequence[torch.Tensor]]


@dataclass
class _Size:
    together: int


class Batched:
    """Calls ``net`` with (together, ...): fewer are filled up with zeros, so that no shape is ever new.

    ``together`` is halved when the device has no memory for so many, and stays so. On a card what is sent for the next
    batch, and what comes back of the last, travels while ``net`` is at work, where that is done in three threads:
    :meth:`send`, :meth:`ask`, :meth:`answers`.
    """

    def __init__(self, net: Net, where: torch.device, together: int) -> None:
        self._net, self._device, self._size = net, where, _Size(together)
        self._copies = Copies(where)

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
        return self.answers(self.ask(self.send(*given)))

    def send(self, *given: Array) -> Sent:
        """``given`` on the way to the device; they may change afterwards. Raises ``device_error``."""
        with _told():
            return self._copies.send(given)

    def ask(self, sent: Sent) -> list[Returned]:
        """What was sent, asked; what is answered is on the way back. Raises as a call does."""
        parts: list[Returned] = []
        done = 0
        with _told():
            given = sent.here()
            while done < len(sent):
                try:
                    parts.append(self._batch([part[done : done + self.together] for part in given]))
                except torch.OutOfMemoryError:
                    if self.together == 1:
                        raise
                    self._size.together //= 2
                    continue
                done += self.together
        return parts

    @staticmethod
    def answers(asked: Sequence[Returned]) -> list[Array]:
        """What was answered; waits for it. Raises ``device_error``."""
        with _told():
            return [np.concatenate(pieces) for pieces in zip(*(part.arrays() for part in asked), strict=True)]

    def _batch(self, given: Sequence[torch.Tensor]) -> Returned:
        count = len(given[0])
        with torch.inference_mode(), _EXACT():
            answer = self._net(*(self._filled(part.to(self._device)) for part in given))
            several = [answer] if isinstance(answer, torch.Tensor) else answer
            return self._copies.fetch([(one.float() if one.is_floating_point() else one)[:count] for one in several])

    def _filled(self, part: torch.Tensor) -> torch.Tensor:
        """``part`` (n, ...) with zeros up to :attr:`together` of them."""
        missing = self.together - len(part)
        return torch.cat([part, part.new_zeros((missing, *part.shape[1:]))]) if missing else part


class _Exact:
    """TF32 would keep ten bits of a number: the card is to answer what the processor answers.

    The setting is the process's, and several threads ask at a time: the first sets it, the last sets it back.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._set = Lock(), 0, contextlib.ExitStack()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                flags = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
                self._set.enter_context(flags)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._set.close()


_EXACT = _Exact()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What is wrong with a device, in the engine's words."""
    try:
        yield
    except torch.AcceleratorError as error:
        raise EngineError("device_error", str(error).splitlines()[0]) from error
