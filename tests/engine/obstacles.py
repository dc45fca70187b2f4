"""Things drawn before a presenter's face, with known truth: a hand, a microphone, a cup; and captions under it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SKIN = (150, 170, 214)
"""BGR of a hand in even light."""


@dataclass(frozen=True)
class Pass:
    """One thing that comes before the mouth: in from a side, there for a while, out again. Seconds."""

    start_s: float
    stop_s: float
    what: str
    side: tuple[float, float] = (0.0, 1.0)
    """Where it comes from, a direction in the picture."""
    skin: tuple[int, int, int] = SKIN


def place(way: Pass, seconds: float) -> tuple[float, float] | None:
    """Where ``way`` is at that time, in face heights from the mouth; None while it is away."""
    if not way.start_s <= seconds <= way.stop_s:
        return None
    come = min(1.0, (seconds - way.start_s) / 0.4, (way.stop_s - seconds) / 0.4)
    away = 1.6 * (1 - (3 * come**2 - 2 * come**3))
    return way.side[0] * away, way.side[1] * away


def draw(picture: np.ndarray, mouth: tuple[float, float], io: float, way: Pass, seconds: float) -> np.ndarray:
    """Draw ``way`` into ``picture`` (H, W, 3) u8 BGR, before ``mouth`` (px); ``io`` px. Returns its alpha, (H, W)."""
    alpha = np.zeros(picture.shape[:2], np.float32)
    at = place(way, seconds)
    if at is None:
        return alpha
    centre = (mouth[0] + at[0] * io, mouth[1] + at[1] * io)
    paint = {"hand": _hand, "microphone": _microphone, "cup": _cup}[way.what]
    colours = paint(alpha, centre, io, way)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.012 * io)
    mixed = picture + alpha[..., None] * (colours - picture.astype(np.float32))
    picture[...] = np.clip(mixed, 0, 255).astype(np.uint8)
    return alpha


def _shaded(alpha: np.ndarray, centre: tuple[float, float], io: float, bgr: tuple[int, int, int]) -> np.ndarray:
    """A colour that gets darker to the right and below, (H, W, 3) float32."""
    rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    light = 1 - 0.18 * np.clip((columns - centre[0]) / io, -1, 1) - 0.12 * np.clip((rows - centre[1]) / io, -1, 1)
    return light[..., None].astype(np.float32) * np.array(bgr, np.float32)


def _hand(alpha: np.ndarray, centre: tuple[float, float], io: float, way: Pass) -> np.ndarray:
    """A flat hand: four fingers, a palm and a wrist that leads out of the picture."""
    x, y = centre
    colours = _shaded(alpha, centre, io, way.skin)
    for finger in range(4):
        left, top = x + (finger - 1.5) * 0.2 * io, y - (0.34, 0.42, 0.4, 0.3)[finger] * io
        bone = [np.round([[left, top], [left, y + 0.3 * io]]).astype(np.int32)]
        cv2.polylines(alpha, bone, False, 1.0, max(2, round(0.17 * io)), cv2.LINE_AA)
        cv2.line(colours, *(tuple(int(v) for v in p) for p in bone[0] + [round(0.09 * io), 0]), [0.7 * c for c in way.skin], max(1, round(0.02 * io)))  # fmt: skip  # noqa: E501
    cv2.ellipse(alpha, (round(x), round(y + 0.45 * io)), (round(0.42 * io), round(0.38 * io)), 0, 0, 360, 1.0, -1)
    wrist = np.round([[x - 0.25 * io, y + 0.6 * io], [x + 0.25 * io, y + 0.6 * io], [x + 0.3 * io, y + 3 * io], [x - 0.3 * io, y + 3 * io]])  # fmt: skip  # noqa: E501
    cv2.fillPoly(alpha, [wrist.astype(np.int32)], 1.0)
    return colours


def _microphone(alpha: np.ndarray, centre: tuple[float, float], io: float, way: Pass) -> np.ndarray:
    """A ball of dark foam on a stick."""
    x, y = centre
    colours = _shaded(alpha, centre, io, (46, 42, 40))
    cv2.circle(alpha, (round(x), round(y)), round(0.27 * io), 1.0, -1, cv2.LINE_AA)
    end = (round(x + 0.4 * io), round(y + 2 * io))
    cv2.line(alpha, (round(x), round(y)), end, 1.0, max(2, round(0.14 * io)), cv2.LINE_AA)
    return colours


def _cup(alpha: np.ndarray, centre: tuple[float, float], io: float, way: Pass) -> np.ndarray:
    """A pale cup."""
    x, y = centre
    colours = _shaded(alpha, centre, io, (226, 222, 218))
    half, tall = 0.3 * io, 0.35 * io
    body = np.round(
        [[x - half, y - tall], [x + half, y - tall], [x + 0.8 * half, y + tall], [x - 0.8 * half, y + tall]]
    )
    cv2.fillPoly(alpha, [body.astype(np.int32)], 1.0, cv2.LINE_AA)
    return colours
