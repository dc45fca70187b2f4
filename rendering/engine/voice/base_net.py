"""The base model, and the net that hears closures, as torch modules, for training and fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from rendering.engine.voice import closures
from rendering.engine.voice.base import CHANNELS, DILATIONS, HEARD, BaseModel, Weights


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Torch on one thread and from one seed: the same result each time. So small a net gains nothing from a second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


class BaseNet(nn.Module):
    """(batch, 83, t) at 50 Hz -> (batch, 2, t). ``rule`` stays as it is: 0 until the net has learnt by itself."""

    rule: torch.Tensor

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = nn.Conv1d(HEARD, CHANNELS, 1)
        self.layers = nn.ModuleList(nn.Conv1d(CHANNELS, CHANNELS, 3, padding=d, dilation=d) for d in DILATIONS)
        self.last = nn.Conv1d(CHANNELS, 2, 1)
        self.dropout = nn.Dropout1d(dropout)
        self.register_buffer("rule", torch.zeros(2))

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(heard))
        for layer in self.layers:
            hidden = hidden + self.dropout(torch.relu(layer(hidden)))
        answer: torch.Tensor = self.last(hidden) + heard[:, -2:] * self.rule[:, None]
        return answer

    def to_model(self) -> BaseModel:
        """The same weights for numpy."""

        weights = _plain(self.first, self.layers, self.last)
        weights["rule"] = self.rule.detach().cpu().numpy().astype(np.float32)
        return BaseModel(weights)

    @classmethod
    def from_model(cls, model: BaseModel, dropout: float = 0.1) -> BaseNet:
        """A trainable copy of ``model``."""
        net, weights = cls(dropout), model.weights
        with torch.no_grad():
            net.first.weight.copy_(torch.from_numpy(weights["in.w"][:, :, None]))
            net.first.bias.copy_(torch.from_numpy(weights["in.b"]))
            for index, layer in enumerate(net.layers):
                layer.weight.copy_(torch.from_numpy(weights[f"{index}.w"]))
                layer.bias.copy_(torch.from_numpy(weights[f"{index}.b"]))
            net.last.weight.copy_(torch.from_numpy(weights["out.w"][:, :, None]))
            net.last.bias.copy_(torch.from_numpy(weights["out.b"]))
            net.rule.copy_(torch.from_numpy(weights["rule"]))
        return net


class ClosureNet(nn.Module):
    """(batch, 83, t) at 50 Hz -> (batch, t): the logit of p, b or m."""

    def __init__(self, dropout: float = 0.15) -> None:
        super().__init__()
        channels = closures.CHANNELS
        self.first = nn.Conv1d(HEARD, channels, 1)
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in closures.DILATIONS)
        self.last = nn.Conv1d(channels, 1, 1)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(heard))
        for layer in self.layers:
            hidden = hidden + self.dropout(torch.relu(layer(hidden)))
        answer: torch.Tensor = self.last(hidden)[:, 0]
        return answer

    def to_model(self) -> closures.ClosureModel:
        """The same weights for numpy."""
        return closures.ClosureModel(_plain(self.first, self.layers, self.last))


def _plain(first: nn.Conv1d, layers: nn.ModuleList, last: nn.Conv1d) -> Weights:
    """Weights of a net's layers, float32, under the names that :func:`.base.layers` looks for."""

    def plain(tensor: torch.Tensor | None) -> np.ndarray:
        assert tensor is not None  # noqa: S101  (every layer has its bias)
        return tensor.detach().cpu().numpy().astype(np.float32)

    weights = {"in.w": plain(first.weight)[:, :, 0], "in.b": plain(first.bias)}
    for index, layer in enumerate(layers):
        assert isinstance(layer, nn.Conv1d)  # noqa: S101
        weights |= {f"{index}.w": plain(layer.weight), f"{index}.b": plain(layer.bias)}
    return weights | {"out.w": plain(last.weight)[:, :, 0], "out.b": plain(last.bias)}
