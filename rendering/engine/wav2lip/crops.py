"""Where the network's picture of the face lies in a frame: upright, as large as a face detector would box it, steady.

The published pipeline boxes the face anew in every frame, and its mouth trembles with the box.
"""

from __future__ import annotations

from rendering.engine.face.square import Square
from rendering.engine.face.track import Track

SIZE = 96
UNDER_CHIN = 0.05
"""Heights of the face by which the crop goes on under the chin: the published ten pixels under a face of some 200."""


class Crops(Square):
    """The whole face of every frame, 96 pixels wide and high."""

    def __init__(self, track: Track) -> None:
        low, high = track.template.min(axis=0).astype(float), track.template.max(axis=0).astype(float)
        high[1] += UNDER_CHIN * (high[1] - low[1])
        super().__init__(track, (low + high) / 2, (high - low)[:2] / SIZE, SIZE)
