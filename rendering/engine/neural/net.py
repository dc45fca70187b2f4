"""The network: a square with a hole, the wanted mouth and a lent one, to the square with that mouth.

A U-Net without norms on a reduced picture, told the mouth's movement and the head's pose in every block (FiLM: Perez
et al., AAAI 2018). Its last steps enlarge by bilinear interpolation and a convolution: a pixel shuffle there left a
visible grid. What leaves it is its own picture and, pixel by pixel, how much of the lent one to keep. Imports torch:
only what trains or draws imports this.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_unshuffle

from rendering.engine.neural.crops import CONDITION

INPUTS = 10
"""Context (3), hole, inside of the mouth, lips, lower face, lent picture (3)."""
WIDTHS = {2: (32, 80, 112, 128), 4: (48, 96, 144, 192)}
"""Channels at a half to a sixteenth, or a quarter to a thirty-second, of the square's side."""
BLOCKS = {2: (1, 2, 2, 2), 4: (1, 2, 2, 2)}
TOLD = 96
TAIL = 16
FULL_SIZE = 16
"""Channels at the square's own size."""
BFLOAT16_CAPABILITY = 8
"""The first generation of CUDA devices that computes in it."""
PARAMETERS = {2: 2_744_068, 4: 4_837_764}


def reduction(size: int) -> int:
    """How many times the picture is reduced before the first layer, for a square of ``size`` pixels."""
    return 2 if size <= 192 else 4


class Block(nn.Module):
    """Two convolutions and what was told, added to what came in: nothing at all at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.told = nn.Linear(TOLD, 2 * channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        for layer in (self.told, self.second):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        gain, offset = self.told(told)[:, :, None, None].chunk(2, dim=1)
        y = self.first(nn.functional.silu(x)) * (1 + gain) + offset
        return x + self.second(nn.functional.silu(y))


class Stage(nn.ModuleList):
    """Blocks one after another."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__(Block(channels) for _ in range(count))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        for block in self:
            x = block(x, told)
        return x


class MouthNet(nn.Module):
    """Sizes of the square are multiples of 8 times the reduction."""

    def __init__(self, reduce: int) -> None:
        """``reduce``: 2 for squares of 128 and 192 pixels, 4 for 256 and 384."""
        super().__init__()
        widths, counts = WIDTHS[reduce], BLOCKS[reduce]
        self.reduce = reduce
        self.tell = nn.Sequential(nn.Linear(CONDITION, TOLD), nn.SiLU(), nn.Linear(TOLD, TOLD), nn.SiLU())
        self.enter = nn.Conv2d(INPUTS * reduce**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(widths))
        self.seen = nn.ModuleList(Stage(*each) for each in zip(widths, counts, strict=True))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.join = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[:-1])
        self.drawn = nn.ModuleList(Stage(*each) for each in zip(widths[:-1], counts[:-1], strict=True))
        self.tail = nn.Conv2d(widths[0], TAIL, 3, padding=1)
        self.full = nn.Conv2d(TAIL + INPUTS, FULL_SIZE, 3, padding=1)
        self.leave = nn.Conv2d(FULL_SIZE, 4, 3, padding=1)

    def forward(self, seen: Tensor, condition: Tensor) -> Tensor:
        """``seen`` (n, 10, s, s) 0..1 and ``condition`` (n, 43) -> (n, 3, s, s) float32 0..1, blue, green, red."""
        told = self.tell(condition)
        x = self.enter(pixel_unshuffle(seen, self.reduce))
        passed = []
        for level, stage in enumerate(self.seen):
            x = stage(self.down[level - 1](x) if level else x, told)
            passed.append(x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
            x = self.drawn[level](self.join[level](torch.cat((x, passed[level]), dim=1)), told)
        x = interpolate(
            self.tail(nn.functional.silu(x)), scale_factor=self.reduce, mode="bilinear", align_corners=False
        )
        x = self.leave(nn.functional.silu(self.full(torch.cat((x, seen), dim=1))))
        drawn, share = torch.sigmoid(x.float()).split((3, 1), dim=1)
        lent = seen[:, 7:]
        return torch.lerp(drawn, lent, share * (lent.amax(dim=1, keepdim=True) > 0))


def composite(drawn: Tensor, seen: Tensor) -> Tensor:
    """``drawn`` (n, 3, s, s) within the hole of ``seen`` (n, 10, s, s), the context around it."""
    # The context is already weighed by what the hole leaves of it.
    result: Tensor = seen[:, :3] + drawn * seen[:, 3:4]
    return result


def drawing(device: torch.device) -> torch.autocast:
    """As :func:`quick`, but float16 on cards from before bfloat16, which could not learn with it."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < BFLOAT16_CAPABILITY:
        return torch.autocast("cuda", dtype=torch.float16)
    return quick(device)


def quick(device: torch.device) -> torch.autocast:
    """bfloat16 where the device computes in it, else float32."""
    able = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=able)
