"""What is asked of a drawn square: colour, edges at three sizes, structure, and movement; the mouth counts most."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad

MOUTH = 3.0
"""Times that the mouth counts more than the rest of the hole."""
MOUTH_MARGIN = 0.05 / 1.6
"""Share of the square's side by which the mouth reaches beyond the lips."""
LEVELS = 3
STRUCTURE = 0.15
MOVEMENT = 0.5
WINDOW = 7
"""Side of the square in which structure is compared."""
_LUMA = (0.114, 0.587, 0.299)


def mouth_area(seen: Tensor) -> Tensor:
    """(n, 1, s, s) 0..1: the wanted lips and a margin, from ``seen`` (n, 10, s, s)."""
    reach = max(1, round(MOUTH_MARGIN * seen.shape[-1]))
    return max_pool2d(seen[:, 5:6], 2 * reach + 1, 1, reach)


def weights(seen: Tensor) -> Tensor:
    """(n, 1, s, s): what each pixel counts; 0 outside the hole."""
    return seen[:, 3:4] * (1 + MOUTH * mouth_area(seen))


def mean(values: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean of ``values`` (n, c, s, s) by ``weight`` (n, 1, s, s)."""
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp_min(1e-6)


def edges(x: Tensor, levels: int = LEVELS) -> list[Tensor]:
    """Laplacian pyramid (after Burt and Adelson, 1983): what each halving of x (n, c, s, s) loses, at its size."""
    found = []
    for _ in range(levels):
        small = avg_pool2d(x, 2)
        found.append(x - interpolate(small, scale_factor=2, mode="bilinear", align_corners=False))
        x = small
    return found


def grey(x: Tensor) -> Tensor:
    """(n, 1, s, s): luma of (n, 3, s, s) blue, green, red."""
    return torch.tensordot(x, torch.tensor(_LUMA, device=x.device), dims=([1], [0]))[:, None]


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """(n, c, s, s) -1..1: structural similarity in a 7 x 7 square around each pixel of pictures 0..1.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
    """
    half = WINDOW // 2
    stacked = pad(torch.cat((a, b, a * a, b * b, a * b)), (half, half, half, half), mode="replicate")
    means = avg_pool2d(avg_pool2d(stacked, (WINDOW, 1), 1), (1, WINDOW), 1)
    mean_a, mean_b, aa, bb, ab = means.split(len(a))
    covariance = 2 * (ab - mean_a * mean_b) + 0.03**2
    variance = (aa - mean_a**2) + (bb - mean_b**2) + 0.03**2
    return (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2) * covariance / variance


def picture_loss(made: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Of composites (n, 3, s, s) 0..1; ``weight`` (n, 1, s, s) from :func:`weights`."""
    loss = mean((made - truth).abs(), weight)
    for a, b in zip(edges(made), edges(truth), strict=True):
        loss = loss + mean((a - b).abs(), weight)
        weight = avg_pool2d(weight, 2)
    return loss


def structure_loss(made: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    return STRUCTURE * mean(1 - similarity(grey(made), grey(truth)), weight)


def movement_loss(made: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Of pairs: the second half of each tensor are the frames that follow on those of the first."""
    half = len(made) // 2
    moved = (made[half:] - made[:half]) - (truth[half:] - truth[:half])
    return MOVEMENT * mean(moved.abs(), weight[half:])


def total(made: Tensor, truth: Tensor, seen: Tensor, *, pairs: bool) -> Tensor:
    """Everything, for composites ``made`` and ``truth`` (n, 3, s, s) and what the network saw (n, 10, s, s)."""
    weight = weights(seen)
    loss = picture_loss(made, truth, weight) + structure_loss(made, truth, weight)
    return loss + movement_loss(made, truth, weight) if pairs else loss
