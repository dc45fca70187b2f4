"""Planes, colours and squares of many faces at once, on any device.

What ``media/frame.py`` and ``face/square.py`` do of one face with OpenCV. Pictures are (n, c, h, w) float32 in levels
0..255, channels blue, green, red; planes are u8. Places are (x, y) in pixels from 0, centres at whole numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, grid_sample, interpolate, pad

Planes = tuple[Tensor, Tensor]
"""(n, h, w) and (n, 2, h/2, w/2) float32: luma, and both chroma."""
FIXED = 1024
GAUSSIAN_REACH = 4.0
"""Standard deviations to which OpenCV's Gaussian reaches in numbers that are not bytes."""


def to_bgr(y: Tensor, chroma: Tensor, matrix: Tensor) -> Tensor:
    """``y`` (n, h, w) u8 and ``chroma`` (n, 2, h/2, w/2) u8 to (n, 3, h, w) whole levels; ``matrix`` (n, 3, 4) as
    from ``colour.to_bgr_matrix``."""
    return _affine(torch.cat([y[:, None].float(), _doubled(chroma.float())], dim=1), matrix)


def _doubled(planes: Tensor) -> Tensor:
    """``planes`` (n, c, h, w) of whole levels twice as large, as OpenCV enlarges bytes: it drops what is less than a
    fourth of a level, so that a colour is a fifteenth of a level lower on average."""
    wide = interpolate(planes, size=(planes.shape[2], 2 * planes.shape[3]), mode="bilinear", align_corners=False)
    near, around = (3 * wide).floor_(), pad(wide.floor_(), (0, 0, 1, 1), mode="replicate")
    rows = torch.stack([near + around[:, :, :-2], near + around[:, :, 2:]], dim=3)
    return ((rows + 2) / 4).floor_().flatten(2, 3)


def to_planes(bgr: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """``bgr`` (n, 3, h, w) to (n, h, w) and (n, 2, h/2, w/2) whole levels; ``matrix`` as from ``from_bgr_matrix``."""
    channels = _affine(bgr, matrix)
    # Half a level goes up, as OpenCV averages bytes.
    return channels[:, 0], (avg_pool2d(channels[:, 1:], 2) + 0.5).floor_()


def mixed(under: Planes, over: Planes, share: Tensor, *, whole: bool) -> Planes:
    """``over`` laid over ``under`` with ``share`` (n, h, w) 0..1, whole levels.

    Samples of which nothing is covered stay as they are. ``whole``: chroma samples, too, that any pixel uses of which
    nothing is.
    """
    half = avg_pool2d(share[:, None], 2)
    if whole:
        half = half * (avg_pool2d((share > 0).float()[:, None], 2) == 1)
    return _mix(under[0], over[0], share), _mix(under[1], over[1], half)


def _affine(channels: Tensor, matrix: Tensor) -> Tensor:
    """``matrix`` (n, 3, 4) times (n, 3, h, w), as whole levels; with ten bits after the point, as OpenCV has it for
    bytes."""
    # Written out: a card's matrix product may keep ten bits in all.
    fine = matrix * FIXED
    fine[:, :, 3] += FIXED / 2
    gains = (fine.round_() / FIXED)[:, :, :, None, None]
    result = gains[:, :, 3].expand(-1, -1, *channels.shape[2:])
    for k in range(3):
        result = result + gains[:, :, k] * channels[:, None, k]
    return result.floor_().clamp_(0, 255)


def _mix(under: Tensor, over: Tensor, share: Tensor) -> Tensor:
    return torch.where(share > 0, torch.lerp(under, over, share).round_(), under)


def sampled(pictures: Tensor, at: Tensor, mode: str, *, beyond: str = "border") -> Tensor:
    """``pictures`` (n, c, h, w) at the places ``at`` (n, 2, H, W), (n, c, H, W).

    ``mode``: "bicubic" or "bilinear"; ``beyond`` the edge: "border", it goes on, or "zeros".
    """
    # grid_sample counts from -1 to 1, edge to edge.
    height, width = pictures.shape[2:]
    grid = torch.stack([(2 * at[:, 0] + 1) / width - 1, (2 * at[:, 1] + 1) / height - 1], dim=-1)
    return grid_sample(pictures, grid, mode=mode, padding_mode=beyond, align_corners=False)


def reduced(pictures: Tensor, times: int) -> Tensor:
    """Averages of ``times`` x ``times`` pixels; the last are filled up with the edge."""
    if times == 1:
        return pictures
    height, width = pictures.shape[2:]
    return avg_pool2d(pad(pictures, (0, -width % times, 0, -height % times), mode="replicate"), times)


def blurred(pictures: Tensor, deviations: Tensor, most: float) -> Tensor:
    """(n, c, h, w) under Gaussians of ``deviations`` (n,) pixels, ``most`` at most; beyond the edge it is mirrored."""
    count, channels, *size = pictures.shape
    reach = min(int(GAUSSIAN_REACH * most + 0.5), min(size) - 1)
    away = torch.arange(-reach, reach + 1, device=pictures.device, dtype=torch.float32)
    kernels = torch.exp(-0.5 * (away / deviations.clamp(min=1e-3)[:, None]) ** 2)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)[:, None]
    result = pad(pictures.reshape(1, count * channels, *size), (reach,) * 4, mode="reflect")
    result = conv2d(result, kernels[:, :, None, :], groups=count * channels)
    result = conv2d(result, kernels[:, :, :, None], groups=count * channels)
    return result.reshape(pictures.shape)


def places(matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, 2, height, width): where ``matrices`` (n, 2, 3) take the pixels of a picture of ``size`` (height, width)."""
    rows = torch.arange(size[0], device=matrices.device, dtype=torch.float32)[:, None]
    columns = torch.arange(size[1], device=matrices.device, dtype=torch.float32)
    part = matrices[:, :, :, None, None]
    return part[:, :, 0] * columns + part[:, :, 1] * rows + part[:, :, 2]


def within(at: Tensor, boxes: Tensor) -> Tensor:
    """(n, 1, h, w) float32: 1 where the places ``at`` (n, 2, h, w) lie on the pixels of ``boxes`` (n, 4) x, y, w, h."""
    low = boxes[:, :2, None, None] - 0.5
    return ((at >= low) & (at <= low + boxes[:, 2:, None, None])).all(dim=1, keepdim=True).float()


def averaged(pictures: Tensor, boxes: Tensor, sizes: Tensor, most: int) -> Tensor:
    """``boxes`` (n, 4) x, y, w, h of ``pictures`` (n, c, H, W) in ``sizes`` (n, 2) w, h, each pixel the average of what
    it covers; (n, c, most, most), 0 beyond."""
    height, width = pictures.shape[2:]
    rows = _overlaps(boxes[:, 1], boxes[:, 3], sizes[:, 1], most, height)
    columns = _overlaps(boxes[:, 0], boxes[:, 2], sizes[:, 0], most, width)
    return rows[:, None] @ pictures @ columns[:, None].transpose(2, 3)


def _overlaps(start: Tensor, extent: Tensor, cells: Tensor, most: int, length: int) -> Tensor:
    """(n, most, length): the share of each pixel in each cell, of which ``extent`` pixels from ``start`` hold
    ``cells``; all (n,)."""
    step = (extent / cells.clamp(min=1))[:, None, None]
    number = torch.arange(most, device=start.device)[:, None]
    low = start[:, None, None] + step * number
    pixel = torch.arange(length, device=start.device)
    shares = (torch.minimum(pixel + 1, low + step) - torch.maximum(pixel, low)).clamp(min=0) / step.clamp(min=1e-3)
    return torch.where(number < cells[:, None, None], shares, 0)


def plus(planes: Planes, offsets: Tensor, boxes: Tensor, sizes: Tensor) -> Planes:
    """``planes`` with ``offsets`` (n, 3, m, m) levels of y, u and v added, of which ``sizes`` (n, 2) w, h are enlarged
    to ``boxes`` (n, 4) x, y, w, h; whole levels. Beyond ``sizes`` the offsets' edges are to go on."""
    done = []
    for plane, offset, fine in ((planes[0][:, None], offsets[:, :1], 1), (planes[1], offsets[:, 1:], 2)):
        shrink = sizes / (boxes[:, 2:] / fine).clamp(min=1)
        matrix = torch.diag_embed(shrink)
        corner = (0.5 - boxes[:, :2] / fine) * shrink - 0.5
        at = places(torch.cat([matrix, corner[:, :, None]], dim=2), (plane.shape[2], plane.shape[3]))
        done.append((plane + sampled(offset, at, "bilinear")).round_().clamp_(0, 255))
    return done[0][:, 0], done[1]
