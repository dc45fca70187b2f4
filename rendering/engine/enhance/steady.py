"""What a restoration adds, kept from shaking: each frame's addition is led on from the one before, along the motion.

A restorer sees one frame at a time and invents its detail anew in each; on lips that reads as trembling. Where the
picture only moved, most of the last addition is kept and moved along; where it really changed, a mouth that opens,
teeth that appear, the new one counts. Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, train a
network for the same.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

SMALL = 128
"""Pixels a side in which motion is looked for."""
KEPT = 0.9
"""Share of the last addition that is kept where nothing but motion happened."""
CHANGED = 10.0
"""Grey levels of difference, motion taken off, at which a third of that share is left."""


class Motion:
    """How one shot's pictures move, in order, and how much of what was added stays."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._seen: Array | None = None

    def __call__(self, seen: Array) -> tuple[Array, Array] | None:
        """``seen`` (128, 128) u8, grey -> from where in the last one each place comes, (128, 128, 2) float32, and the
        share (128, 128) float32 of the last addition that is kept there; None for the first."""
        last, self._seen = self._seen, seen
        if last is None:
            return None
        flow = self._flow.calc(seen, last, None)
        there = _moved(last.astype(np.float32), flow)
        changed = cv2.GaussianBlur(np.abs(seen - there), (0, 0), 1.5)
        return flow, KEPT * np.exp(-((changed / CHANGED) ** 2))


class Steady:
    """Steadies the additions of one shot, in order."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """What comes next continues nothing."""
        self._motion, self._added = Motion(), np.zeros((1, 1, 3), np.float32)

    def __call__(self, picture: Array, added: Array) -> Array:
        """``added`` (s, s, 3) float32, what was added to ``picture`` (s, s, 3) u8 BGR, steadied."""
        seen = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (SMALL, SMALL), interpolation=cv2.INTER_AREA)
        moved = self._motion(seen)
        if moved is not None:
            flow, kept = moved
            size = picture.shape[1::-1]
            fit = size[0] / SMALL
            last = _moved(self._added, cv2.resize(flow, size, interpolation=cv2.INTER_LINEAR) * fit)
            added = added + cv2.resize(kept, size, interpolation=cv2.INTER_LINEAR)[..., None] * (last - added)
        self._added = added
        return added


def _moved(picture: Array, flow: Array) -> Array:
    """``picture`` (h, w, ...) float32 as it looks after ``flow`` (h, w, 2), which leads from there back into it."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(
        picture, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
