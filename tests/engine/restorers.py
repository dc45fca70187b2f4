"""Small TorchScript models that stand for face restorers."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional


class Sharpen(torch.nn.Module):
    """An unsharp mask, -1..1; with a second answer, as published restorers give."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.register_buffer("kernel", torch.ones(3, 1, 5, 5) / 25)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        blurred = functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), self.kernel, groups=3)
        return torch.clamp(x + self.strength * (x - blurred), -1.0, 1.0), blurred


class Flicker(torch.nn.Module):
    """Adds a fine pattern whose sign hangs on the last digits of the picture's mean: another one in each frame."""

    def forward(self, x: Tensor) -> Tensor:
        sign = torch.sign(torch.sin(1e5 * x.mean(dim=[1, 2, 3], keepdim=True)))
        across = torch.sin(0.8 * torch.arange(x.size(3), device=x.device, dtype=x.dtype))
        return x + 0.15 * sign * across


class Lighter(torch.nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


class Invalid(torch.nn.Module):
    """No number for every picture that is not a plain grey."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.std() > 0.01, torch.full_like(x, float("nan")), x)


class Smaller(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::2, ::2]


class Reaching(torch.nn.Module):
    """Makes a file."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file(self.name, True, 4, dtype=torch.uint8).sum()


class Hidden(torch.nn.Module):
    """The same, as soon as it is loaded."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.mark = torch.zeros(4)

    @torch.jit.export
    def __getstate__(self) -> str:
        return self.name

    @torch.jit.export
    def __setstate__(self, state: str) -> None:
        self.name, self.training = state, False
        self.mark = torch.from_file(state, True, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mark.sum()


def saved(model: torch.nn.Module, path: Path, *, traced: int = 0) -> Path:
    """``model`` as TorchScript at ``path``; ``traced``: by tracing it with pictures of so many pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = torch.jit.trace(model, torch.zeros(1, 3, traced, traced)) if traced else torch.jit.script(model)
        made.save(str(path))
    return path
