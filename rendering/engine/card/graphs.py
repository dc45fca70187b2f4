"""A network's work of one shape captured once and replayed: a card is told of one launch instead of hundreds.

After PyTorch's notes on CUDA semantics ("CUDA Graphs"): warm-up beside the stream that is captured, static inputs and
outputs, replay. Whoever calls it does so from one thread at a time, with one shape.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

VARIABLE = "ENGINE_GRAPHS"
"""``1``: networks are captured on cards."""
WARM_UP = 3
"""Runs before the capture, in which libraries choose how they work and allocate what they keep."""

Net = Callable[..., Tensor]


def captured(net: Net, device: torch.device) -> Net:
    """``net``, replayed from a graph where that is asked for and ``device`` has graphs."""
    return Captured(net, device) if device.type == "cuda" and os.environ.get(VARIABLE) == "1" else net


class Captured:
    """Calls ``net`` with tensors on a card, or what was captured of it; as ever where capturing fails."""

    def __init__(self, net: Net, device: torch.device) -> None:
        self._net, self._device = net, device
        self._graph: Any = None
        self._shapes: list[torch.Size] = []
        self._given: list[Tensor] = []
        self._answer = torch.empty(0)
        self.failed = False
        """No capture will be tried again."""

    def __call__(self, *given: Tensor) -> Tensor:
        """What ``net`` answers, in memory of the caller's own. Raises what ``net`` raises."""
        if self.failed:
            return self._net(*given)
        if self._shapes != [part.shape for part in given]:
            try:
                self._capture(given)
            except torch.OutOfMemoryError:
                self._forget()
                raise
            except RuntimeError as error:
                self._forget()
                self.failed = True
                log.warning("No graph of the network, it runs as ever: %s", str(error).splitlines()[0])
                return self._net(*given)
        with torch.cuda.device(self._device):
            for held, part in zip(self._given, given, strict=True):
                held.copy_(part, non_blocking=True)
            self._graph.replay()
            return self._answer.clone()

    def _capture(self, given: tuple[Tensor, ...]) -> None:
        self._forget()
        held, graph = [part.clone() for part in given], torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    self._net(*held)
            torch.cuda.current_stream().wait_stream(aside)
            # What other threads ask of the card meanwhile, decoding or encoding, is none of the capture's business.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                answer = self._net(*held)
        self._graph, self._given, self._answer = graph, held, answer
        self._shapes = [part.shape for part in given]

    def _forget(self) -> None:
        """Let go of the graph and its memory."""
        self._graph, self._given, self._answer, self._shapes = None, [], torch.empty(0), []
