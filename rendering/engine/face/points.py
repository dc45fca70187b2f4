"""Names for the points of MediaPipe's 468-point face mesh. "Left" and "right" are the viewer's."""

from __future__ import annotations

import numpy as np

LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""Outer lip contour from the left corner along the lower lip to the right corner and back along the upper lip."""

LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
"""Inner lip contour in the same order as :data:`LIPS_OUTER`."""

LIPS = np.array(LIPS_OUTER + LIPS_INNER)
"""The 40 points that describe a mouth; the first 20 are the outer contour."""

OPENING_PAIRS = ((13, 14), (82, 87), (312, 317))
"""Upper and lower inner lip, middle and beside it."""

CORNERS = (78, 308)
"""Inner mouth corners."""

EYES = (33, 263)
"""Outer eye corners: their distance in the template is the unit of length (IO)."""

STABLE = np.array(
    (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 8, 9, 151, 10, 127, 356, 162, 389, 21, 251, 54, 284),
)
"""Eye corners, nose ridge, forehead and temples: points that speech does not move."""

MIRRORED = ((33, 263), (133, 362), (234, 454), (127, 356), (162, 389), (21, 251), (54, 284), (93, 323))
"""Pairs that are mirror images of each other; they give the template its left-to-right axis."""

FOREHEAD, CHIN = 10, 152

JAW = np.array((454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234))
"""The lower outline of the face from the right ear through the chin to the left ear."""
