"""What a film has to teach: decoded once, every usable frame as a square with its own mouth described.

Beside each lies what the ``exemplar`` back end would have drawn there: the mouth of a frame from elsewhere, bent to
this one's shape. The network learns with it as it will be given it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rendering.engine import scratch
from rendering.engine.analysis import PATCHES
from rendering.engine.contract import Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.face.choose import Library, choose, shot_of, speed
from rendering.engine.face.compose import Composer
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.profile import Patches
from rendering.engine.face.track import Track
from rendering.engine.media.frame import Box
from rendering.engine.media.frames import FrameWalk
from rendering.engine.media.probe import MediaInfo
from rendering.engine.neural.crops import PADDING, Crops, Wanted, usable_frames, windows

Array = np.ndarray[Any, Any]

BLOCKS = 10
"""Stretches of the usable frames; none lends a mouth to itself, and one is held out."""
HELD_OUT = 7
MOST_FRAMES = 4500
"""Three minutes: more teach little, and every frame takes room."""
LEAST_FRAMES = 60
GAIN = 1.0
"""The network is shown mouths as wide as they are: its corners go where they are told to."""


@dataclass(frozen=True, eq=False)
class Lessons:
    """``n`` usable frames in footage order. Pictures are (n, side, side, 3) u8 BGR and lie in files."""

    size: int
    padding: int
    frames: Array
    """(n,) int: footage frames."""
    pictures: Array
    lent: Array
    """The mouth of another frame as it would be laid over this one, black around it."""
    conditions: Array
    """(n, 43) float32."""
    wanted: list[Wanted]
    """In pixels of the padded square."""
    modes: Array
    """(8, 40, 2) float32: pixels by which a unit of each number moves the lips, head upright and frontal."""
    held_out: Array
    """(n,) bool: a stretch that is never learnt from."""

    def __len__(self) -> int:
        return len(self.frames)


def blocks(track: Track, crops: Crops) -> Array:
    """(N,) int: in which of the :data:`BLOCKS` stretches each frame lies that is learnt from; -1 elsewhere."""
    result = np.full(len(track), -1)
    places = np.flatnonzero(usable_frames(track, crops))[:MOST_FRAMES]
    result[places] = np.arange(len(places)) * BLOCKS // max(1, len(places))
    return result


def lenders(track: Track, lips: LipSpace, inside: Array, codes: Array, block: Array) -> Array:
    """(N,) int: the frame of another block, never of the held-out one, that lends its mouth to each; itself where
    ``block`` (N,) is -1. ``codes`` (N, 8): the frames' own mouths; ``inside`` (N, 27): see ``Patches``."""
    chosen = np.arange(len(track))
    turn, moves, shots = head_turn(track), speed(track), shot_of(track)
    for number in range(BLOCKS):
        here = np.flatnonzero(block == number)
        if not len(here):
            continue
        elsewhere = (block >= 0) & (block != number) & (block != HELD_OUT)
        library = Library.of(replace(track, ok=track.ok & elsewhere), lips, inside)
        chosen[here] = choose(codes[here], turn[here], library, moves[here], shots[here])
    return chosen


def collect(
    footage: Path, info: MediaInfo, folder: Path, track: Track, lips: LipSpace, size: int, report: Report = silent
) -> Lessons:
    """Read ``footage`` once. Raises ``mouths_too_little``: hardly a frame is good enough.

    ``folder``: of its analysis, where the patches are; ``size``: pixels a side of the squares.
    """
    crops = Crops(track, lips, size, size // PADDING)
    block = blocks(track, crops)
    order = np.flatnonzero(block >= 0)
    if len(order) < LEAST_FRAMES:
        raise EngineError("mouths_too_little", f"{len(order)} frames to learn from")
    codes = crops.own_codes()
    told = windows(codes, track.runs)
    pictures, lent = scratch.Rows(), scratch.Rows()
    wanted: list[Wanted] = []
    with Patches(folder / PATCHES) as patches:
        chosen = lenders(track, lips, patches.inside, np.nan_to_num(codes), block)[order]
        composer = Composer(
            track, lips, patches, order=order, plan=np.nan_to_num(codes)[order], chosen=chosen, gain=GAIN
        )
        for t, frame in enumerate(FrameWalk(footage, info, order.tolist())):
            index = int(order[t])
            own = crops.cut(frame, index)
            begun = composer.begin(frame, t)
            pictures.add(own)
            lent.add(np.zeros_like(own) if begun is None else lent_square(crops, begun.picture, begun.box, index))
            wanted.append(crops.wanted(codes[index], index))
            report("collect", t + 1, len(order))
    return Lessons(
        size=size,
        padding=crops.padding,
        frames=order,
        pictures=pictures.array(),
        lent=lent.array(),
        conditions=np.stack([crops.condition(told[index], int(index)) for index in order]),
        wanted=wanted,
        modes=(lips.modes * crops.pixels_per_io).astype(np.float32),
        held_out=block[order] == HELD_OUT,
    )


def lent_square(crops: Crops, picture: Array, box: Box, index: int) -> Array:
    """``picture`` (h, w, 3) u8, which covers ``box`` of footage frame ``index``, as a square; black beside it.

    The frame's own pixels beside it would tell where its own jaw is.
    """
    x, y, w, h = box
    corners = np.array([[x, y], [x + w - 1, y], [x + w - 1, y + h - 1], [x, y + h - 1]], float)
    inside = np.zeros((crops.size, crops.size), np.uint8)
    cv2.fillConvexPoly(inside, np.round(crops.into(corners, index)).astype(np.int32), 1)
    result: Array = crops.cut_box(picture, box, index) * inside[..., None]
    return result
