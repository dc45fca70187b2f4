"""Telling the presenter from the other faces in the same footage, by how they look in small.

No recognition of people: two faces of one shot are compared with each other, in the same light and by the same camera.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

SIDE = 16
EDGE = 2
"""Cells at the border of the reduced mesh picture that show background more than face."""
KEPT = 16
"""Looks kept of the presenter, and of all others."""
NEW = 0.9
"""A look that is likelier than this to one that is kept says nothing new."""


def look(picture: Array) -> Array:
    """The mesh picture (192, 192, 3) uint8 BGR as a vector of unit length: shades and colours less their mean."""
    small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    inner = small[EDGE:-EDGE, EDGE:-EDGE].astype(np.float32)
    flat = (inner - inner.mean(axis=(0, 1))).ravel()
    result: Array = flat / max(float(np.linalg.norm(flat)), 1e-6)
    return result


class Looks:
    """What the presenter and the others have looked like so far."""

    def __init__(self) -> None:
        self._own: deque[Array] = deque(maxlen=KEPT)
        self._others: deque[Array] = deque(maxlen=KEPT)

    @property
    def alone(self) -> bool:
        """Nobody else has been seen."""
        return not self._others

    def learn(self, seen: Array, *, own: bool) -> None:
        """Remember the mesh picture ``seen`` of the presenter (``own``) or of somebody else, if it is new."""
        kept, vector = self._own if own else self._others, look(seen)
        if _likeness(kept, vector) < NEW:
            kept.append(vector)

    def familiar(self, seen: Array) -> float:
        """How much the mesh picture ``seen`` is like the presenter, -1..1."""
        return _likeness(self._own, look(seen))

    def lead(self, seen: Array) -> float:
        """How much more the mesh picture ``seen`` is like the presenter than like anybody else, -2..2."""
        vector = look(seen)
        return _likeness(self._own, vector) - _likeness(self._others, vector)


def _likeness(kept: deque[Array], vector: Array) -> float:
    """Correlation with the most alike of ``kept``, -1..1."""
    return max((float(vector @ other) for other in kept), default=-1.0)
