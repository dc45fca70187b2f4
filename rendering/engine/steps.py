"""What a back end does with some frames at a time, step by step, so that several batches can be at different steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rendering.engine.face.blend import Mask
    from rendering.engine.media.frame import Box, Frame

Array = np.ndarray[Any, Any]


@dataclass(eq=False)
class Batch:
    """Some output frames in order, on their way through the steps."""

    first: int
    """Number of the first of them."""
    frames: Sequence[Frame]
    """As the footage has them; their mouths are drawn in place."""
    drawn: list[bool] = field(default_factory=list)
    """After the last step: False for a frame that keeps its own pixels."""
    places: list[tuple[Box, Mask, Array] | None] = field(default_factory=list)
    """After the last step of a back end with a network: where it drew, the box, the mask there and the share (h, w) of
    it that counts; None for a frame that it drew nothing into."""
    work: Any = None
    """What one step leaves for the next."""


Step = Callable[[Batch], None]


class Stepwise:
    """A back end as its steps."""

    steps: Mapping[str, Step]
    """By name, in order. Each is given every batch, one after another, and is alone with it; but while it works, the
    other steps may be at work on the batches before and after, in other threads."""

    def through(self, frames: Sequence[Frame], first: int) -> Batch:
        """All steps, here and now, with output frames ``first``, ``first + 1`` ...: ``frames``, in place."""
        batch = Batch(first, frames)
        for step in self.steps.values():
            step(batch)
        return batch

    def compose(self, frames: Sequence[Frame], first: int) -> list[bool]:
        """The same. False for a frame that keeps its own pixels."""
        return self.through(frames, first).drawn
