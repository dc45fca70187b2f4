"""Stage 10: where the new mouth is laid over the frame, and how its colour is brought to the frame's own."""

from __future__ import annotations

from functools import cached_property
from math import ceil, floor
from typing import Any

import cv2
import numpy as np

from rendering.engine.media.planes import Planes

Array = np.ndarray[Any, Any]

NOSE_BASE = (98, 97, 2, 326, 327)
CHEEKS = (205, 425, 207, 427, 192, 416)
JAW_INSIDE = np.array((397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172))
JAW_AROUND = np.array((288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58))
NECK = 0.32
"""IO beyond the jaw over which the picture gives way to a moving chin."""
JAW_SHARE = 0.96
"""The mask ends at this share of the face oval."""
FEATHER = 0.12
"""Width of the soft edge, IO."""
CORE, FALL = 0.05, 0.18
"""IO beside the lips, the drawn and the frame's own, over which the new picture counts in full, and over which it gives
way to the frame's own skin: what is not taken from elsewhere does not flicker."""
SMALL = 96
"""Longest side of the reduced picture on which mask and colour are worked out."""
LEAST_ALPHA = float(np.nextafter(np.float32(1 / 256), np.float32(0)))
"""Shares up to this are none."""
MAX_LOCAL = 10.0
"""Grey levels by which the colour correction may vary over the mask."""
EASE = 0.12
"""Share of the newly measured correction that each frame takes over."""
MAX_CARRIED, CARRIED = 14.0, 0.82
"""Grey levels by which a new mouth's skin may be led on from the old one's after a jump, and the share of it that each
frame keeps."""
LEAST_CARRIED = 0.3
SHADING = 24
"""The part of the box (one in so many, standard deviation) under which differences are texture, not shading."""


def outline(points: Array) -> Array:
    """Polygon (k, 2) float px around what is replaced: below the nose, cheeks, inside of the jaw.

    ``points`` (468, 3) px of the target frame.
    """
    flat = points[:, :2]
    centre = flat[list(NOSE_BASE)].mean(axis=0)
    jaw = centre + JAW_SHARE * (flat[JAW_INSIDE] - centre)
    return hull(np.concatenate([flat[list(NOSE_BASE + CHEEKS)], jaw]))


def neck(points: Array, io: Array | float) -> Array:
    """Points (..., 17, 2) float32 px around what gives way to a moving chin, from the cheeks to beyond the jaw.

    ``points`` (..., 468, 2 or 3) px, ``io`` (...,) px.
    """
    flat = points[..., :2]
    centre = flat[..., NOSE_BASE, :].mean(axis=-2, keepdims=True)
    jaw = flat[..., JAW_AROUND, :]
    away = (jaw - centre) / np.linalg.norm(jaw - centre, axis=-1, keepdims=True)
    beyond = jaw + NECK * np.asarray(io)[..., None, None] * away
    return np.concatenate([beyond, flat[..., CHEEKS[:2], :]], axis=-2).astype(np.float32)


def hull(points: Array) -> Array:
    """The convex polygon (k, 2) float32 around ``points`` (n, 2)."""
    return cv2.convexHull(points.astype(np.float32))[:, 0]


def box_around(polygon: Array) -> tuple[int, int, int, int]:
    """Even-aligned x, y, w, h around a polygon, two pixels wider."""
    (left, top), (right, bottom) = polygon.min(axis=0).tolist(), polygon.max(axis=0).tolist()
    x, y = (floor(left) - 2) & ~1, (floor(top) - 2) & ~1
    return x, y, (ceil(right) + 4 - x) & ~1, (ceil(bottom) + 4 - y) & ~1


class Mask:
    """A feathered polygon over a box, worked out on a reduced picture."""

    def __init__(self, polygon: Array, box: tuple[int, int, int, int], io: float, core: tuple[Array, ...] = ()) -> None:
        """``polygon`` (k, 2) px; with ``core``, outlines within it, the mask falls off beside these already."""
        w, h = box[2:]
        self.size = (w, h)
        shrink = min(1.0, SMALL / max(w, h))
        self.small_size = (max(8, round(w * shrink)), max(8, round(h * shrink)))
        fit = np.array(self.small_size) / np.array([w, h])
        inside = self._filled((polygon,), box, fit)
        depth: Array = cv2.distanceTransform((inside > 127).astype(np.uint8), cv2.DIST_L2, 5)
        depth += inside.astype(np.float32) / 255.0 - 1.0
        share = np.clip(depth / np.float32(FEATHER * io * fit.mean()), 0, 1)
        share = share * share * (3 - 2 * share)
        if core:
            away = cv2.distanceTransform((self._filled(core, box, fit) < 128).astype(np.uint8), cv2.DIST_L2, 5)
            near = np.clip(1 - (away / np.float32(io * fit.mean()) - CORE) / FALL, 0, 1)
            share *= near * near * (3 - 2 * near)
        self.small = cv2.GaussianBlur(share, (3, 3), 0)
        self.small[inside == 0] = 0

    @cached_property
    def ring(self) -> Array:
        """(h, w) float32 0..1 on every second pixel of the reduced picture: where new skin meets old."""
        w, h = self.small_size
        ring = ((self.small > 0.02) & (self.small < 0.75)).astype(np.float32)
        return cv2.resize(ring, (-(-w // 2), -(-h // 2)), interpolation=cv2.INTER_AREA)

    def _filled(self, polygons: tuple[Array, ...], box: tuple[int, int, int, int], fit: Array) -> Array:
        """(h, w) uint8 0..255: the polygons on the reduced picture."""
        filled = np.zeros(self.small_size[::-1], np.uint8)
        for polygon in polygons:
            local = ((polygon - box[:2] + 0.5) * fit - 0.5).astype(np.float32)
            cv2.fillPoly(filled, [np.round(local * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        return filled

    def full(self) -> Array:
        """(h, w) float32 0..1: share of the new picture."""
        alpha = cv2.resize(self.small, self.size, interpolation=cv2.INTER_LINEAR)
        return cv2.threshold(alpha, LEAST_ALPHA, 0, cv2.THRESH_TOZERO, dst=alpha)[1]


class Colour:
    """The correction that makes new skin continue the old: measured on the ring, bounded, eased over time."""

    def __init__(self) -> None:
        self._median: Array | None = None
        self._local: Array | None = None
        self._carried: Array | None = None

    def __call__(self, new: Planes, own: Planes, mask: Mask) -> Planes:
        """``new`` corrected towards ``own`` of the same size."""
        return self.corrected(new, gap(new, own, mask), mask)

    def corrected(self, new: Planes, gap: Array, mask: Mask) -> Planes:
        """``new`` corrected by its :func:`gap`."""
        offset = self.offset(gap, mask.ring)
        return new if offset is None else new.plus(offset)

    def offset(self, gap: Array, ring: Array) -> Array | None:
        """What is to be added, (h, w, 3) float32 levels of y, u and v, by the ``gap`` (h, w, 3) to the frame's own and
        the mask's ``ring`` (h, w); None where hardly a ring is."""
        there = ring >= 0.5
        if there.sum() < 12:
            return None
        median = np.median(gap[there], axis=0).astype(np.float32)
        local = np.clip(self._spread(gap - median, ring), -MAX_LOCAL, MAX_LOCAL)
        if self._median is not None and self._local is not None:
            median = self._median + EASE * (median - self._median)
            if self._local.shape != local.shape:
                self._local = cv2.resize(self._local, local.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            local = self._local + EASE * (local - self._local)
        self._median, self._local = median, local
        result: Array = local + median + self._fade_carried(local.shape)
        return result

    def lead_on(self, new: Planes, old: Planes, mask: Mask) -> Planes:
        """The corrected ``new`` with the shading of ``old``, which the next frames let go of slowly."""
        apart = gap(new, old, mask)
        carried = cv2.GaussianBlur(np.clip(apart, -40, 40), (0, 0), max(apart.shape[:2]) / SHADING)
        self._carried = np.clip(carried, -MAX_CARRIED, MAX_CARRIED)
        return new.plus(self._carried)

    def _fade_carried(self, shape: tuple[int, ...]) -> Array | float:
        """What is left of the shading that was carried over, as the correction's grid has it (h, w, 3)."""
        if self._carried is None:
            return 0.0
        if self._carried.shape != shape:
            self._carried = cv2.resize(self._carried, shape[1::-1], interpolation=cv2.INTER_LINEAR)
        self._carried = CARRIED * self._carried
        if float(np.abs(self._carried).max()) < LEAST_CARRIED:
            self._carried = None
            return 0.0
        return self._carried

    @staticmethod
    def _spread(gap: Array, ring: Array) -> Array:
        """The ring's differences carried smoothly over the inside (normalised convolution)."""
        weighted = cv2.merge([*cv2.split(np.clip(gap, -40, 40) * ring[..., None]), ring])
        blurred = cv2.GaussianBlur(weighted, (0, 0), max(ring.shape) / 8)
        result: Array = blurred[..., :3] / (blurred[..., 3:] + 1e-3)
        return result


def gap(new: Planes, own: Planes, mask: Mask) -> Array:
    """(h, w, 3) float32 levels of y, u and v that ``new`` is from ``own``, as large as the mask's ring."""
    return _coarse(own, mask) - _coarse(new, mask)


def _coarse(picture: Planes, mask: Mask) -> Array:
    """(h, w, 3) float32 as large as the mask's ring: what varies over an eighth of the box loses nothing on it."""
    return picture.small(mask.ring.shape[::-1])
