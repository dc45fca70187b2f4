"""Between Y'CbCr planes and BGR, in any matrix and range, and from high dynamic range to standard.

Sources: ITU-R BT.601, BT.709, BT.2020 (luma weights), BT.2100 (PQ, HLG).
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import cv2
import numpy as np

from rendering.engine.media.probe import FULL_RANGE, TRANSFER_PQ, UNSPECIFIED, Colour

LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Matrix code point to (red, blue) luma weight."""
HD_HEIGHT = 720
LUT_SIZE = 33
SDR_WHITE_NITS = 203.0
"""Where graphics white sits in HDR (BT.2408); it becomes SDR white."""
MAX_NITS = 1000.0
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float64
)


@functools.lru_cache(maxsize=16)
def to_bgr_matrix(colour: Colour, height: int) -> np.ndarray:
    """(3, 4) affine from (y, u, v, 1) in 0..255 to (b, g, r).

    An untagged picture is BT.709 from 720 lines up and BT.601 below.
    """
    space = colour.space if colour.space != UNSPECIFIED else (1 if height >= HD_HEIGHT else 6)
    red, blue = LUMA_WEIGHTS.get(space, LUMA_WEIGHTS[1])
    green = 1 - red - blue
    y_scale, c_scale, black = (1.0, 1.0, 0.0) if colour.range == FULL_RANGE else (255 / 219, 255 / 224, 16.0)
    to_blue, to_red = 2 * (1 - blue) * c_scale, 2 * (1 - red) * c_scale
    matrix = np.array(
        [
            [y_scale, to_blue, 0],
            [y_scale, -to_blue * blue / green, -to_red * red / green],
            [y_scale, 0, to_red],
        ]
    )
    offset = -matrix @ np.array([black, 128, 128])
    return np.hstack([matrix, offset[:, None]])


@functools.lru_cache(maxsize=16)
def from_bgr_matrix(colour: Colour, height: int) -> np.ndarray:
    """(3, 4) affine from (b, g, r, 1) to (y, u, v): the inverse of :func:`to_bgr_matrix`."""
    forward = to_bgr_matrix(colour, height)
    inverse = np.linalg.inv(forward[:, :3])
    return np.hstack([inverse, (-inverse @ forward[:, 3])[:, None]])


def planes_to_bgr(y: np.ndarray, u: np.ndarray, v: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(h, w) u8 luma and chroma planes of any size to (h, w, 3) u8 BGR."""
    size = (y.shape[1], y.shape[0])
    full_u = cv2.resize(u, size, interpolation=cv2.INTER_LINEAR)
    full_v = cv2.resize(v, size, interpolation=cv2.INTER_LINEAR)
    return cv2.transform(cv2.merge([y, full_u, full_v]), matrix)


def hdr_to_linear(signal: np.ndarray, transfer: int) -> np.ndarray:
    """BT.2100 signal 0..1, (..., 3) RGB, to display light in units of SDR white."""
    if transfer == TRANSFER_PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = np.maximum(signal, 0) ** (1 / m2)
        return 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) / SDR_WHITE_NITS
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    return MAX_NITS * scene * np.maximum(luminance, 1e-6)[..., None] ** 0.2 / SDR_WHITE_NITS


def tone_map(linear: np.ndarray) -> np.ndarray:
    """Light in units of SDR white, BT.2020 primaries, to BT.709 signal 0..1; highlights roll off above .8."""
    light = np.maximum(linear @ BT2020_TO_BT709.T, 0)
    peak = light.max(axis=-1, keepdims=True)
    knee, top = 0.8, MAX_NITS / SDR_WHITE_NITS
    over = np.clip((peak - knee) / (top - knee), 0, 1)
    rolled = np.where(peak > knee, knee + (1 - knee) * (1 - (1 - over) ** (top / (1 - knee))), peak)
    light = np.clip(light * rolled / np.maximum(peak, 1e-6), 0, 1)
    return np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)


@functools.lru_cache(maxsize=2)
def _cube_text(transfer: int) -> str:
    grid = np.linspace(0, 1, LUT_SIZE)
    blue, green, red = np.meshgrid(grid, grid, grid, indexing="ij")
    table = tone_map(hdr_to_linear(np.stack([red, green, blue], -1), transfer)).reshape(-1, 3)
    return f"LUT_3D_SIZE {LUT_SIZE}\n" + "\n".join("{:.5f} {:.5f} {:.5f}".format(*tuple(row)) for row in table) + "\n"


def write_cube(transfer: int, folder: Path) -> Path:
    """A .cube look-up table from BT.2100 (``transfer`` 16 or 18) to BT.709, for FFmpeg's lut3d filter."""
    with tempfile.NamedTemporaryFile("w", suffix=".cube", dir=folder, delete=False) as file:
        file.write(_cube_text(transfer))
    return Path(file.name)
