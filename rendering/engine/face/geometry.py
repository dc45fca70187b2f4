"""Rigid pose of a face mesh, the per-clip template, and smoothing that never crosses a cut or a gap."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rendering.engine.face.points import CHIN, EYES, FOREHEAD, MIRRORED, STABLE

Array = np.ndarray[Any, Any]

TEMPLATE_FRAMES = 400
"""At most this many frames, evenly spread, make the template."""


def similarity(source: Array, target: Array) -> tuple[Array, Array, Array]:
    """Best ``target ~ scale * R @ source + t`` for each target: (n,), (n, 3, 3), (n, 3), all float64.

    ``source`` (k, 3), ``target`` (n, k, 3). Umeyama, "Least-squares estimation of transformation parameters between
    two point patterns", PAMI 1991.
    """
    source = source.astype(np.float64)
    target = target.astype(np.float64)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=1)
    centred = source - source_mean
    covariance = np.einsum("nki,kj->nij", target - target_mean[:, None], centred) / len(source)
    u, d, vt = np.linalg.svd(covariance)
    sign = np.ones_like(d)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[:, None, :]) @ vt
    scale = (d * sign).sum(axis=1) / (centred**2).sum(axis=1).mean()
    shift = target_mean - scale[:, None] * (rotation @ source_mean)
    return scale, rotation, shift


def normalise(points: Array, pose: tuple[Array, Array, Array]) -> Array:
    """Points (n, k, 3) px taken back to the template's frontal frame, in IO: ``R^T (p - t) / scale``."""
    scale, rotation, shift = pose
    result: Array = np.einsum("nji,nkj->nki", rotation, points - shift[:, None]) / scale[:, None, None]
    return result


def project(shape: Array, pose: tuple[Array, Array, Array]) -> Array:
    """Template-frame points (n, k, 3) IO placed by each pose, in pixels: the inverse of :func:`normalise`."""
    scale, rotation, shift = pose
    result: Array = scale[:, None, None] * np.einsum("nij,nkj->nki", rotation, shape) + shift[:, None]
    return result


def make_template(points: Array, followed: Array | None = None) -> Array:
    """The clip's face at rest: (468, 3) float32, upright and frontal, eye midpoint at 0, outer eye corners 1 IO apart.

    ``points`` (n, 468, 3) px, of which ``followed`` (m,) are looked at, all by default. The median of the frames, each
    aligned to the last estimate.
    """
    followed = np.arange(len(points)) if followed is None else followed
    points = points[followed[:: max(1, len(followed) // TEMPLATE_FRAMES)]].astype(np.float64)
    turned = np.abs(points[:, 234, 2] - points[:, 454, 2]) / np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
    template = points[int(np.argmin(turned))]
    for _ in range(3):
        pose = similarity(template[STABLE], points[:, STABLE])
        template = np.median(normalise(points, pose), axis=0)
    template = template @ _frontal_axes(template).T
    left, right = template[EYES[0]], template[EYES[1]]
    result: Array = ((template - (left + right) / 2) / np.linalg.norm(right - left)).astype(np.float32)
    return result


def _frontal_axes(face: Array) -> Array:
    """Rows: the face's own x (to the viewer's right), y (down) and z (into the picture)."""
    x = sum(face[right] - face[left] for left, right in MIRRORED)
    x = x / np.linalg.norm(x)
    down = face[CHIN] - face[FOREHEAD]
    y = down - (down @ x) * x
    y = y / np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)])


def angles(rotation: Array) -> tuple[Array, Array, Array]:
    """Yaw (to the viewer's right), pitch (up) and roll (clockwise) of (n, 3, 3) rotations, in degrees."""
    normal = -rotation[:, :, 2]
    yaw = np.degrees(np.arctan2(normal[:, 0], -normal[:, 2]))
    pitch = -np.degrees(np.arcsin(np.clip(normal[:, 1], -1, 1)))
    roll = np.degrees(np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]))
    return yaw, pitch, roll


def runs(ok: Array, shots: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches (start, stop) of frames that are all ``ok`` and in one shot."""
    found = []
    for start, stop in shots:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], ok[start:stop].astype(np.int8), [0])))) + start
        found += [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return found


SMOOTHED_AT_ONCE = 512
"""Frames turned to double precision together."""


def smooth(values: Array, stretches: list[tuple[int, int]], window: int, order: int = 2) -> Array:
    """Savitzky-Golay along axis 0 inside each stretch; the rest, and stretches too short for it, stay as they are."""
    result = values.copy()
    for start, stop in stretches:
        width = min(window, stop - start - (stop - start + 1) % 2)
        if width > order:
            _savitzky_golay(values[start:stop], result[start:stop], width, order)
    return result


def _savitzky_golay(values: Array, out: Array, window: int, order: int) -> None:
    """Fill ``out`` with ``values`` (n, ...), n >= window, each replaced by the polynomial fitted around it.

    Near the ends the first and the last window's polynomial goes on. Savitzky and Golay, "Smoothing and
    Differentiation of Data by Simplified Least Squares Procedures", Analytical Chemistry 1964.
    """
    fit, half, n = _fit(window, order), window // 2, len(values)
    out[:half] = np.tensordot(fit[:half], values[:window], axes=1)
    out[n - half :] = np.tensordot(fit[half + 1 :], values[n - window :], axes=1)
    for start in range(0, n - window + 1, SMOOTHED_AT_ONCE):
        piece = values[start : start + SMOOTHED_AT_ONCE + window - 1].astype(np.float64)
        count = len(piece) - window + 1
        total = fit[half, 0] * piece[:count]
        for place in range(1, window):
            total += fit[half, place] * piece[place : place + count]
        out[start + half : start + half + count] = total


@functools.lru_cache(maxsize=16)
def _fit(window: int, order: int) -> Array:
    """(window, window) float64: row k gives the value at place k of the polynomial fitted to the window."""
    basis, _ = np.linalg.qr(np.vander(np.arange(window) - window // 2, order + 1, increasing=True))
    result: Array = basis @ basis.T
    return result
