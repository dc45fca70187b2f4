"""The network: .2 s of sound and two pictures of a face to one picture of it, 96 x 96.

Layers as published; a block is a convolution, a batch norm and a ReLU, and ``residual`` ones add their input before the
ReLU. Imports torch: only what draws or loads imports this.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SIZE = 96
"""Pixels a side of what goes in and comes out."""
PARAMETERS = 36_298_035
"""Numbers that training sets; the running means of the batch norms are no part of them."""

Stride = int | tuple[int, int]
Layer = tuple[int, int, int, Stride, int, int]
"""Channels in and out, kernel, stride, padding, and how many residual blocks of three by three follow."""

FACE_ENCODER: tuple[tuple[Layer, ...], ...] = (
    ((6, 16, 7, 1, 3, 0),),
    ((16, 32, 3, 2, 1, 2),),
    ((32, 64, 3, 2, 1, 3),),
    ((64, 128, 3, 2, 1, 2),),
    ((128, 256, 3, 2, 1, 2),),
    ((256, 512, 3, 2, 1, 1),),
    ((512, 512, 3, 1, 0, 0), (512, 512, 1, 1, 0, 0)),
)
"""96, 48, 24, 12, 6, 3 and 1 pixels a side."""
AUDIO_ENCODER: tuple[Layer, ...] = (
    (1, 32, 3, 1, 1, 2),
    (32, 64, 3, (3, 1), 1, 2),
    (64, 128, 3, 3, 1, 2),
    (128, 256, 3, (3, 2), 1, 1),
    (256, 512, 3, 1, 0, 0),
    (512, 512, 1, 1, 0, 0),
)
"""80 x 16, 27 x 16, 9 x 6, 3 x 3 and 1 x 1."""
FACE_DECODER = ((1024, 512, 1), (1024, 512, 2), (768, 384, 2), (512, 256, 2), (320, 128, 2), (160, 64, 2))
"""Channels in, of which the face encoder's are joined on; channels out; residual blocks. All but the first double."""
OUTPUT_IN, OUTPUT_BETWEEN = 80, 32


class Block(nn.Module):
    """Convolution (``transposed``: its transpose, the picture grows), batch norm, ReLU."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: Stride = 1,
        padding: int = 0,
        *,
        residual: bool = False,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        convolution: nn.Module
        if transposed:
            grows = 0 if stride == 1 else 1
            convolution = nn.ConvTranspose2d(channels, out, kernel, stride, padding, output_padding=grows)
        else:
            convolution = nn.Conv2d(channels, out, kernel, stride, padding)
        self.conv_block = nn.Sequential(convolution, nn.BatchNorm2d(out))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        return torch.relu(y + x if self.residual else y)


def _residual(channels: int, count: int) -> list[Block]:
    return [Block(channels, channels, 3, 1, 1, residual=True) for _ in range(count)]


def _chain(layers: Sequence[Layer]) -> nn.Sequential:
    blocks: list[Block] = []
    for channels, out, kernel, stride, padding, more in layers:
        blocks += [Block(channels, out, kernel, stride, padding), *_residual(out, more)]
    return nn.Sequential(*blocks)


class Wav2Lip(nn.Module):
    """The generator of Wav2Lip. The names of its parts are those of published checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder_blocks = nn.ModuleList(_chain(layers) for layers in FACE_ENCODER)
        self.audio_encoder = _chain(AUDIO_ENCODER)
        decoder = [nn.Sequential(Block(512, 512, 1))]
        for step, (channels, out, more) in enumerate(FACE_DECODER):
            stride, padding = (1, 0) if step == 0 else (2, 1)
            up = Block(channels, out, 3, stride, padding, transposed=True)
            decoder.append(nn.Sequential(up, *_residual(out, more)))
        self.face_decoder_blocks = nn.ModuleList(decoder)
        self.output_block = nn.Sequential(
            Block(OUTPUT_IN, OUTPUT_BETWEEN, 3, 1, 1), nn.Conv2d(OUTPUT_BETWEEN, 3, 1), nn.Sigmoid()
        )

    def forward(self, spectra: Tensor, faces: Tensor) -> Tensor:
        """``spectra`` (n, 1, 80, 16) in -4..4 and ``faces`` (n, 6, 96, 96) in 0..1 -> (n, 3, 96, 96) in 0..1.

        Channels of ``faces``: blue, green, red of the frame with its lower half 0, then of a reference.
        """
        seen = []
        for block in self.face_encoder_blocks:
            faces = block(faces)
            seen.append(faces)
        x = self.audio_encoder(spectra)
        for block in self.face_decoder_blocks:
            x = torch.cat((block(x), seen.pop()), dim=1)
        result: Tensor = self.output_block(x)
        return result
