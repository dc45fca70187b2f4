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


class Usual(torch.nn.Module):
    """Layers that published restorers are made of: norms, attention, a codebook, interpolation, modulated noise."""

    def __init__(self) -> None:
        super().__init__()
        norms = [torch.nn.BatchNorm2d(16), torch.nn.GroupNorm(4, 16), torch.nn.InstanceNorm2d(16)]
        self.down = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, 2, 1), *norms, torch.nn.LeakyReLU(0.2, inplace=True), torch.nn.SiLU()
        )
        self.blocks = torch.nn.ModuleList([torch.nn.Conv2d(16, 16, 3, 1, 1) for _ in range(2)])
        self.attention, self.norm = torch.nn.MultiheadAttention(16, 2, batch_first=True), torch.nn.LayerNorm(16)
        self.book = torch.nn.Embedding(8, 16)
        self.up = torch.nn.Sequential(torch.nn.Upsample(scale_factor=2.0), torch.nn.ConvTranspose2d(16, 48, 4, 2, 1))
        self.shuffle = torch.nn.PixelShuffle(2)
        self.last = torch.nn.Conv2d(12, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(x)
        b, _c, h, w = y.shape
        for block in self.blocks:
            y = functional.relu(block(y)) + y
        small = functional.interpolate(y, size=[8, 8], mode="bilinear", align_corners=False).flatten(2).permute(0, 2, 1)
        small = self.norm(small + self.attention(small, small, small)[0])
        away = small.pow(2).sum(2, keepdim=True) - 2 * torch.einsum("bnc,kc->bnk", small, self.book.weight)
        code = self.book(torch.argmin(away, 2)).permute(0, 2, 1).reshape(b, 16, 8, 8)
        y = self.shuffle(self.up(y + functional.interpolate(code, size=[h, w], mode="nearest")))
        y = functional.interpolate(functional.avg_pool2d(self.last(y), 8), scale_factor=2.0, mode="bicubic")
        return torch.tanh(y * torch.rsqrt(y.pow(2).mean([1], keepdim=True) + 1e-8))


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
        warnings.simplefilter("ignore")  # that TorchScript is deprecated, and what tracing takes for constant
        made = (
            torch.jit.trace(model, torch.zeros(1, 3, traced, traced), check_trace=False)
            if traced
            else torch.jit.script(model)
        )
        made.save(str(path))
    return path
