"""The gate's figures: held-out frames drawn by the product's own path, looked at and tracked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rendering.engine.backends import Exemplar, Scene
from rendering.engine.check import Place, Skin, correlation
from rendering.engine.contract import Report, silent
from rendering.engine.errors import EngineError
from rendering.engine.face import geometry
from rendering.engine.face.compose import Begun
from rendering.engine.face.lips import LipSpace, head_turn
from rendering.engine.face.mesh import Crop, Mesh
from rendering.engine.face.points import LIPS, LIPS_OUTER, STABLE
from rendering.engine.face.track import Track, opening_width
from rendering.engine.media.frame import Frame
from rendering.engine.media.frames import FrameWalk, require_video
from rendering.engine.media.probe import MediaInfo
from rendering.engine.neural.crops import Crops, Wanted
from rendering.engine.neural.detail import DULL
from rendering.engine.neural.draw import Network, NeuralMouths
from rendering.engine.neural.footage import GAIN, HELD_OUT, blocks
from rendering.engine.neural.gate import Figures
from rendering.engine.neural.losses import grey, similarity
from rendering.engine.stages import Parts

Array = np.ndarray[Any, Any]
Draw = Callable[[Frame, int], "Begun | None"]

DRIVEN, SPEAKING = (1, 2, 3), (4, 5, 6)
"""Stretches that were learnt from, as a render's frames are: those on which other mouths are drawn, and whose mouths
these are. Two seconds held out are too few for an r."""
MOUTH_MARGIN = 0.08
"""IO around the lips that count as the mouth."""
BAND, GRID = (0.12, 0.20), (0.46, 0.50)
"""Cycles a pixel of the square."""
WINDOW_IO = (0.80, 0.55)
"""Width and height of the window whose detail is compared."""
SEAM = (0.05, 0.30)
LEAST = 5
MAX_LAG = 4
FILMS = 9
"""Times that frames are walked through."""


@dataclass(frozen=True, eq=False)
class Filmed:
    """``n`` frames, drawn or as they were."""

    mouth: Array
    """(n, 2) opening and width, IO, tracked again."""
    squares: Array
    """(n, s, s, 3) u8 BGR."""
    flicker: float
    seam: float
    """Mean change where the mask is thin, grey levels; 0 for frames as they were."""


def measure(
    footage: Path,
    info: MediaInfo,
    folder: Path,
    track: Track,
    lips: LipSpace,
    network: Network,
    report: Report = silent,
) -> Figures:
    """The figures of ``network`` on ``footage``, as analysed in ``folder``. Raises ``mouths_too_little``.

    Finds out first whether it is dull, and leaves it knowing.
    """
    report = Parts(report, FILMS)
    crops, fps = Crops(track, lips, network.size), float(require_video(info).fps)
    block, codes = blocks(track, crops), np.nan_to_num(crops.own_codes())
    held_out, driven, speaking = (np.flatnonzero(np.isin(block, each)) for each in (HELD_OUT, DRIVEN, SPEAKING))
    if len(held_out) < LEAST:
        raise EngineError("mouths_too_little", f"{len(held_out)} frames to measure on")
    library = replace(track, ok=track.ok & (block >= 0) & (block != HELD_OUT))
    other = codes[np.resize(speaking, len(driven))]
    still = np.repeat(np.median(codes[block >= 0], axis=0)[None], len(driven), axis=0).astype(np.float32)

    def film(order: Array, plan: Array, exemplar: bool = False) -> Filmed:
        scene = Scene(track, lips, "A", folder, order, plan, library, np.zeros(1, np.float32), fps)
        maker = Exemplar(scene, GAIN) if exemplar else NeuralMouths(scene, network)
        try:
            return _film(footage, info, track, crops, order, _by(maker), report)
        finally:
            maker.close()

    def untouched(order: Array) -> Filmed:
        return _film(footage, info, track, crops, order, lambda frame, t: None, report)

    truth, moving = untouched(held_out), untouched(driven)
    look = Look(crops, [crops.wanted(codes[index], int(index)) for index in held_out])
    network.dull = False
    network.dull = look.share(film(held_out, codes[held_out]).squares, truth.squares, BAND) < DULL
    asked = ((held_out, codes[held_out]), (driven, other), (driven, still))
    own, planned, frozen = (film(order, plan) for order, plan in asked)
    own_theirs, planned_theirs, frozen_theirs = (film(order, plan, exemplar=True) for order, plan in asked)
    wanted = lips.opening_width(other)[:, 0]
    still_moves, still_moves_theirs, own_moves = (
        without_head(each.mouth[:, 0], track, driven) for each in (frozen, frozen_theirs, moving)
    )
    psnr, ssim = look.alike(own.squares, truth.squares)
    exemplar_psnr, exemplar_ssim = look.alike(own_theirs.squares, truth.squares)
    middle, finest = (look.share(own.squares, truth.squares, band) for band in (BAND, GRID))
    return Figures(
        usable_s=float((block >= 0).sum() / fps),
        psnr=psnr,
        ssim=ssim,
        exemplar_psnr=exemplar_psnr,
        exemplar_ssim=exemplar_ssim,
        own_opening=correlation(own.mouth[:, 0], truth.mouth[:, 0]),
        own_width=correlation(own.mouth[:, 1], truth.mouth[:, 1]),
        exemplar_own_opening=correlation(own_theirs.mouth[:, 0], truth.mouth[:, 0]),
        exemplar_own_width=correlation(own_theirs.mouth[:, 1], truth.mouth[:, 1]),
        planned=correlation(planned.mouth[:, 0], wanted),
        planned_lag=best_lag(planned.mouth[:, 0], wanted),
        exemplar_planned=correlation(planned_theirs.mouth[:, 0], wanted),
        amplitude=_moves(planned.mouth[:, 0], wanted),
        exemplar_amplitude=_moves(planned_theirs.mouth[:, 0], wanted),
        leak=_moves(still_moves, own_moves),
        leak_r=correlation(still_moves, own_moves),
        exemplar_leak=_moves(still_moves_theirs, own_moves),
        exemplar_leak_r=correlation(still_moves_theirs, own_moves),
        flicker=planned.flicker / max(moving.flicker, 1e-9),
        exemplar_flicker=planned_theirs.flicker / max(moving.flicker, 1e-9),
        middle=middle,
        finest=finest,
        seam=planned.seam,
        exemplar_seam=planned_theirs.seam,
    )


def _moves(made: Array, wanted: Array) -> float:
    """Standard deviation of ``made`` (n,) over that of ``wanted``."""
    return float(made.std() / max(wanted.std(), 1e-9))


def without_head(opening: Array, track: Track, frames: Array) -> Array:
    """``opening`` (n,) of footage ``frames`` (n,) less what the head's turn and size explain of it, by least squares.

    The tracker reads lips that do not move a little wider or closer as the head nods.
    """
    turn = head_turn(track)[frames]
    turn = (turn - turn.mean(axis=0)) / 10
    size = np.log(track.io[frames])
    given = np.column_stack([np.ones(len(frames)), turn, turn**2, turn[:, 0] * turn[:, 1], size - size.mean()])
    result: Array = opening - given @ np.linalg.lstsq(given, opening, rcond=None)[0]
    return result


def _by(maker: Exemplar | NeuralMouths) -> Draw:
    if isinstance(maker, NeuralMouths):
        return lambda frame, t: maker.draw([frame], t)[0]
    composer = maker.composer

    def draw(frame: Frame, t: int) -> Begun | None:
        begun = composer.begin(frame, t)
        if begun is not None:
            composer.finish(frame, t, begun)
        return begun

    return draw


def _film(
    footage: Path, info: MediaInfo, track: Track, crops: Crops, order: Array, draw: Draw, report: Report
) -> Filmed:
    mesh, skin = Mesh(), Skin()
    points, squares, seams = [], [], []
    for t, frame in enumerate(FrameWalk(footage, info, order.tolist())):
        index = int(order[t])
        seen = track.points[index]
        crop = Crop.of_points(seen)
        before = frame.y.copy()
        begun = draw(frame, t)
        if begun is not None:
            seams.append(_seam(before, frame.y, begun))
        skin.add(frame, Place(track.steady.points[index]), t)
        squares.append(crops.cut(frame, index))
        picture = mesh.picture(frame, crop)
        points.append(seen if picture is None else mesh.read(picture, crop)[0])
        report("measure", t + 1, len(order))
    found = np.stack(points).astype(np.float64)
    pose = geometry.similarity(track.template[STABLE], found[:, STABLE])
    lips = geometry.smooth(geometry.normalise(found[:, LIPS], pose), [(0, len(found))], 5)
    return Filmed(
        np.stack(opening_width(lips), axis=1), np.stack(squares), skin.flicker, float(np.mean(seams)) if seams else 0.0
    )


def _seam(before: Array, after: Array, begun: Begun) -> float:
    """Mean change of luma (H, W) u8 where the mask is thin."""
    x, y, w, h = begun.box
    rows, columns = np.s_[max(0, y) : y + h], np.s_[max(0, x) : x + w]
    changed = np.abs(after[rows, columns].astype(int) - before[rows, columns])
    alpha = begun.mask.full()[max(0, -y) :, max(0, -x) :][: changed.shape[0], : changed.shape[1]]
    thin = (alpha > SEAM[0]) & (alpha < SEAM[1])
    return float(changed[thin].mean()) if thin.any() else 0.0


class Look:
    """The mouths of squares (n, s, s, 3) u8, always the same ones."""

    def __init__(self, crops: Crops, wanted: list[Wanted]) -> None:
        """``wanted``: the frames' own mouths."""
        self._size, self._wanted = crops.size, wanted
        reach = 2 * round(MOUTH_MARGIN * crops.pixels_per_io) + 1
        self._around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        self._window = (round(WINDOW_IO[0] * crops.pixels_per_io), round(WINDOW_IO[1] * crops.pixels_per_io))

    def alike(self, made: Array, truth: Array) -> tuple[float, float]:
        """PSNR in dB and SSIM of the mouths."""
        errors, alike = [], []
        for a, b, wanted in zip(made, truth, self._wanted, strict=True):
            area = cv2.dilate(wanted.maps(self._size)[2], self._around) > 0.5
            errors.append(float(((a.astype(float) - b) ** 2)[area].mean()))
            light = (torch.from_numpy(part.transpose(2, 0, 1)[None].astype(np.float32) / 255) for part in (a, b))
            alike.append(float(similarity(*(grey(part) for part in light))[0, 0].numpy()[area].mean()))
        return float(10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-6))), float(np.mean(alike))

    def share(self, made: Array, truth: Array, band: tuple[float, float]) -> float:
        """:meth:`power` of ``made`` over that of ``truth``."""
        return self.power(made, band) / self.power(truth, band)

    def power(self, squares: Array, band: tuple[float, float]) -> float:
        """Mean power of the mouths' luma between two frequencies, cycles a pixel; of :data:`GRID` along one axis."""
        width, height = self._window
        across, down = np.fft.fftfreq(width)[None], np.fft.fftfreq(height)[:, None]
        at = np.maximum(np.abs(across), np.abs(down)) if band is GRID else np.hypot(across, down)
        within, hann = (at >= band[0]) & (at <= band[1]), np.outer(np.hanning(height), np.hanning(width))
        found = []
        for picture, wanted in zip(squares, self._wanted, strict=True):
            x, y = (round(float(place)) for place in wanted.lips[: len(LIPS_OUTER)].mean(axis=0))
            light = cv2.getRectSubPix(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (width, height), (x, y)).astype(float)
            found.append(float((np.abs(np.fft.fft2((light - light.mean()) * hann)) ** 2)[within].mean()))
        return float(np.mean(found))


def best_lag(made: Array, wanted: Array) -> int:
    """Frames, up to four, by which ``made`` (n,) agrees best with ``wanted`` (n,); positive is late."""
    reach = min(MAX_LAG, len(made) // 4)
    scores = {
        lag: correlation(made[max(0, lag) : len(made) + min(0, lag)], wanted[max(0, -lag) : len(made) - max(0, lag)])
        for lag in sorted(range(-reach, reach + 1), key=abs)
    }
    return max(scores, key=lambda lag: scores[lag])
