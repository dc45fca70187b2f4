"""Which tracker follows the presenter: the bundled one, or ``face-alignment`` where the environment asks for it."""

from __future__ import annotations

from rendering.engine.alignment import weights
from rendering.engine.face.follow import Follower, Tracker

identity = weights.identity


def chosen(face: tuple[float, float] | None) -> Tracker:
    """A fresh tracker; ``face``: where to look for the presenter in the first frame, x and y in 0..1.

    Raises ``no_tracker``, ``no_tracker_weights``, ``bad_tracker_weights`` or ``device_error``.
    """
    if weights.asked() == weights.BUNDLED:
        return Follower(face)
    from rendering.engine.alignment.follow import AlignedFollower

    return AlignedFollower(face)
