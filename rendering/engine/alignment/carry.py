"""A face mesh brought onto 68 landmarks, for frames that the mesh's own network does not read well.

The landmarks say where the eyes, the nose, the brows and the lips are; the mesh of a frame that was read well says what
lies between them and how deep. It is turned, scaled and moved as the head was, then bent to meet the landmarks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import RBFInterpolator

from rendering.engine.face.points import EYES, LIPS_INNER, LIPS_OUTER

Array = np.ndarray[Any, Any]

FIRST = 17
"""Landmarks before this one lie on the outline that is seen, which is no place on the face."""
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
EYELIDS = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
OUTER = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181)
INNER = (78, 82, 13, 312, 308, 317, 14, 87)
ANCHORS = np.array(BROWS + NOSE + EYELIDS + OUTER + INNER)
"""The mesh point of each landmark from the 18th on."""
RIGID = slice(10, 31)
"""Nose and eyelids among :data:`ANCHORS`: they go where the head goes."""
LIPS_AT = slice(31, 51)
SURE_POINTS = np.array((19, 22, 25, 28, 13, 31, 37))
"""Outer and inner eye corners, tip of the nose and mouth corners among :data:`ANCHORS`: what both mean by the same."""
SMOOTHING = 0.01
"""How far, in IO squared, the bent mesh may miss an anchor for being smooth."""


def inner_marks(landmarks: Array) -> Array:
    """(51, 2): those of (68, 2) landmarks that are places on the face."""
    result: Array = landmarks[FIRST:]
    return result


def gap(points: Array, marks: Array) -> float:
    """How far the mesh ``points`` (468, 3) px and the inner ``marks`` (51, 2) px lie apart, IO: the median of seven."""
    away = np.linalg.norm(points[ANCHORS[SURE_POINTS], :2] - marks[SURE_POINTS], axis=1)
    return float(np.median(away) / _io(points))


def carried(points: Array, marks: Array) -> Array:
    """The mesh ``points`` (468, 3) px of another frame brought onto ``marks`` (51, 2) px, (468, 3) float32.

    Pose by scaled orthography from nose and eyes (DeMenthon and Davis, IJCV 1995, first step); then thin-plate splines
    for the face, and along each lip's ring what its landmarks ask for.
    """
    shape = points.astype(np.float64)
    rigid, seen = shape[ANCHORS[RIGID]], marks[RIGID].astype(np.float64)
    centre, middle = rigid.mean(axis=0), seen.mean(axis=0)
    linear = np.linalg.lstsq(rigid - centre, seen - middle, rcond=None)[0].T
    u, size, v = np.linalg.svd(linear, full_matrices=False)
    across, down = u @ v
    scale = float(size.mean())
    placed = scale * (shape - centre) @ np.stack([across, down, np.cross(across, down)]).T
    placed[:, :2] += middle
    placed[:, 2] += scale * centre[2]
    missing = marks - placed[ANCHORS, :2]
    io = _io(placed)
    outside = np.arange(len(ANCHORS) - len(INNER))
    bend = RBFInterpolator(placed[ANCHORS[outside], :2] / io, missing[outside] / io, smoothing=SMOOTHING)
    moved = placed.copy()
    moved[:, :2] += io * bend(placed[:, :2] / io)
    first = LIPS_AT.start
    for ring, known in ((LIPS_OUTER, OUTER), (LIPS_INNER, INNER)):
        moved[list(ring), :2] = placed[list(ring), :2] + _along(ring, known, missing[first : first + len(known)])
        first += len(known)
    return moved.astype(np.float32)


def _along(ring: tuple[int, ...], known: tuple[int, ...], shifts: Array) -> Array:
    """What every point of a closed ``ring`` moves by when ``known`` ones of it move by ``shifts`` (k, 2)."""
    places = np.array([ring.index(point) for point in known])
    order = np.argsort(places)
    every = np.arange(len(ring))
    axes = [np.interp(every, places[order], shifts[order, axis], period=len(ring)) for axis in (0, 1)]
    return np.stack(axes, axis=1)


def _io(points: Array) -> float:
    return max(float(np.linalg.norm(points[EYES[1]] - points[EYES[0]])), 1e-6)
