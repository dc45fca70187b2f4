"""Frames in which something passes before the mouth: a hand, a microphone, a cup. They keep their own pixels.

Every followed frame leaves a small picture of its lower face, taken from the same place of the face whatever the pose.
A presenter's own mouths, cheeks and light span a small space of such pictures; what is before them does not lie in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy import ndimage

from rendering.engine.face import geometry
from rendering.engine.face.blend import outline
from rendering.engine.face.points import STABLE

if TYPE_CHECKING:
    from rendering.engine.media.frames import Frame

Array = np.ndarray[Any, Any]

NO_BOXES = np.zeros((0, 4), np.float32)
GRID = 24
"""Cells along each side of the small picture."""
MARGIN = 0.06
"""IO by which the small picture is wider than what is replaced."""
GROWTH = ((8, 0.6), (8, 0.7), (10, 0.85), (12, 1.0))
"""Round by round: dimensions of the presenter's own space, and the share of the frames that may join it then."""
BEYOND = 1.2
"""How far a face may go beyond what her own do along each dimension: without a bound the negative of lips is a face."""
FLOOR = 4.0
"""Levels of residual that are compression and grain in any cell."""
OUTLIER = 6.0
"""Robust standard deviations beyond which a cell is no stranger still."""
JOIN = 2.5
"""Strangeness up to which a frame is her own."""
WARY = 2
"""Frames on either side of a strange one that are not taken for her own."""
ENTER, STAY = 2.2, 1.3
"""Oddity at which something is surely before the mouth, and down to which it still is. Nine clips of real speech reach
1.9 at most (a mouth as wide open as never again); of 29 hands, microphones and cups drawn over them 27 reach 2.5 and
more, and a dark microphone before a dark beard 1.6 and 1.8: that one is not seen."""
MIN_FRAMES = 2
"""A single frame is a flash or a compression fault, not a hand."""
BRIDGE = 3
"""Clear frames between two covered ones that are no pause."""
GROW = 2
"""Frames added on either side: a hand is blurred before it is seen to cover."""
MIN_JUDGED = 25
"""Followed frames of a shot below which nothing is usual and nothing strange."""
MAX_JUDGED = 3000
"""Frames judged together: a long shot is judged in parts, in bounded memory."""
MAX_TAUGHT = 400
"""Frames of which a space is made, evenly spread."""


class Appearance:
    """Collects the lower face of every frame while the footage is tracked: 24 x 24 cells of Y'CbCr."""

    def __init__(self) -> None:
        self._template: Array | None = None
        self._corners = np.zeros((3, 3))
        self._cells: list[Array | None] = []
        self._corners_at: list[Array | None] = []

    def add(self, frame: Frame, points: Array | None) -> None:
        """Take the next frame; ``points`` (468, 3) px, None without a face."""
        if points is None:
            self._cells.append(None)
            self._corners_at.append(None)
            return
        if self._template is None:
            self._template = geometry.make_template(points[None])
            self._corners, _ = _grid_of(self._template)
        pose = geometry.similarity(self._template[STABLE], points[None, STABLE])
        corners = geometry.project(self._corners[None], pose)[0, :, :2]
        self._cells.append(_sampled(frame, corners))
        self._corners_at.append(corners.astype(np.float32))

    def covered(self, ok: Array, shots: list[tuple[int, int]], captions: Array = NO_BOXES) -> Array:
        """(N,) bool: frames with something before the mouth, of those that were followed (``ok`` (N,) bool).

        ``captions`` (k, 4) x, y, w, h px: what is not judged, because it comes and goes without hiding anything.
        """
        if self._template is None:
            return np.zeros(len(ok), bool)
        blind = self._within(captions) if len(captions) else None
        return covered(oddity(self.pictures(), self.inside(), ok, shots, blind)) & ok

    def _within(self, boxes: Array) -> Array:
        """(N, 24, 24) bool: cells whose middle lies in one of ``boxes`` (k, 4) px."""
        share = (np.arange(GRID) + 0.5) / GRID
        result = np.zeros((len(self._cells), GRID, GRID), bool)
        for index, corners in enumerate(self._corners_at):
            if corners is None:
                continue
            origin, right, down = corners
            across, along = share[None, :, None] * (right - origin), share[:, None, None] * (down - origin)
            x, y = np.moveaxis(origin + across + along, 2, 0)
            for left, top, width, height in boxes:
                result[index] |= (x > left) & (x < left + width) & (y > top) & (y < top + height)
        return result

    def pictures(self) -> Array:
        """(N, 24, 24, 3) uint8; zeros where no face was followed."""
        empty = np.zeros((GRID, GRID, 3), np.uint8)
        return np.stack([empty if cells is None else cells for cells in self._cells])

    def inside(self) -> Array:
        """(24, 24) bool: the cells that lie within what is replaced."""
        assert self._template is not None  # noqa: S101  (asked only when a face was followed)
        return _grid_of(self._template)[1]


def _grid_of(template: Array) -> tuple[Array, Array]:
    """Three corners (3, 3) IO of the small picture in the template, and which cells (24, 24) are the lower face."""
    polygon = outline(template)
    low, high = polygon.min(axis=0) - MARGIN, polygon.max(axis=0) + MARGIN
    depth = float(np.median(template[[17, 205, 425, 200], 2]))
    corners = np.array([[low[0], low[1], depth], [high[0], low[1], depth], [low[0], high[1], depth]])
    inside = np.zeros((GRID, GRID), np.uint8)
    cells = (polygon - low) / (high - low) * GRID - 0.5
    cv2.fillPoly(inside, [np.round(cells).astype(np.int32)], 1)
    return corners, inside > 0


def _sampled(frame: Frame, corners: Array) -> Array:
    """The parallelogram of ``corners`` (3, 2) px (top left, top right, bottom left) as (24, 24, 3) uint8 Y'CbCr."""
    height, width = frame.y.shape
    fourth = corners[1] + corners[2] - corners[0]
    around = np.concatenate([corners, fourth[None]])
    x0, y0 = (max(0, int(value) // 2 * 2) for value in around.min(axis=0))
    x1, y1 = (int(value) // 2 * 2 + 2 for value in around.max(axis=0))
    x1, y1 = min(width, x1), min(height, y1)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return np.zeros((GRID, GRID, 3), np.uint8)
    size = (min(x1 - x0, 2 * GRID), min(y1 - y0, 2 * GRID))
    half = np.s_[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
    planes = [frame.y[y0:y1, x0:x1], frame.u[half], frame.v[half]]
    # Averaging before the linear warp keeps fine texture from turning into noise.
    small = [cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA) for plane in planes]
    fit = np.array(size) / np.array([x1 - x0, y1 - y0])
    source = ((corners - [x0, y0]) * fit).astype(np.float32)
    target = np.array([[-0.5, -0.5], [GRID - 0.5, -0.5], [-0.5, GRID - 0.5]], np.float32)
    matrix = cv2.getAffineTransform(source, target)
    return cv2.warpAffine(cv2.merge(small), matrix, (GRID, GRID), borderMode=cv2.BORDER_REPLICATE)


def covered(oddness: Array) -> Array:
    """(N,) bool: frames with something before the mouth, from their oddity (N,), with what leads in and out."""
    labels, count = ndimage.label(oddness > STAY)
    sure = ndimage.sum_labels(oddness > ENTER, labels, np.arange(1, count + 1)) if count else np.zeros(0)
    hidden = np.isin(labels, np.flatnonzero(sure >= MIN_FRAMES) + 1)
    hidden |= ndimage.binary_closing(hidden, np.ones(BRIDGE + 1))
    result: Array = ndimage.binary_dilation(hidden, np.ones(2 * GROW + 1))
    return result


def oddity(
    pictures: Array, inside: Array, ok: Array, shots: list[tuple[int, int]], blind: Array | None = None
) -> Array:
    """(N,) float32 from 0: how little each lower face looks like this presenter's own.

    ``pictures`` (N, 24, 24, 3) uint8, ``inside`` (24, 24) bool, ``ok`` (N,) bool; ``blind`` (N, 24, 24) bool: cells
    that show something else (a caption) and are not judged. Each shot is judged by itself: another camera or light
    is no obstacle.
    """
    result = np.zeros(len(ok), np.float32)
    for start, stop in shots:
        for seen in _parts(np.flatnonzero(ok[start:stop]) + start):
            unseen = None if blind is None else blind[seen][:, inside]
            result[seen] = _judged(pictures[seen][:, inside].astype(np.float32), unseen)
    return result


def _parts(frames: Array) -> list[Array]:
    """``frames`` in equal parts of at most :data:`MAX_JUDGED`; none of too few."""
    if len(frames) < MIN_JUDGED:
        return []
    return np.array_split(frames, -(-len(frames) // MAX_JUDGED))


def _judged(values: Array, blind: Array | None) -> Array:
    """Oddity (n,) of lower faces ``values`` (n, k, 3) in levels.

    How far a face is from the space of her own, weighed by how little it looks like the usual one: a mouth that opens
    as never again is still a mouth, between its own cheeks and over its own chin.
    """
    if blind is not None:
        values = np.where(blind[..., None], np.median(values, axis=0), values)
    alike = _likeness(values)
    # The half most like the usual face is surely her own. What its space explains joins it, the most alike first.
    own = alike >= np.median(alike)
    for dimensions, may_join in GROWTH:
        strange = _strangeness(values, own, dimensions)
        # Beside a strange frame a hand is half in the picture: enough to teach what a hand looks like.
        near_strange = ndimage.binary_dilation(strange >= JOIN, np.ones(2 * WARY + 1))
        own = ~near_strange & (alike >= np.quantile(alike, 1 - may_join))
        if own.sum() < MIN_JUDGED // 2:
            return np.zeros(len(values), np.float32)
    result: Array = _strangeness(values, own, GROWTH[-1][0]) * np.sqrt(np.maximum(0, 1 - alike))
    return result


def _axes(rows: Array, count: int) -> Array:
    """The first principal axes (count, d) of ``rows`` (n, d), n < d: eigenvectors of the smaller product."""
    values, vectors = np.linalg.eigh(rows @ rows.T)
    result: Array = (vectors[:, -count:] / np.sqrt(np.maximum(values[-count:], 1e-6))).T @ rows
    return result


def _likeness(values: Array) -> Array:
    """(n,) -1..1: correlation of each lower face (n, k, 3) with the median one. A hand has no lips."""
    middle = np.median(values, axis=0)
    level = values.mean(axis=1, keepdims=True)
    a, b = (values - level).reshape(len(values), -1), (middle - middle.mean(axis=0)).reshape(-1)
    result: Array = (a @ b) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b), 1e-6)
    return result


def _strangeness(values: Array, own: Array, dimensions: int) -> Array:
    """(n,) root mean square over the cells of what the space of the ``own`` frames leaves over, in each cell's own
    robust standard deviations, 0..6."""
    flat = values.reshape(len(values), -1)
    centred = flat - np.median(flat[own], axis=0)
    taught = np.flatnonzero(own)[:: max(1, int(own.sum()) // MAX_TAUGHT)]
    axes = _axes(centred[taught], dimensions)
    codes = centred @ axes.T
    reach = BEYOND * np.abs(codes[own]).max(axis=0)
    rest = np.abs(centred - np.clip(codes, -reach, reach) @ axes).reshape(values.shape).max(axis=2)
    usual = np.maximum(1.4826 * np.median(rest[own], axis=0), FLOOR)
    result: Array = np.sqrt((np.minimum(rest / usual, OUTLIER) ** 2).mean(axis=1))
    return result
