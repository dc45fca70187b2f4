"""A presenter made from a photograph: NASA's portrait of the astronaut Eileen Collins (public domain, in scikit-image).

Her mouth moves by two hand-made modes, opening and width; head motion, blinks and grain make it footage. Used for the
demo and for tests, because the truth is known for every frame. All shapes below are in pixels of the 512 x 512 photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

IO_PX = 63.0
"""Distance of the outer eye corners in the photo (IO): the unit of opening and width, as everywhere in the engine."""
_TILT = np.deg2rad(2.8)
_MOUTH_MIDDLE = np.array([222.7, 143.2])
_OUTER_LOWER = [(205.5, 147.6), (209.9, 151.3), (215.4, 153.9), (222.0, 154.9), (228.7, 154.5), (234.5, 152.4), (239.5, 149.1)]  # fmt: skip  # noqa: E501
_OUTER_UPPER = [(205.0, 138.7), (209.3, 138.3), (216.1, 138.2), (222.7, 139.2), (229.5, 138.8), (236.3, 139.6), (240.7, 140.4)]  # fmt: skip  # noqa: E501
_OUTER_CORNERS = [(199.7, 140.1), (246.0, 142.0)]
_INNER_LOWER = [(202.7, 140.6), (205.7, 143.5), (208.2, 145.2), (212.1, 147.0), (216.8, 148.4), (222.4, 149.1), (228.2, 148.9), (233.1, 147.9), (237.2, 146.4), (239.9, 145.0), (243.1, 142.3)]  # fmt: skip  # noqa: E501
_INNER_UPPER = [(202.7, 140.6), (205.2, 140.4), (208.5, 140.9), (212.2, 141.6), (216.9, 142.4), (222.5, 143.0), (228.3, 142.9), (233.1, 142.4), (237.1, 142.1), (240.5, 141.9), (243.1, 142.3)]  # fmt: skip  # noqa: E501
_JAW = [(268.8, 134.7), (265.2, 144.9), (260.3, 153.2), (254.7, 159.2), (247.7, 164.6), (236.0, 172.1), (229.2, 174.3), (220.6, 174.7), (212.2, 173.4), (200.4, 166.3), (195.4, 161.7), (189.3, 155.6), (184.6, 149.0), (180.8, 140.3)]  # fmt: skip  # noqa: E501
_STILL = [(223.1, 132.6), (209.6, 129.0), (236.9, 130.3), (188.6, 119.5), (259.1, 123.3), (193.7, 125.7), (253.2, 128.9), (224.9, 104.8)]  # fmt: skip  # noqa: E501
_UPPER_LIDS = (
    ((194.9, 99.7), (198.7, 98.3), (202.5, 98.0), (206.1, 98.5), (209.7, 99.7), (212.1, 101.4)),
    ((255.7, 103.6), (252.1, 101.7), (248.4, 101.0), (244.8, 101.0), (241.1, 101.7), (238.4, 103.1)),
)
_LOWER_LIDS = (
    ((195.4, 101.0), (199.8, 102.4), (203.5, 103.0), (207.0, 103.0), (210.4, 102.8), (212.3, 102.7)),
    ((255.0, 104.7), (250.3, 105.6), (246.5, 105.7), (243.0, 105.3), (239.9, 104.7), (237.9, 104.3)),
)
_EYE_CORNERS = [(193.8, 100.1), (213.1, 102.5), (256.7, 104.1), (237.2, 104.1)]
_BROWS = [(186.6, 90.2), (197.8, 85.2), (216.1, 87.7), (236.3, 89.1), (254.8, 89.0), (265.4, 95.1)]
_REGION = (166.0, 76.0, 284.0, 202.0)
"""Left, top, right, bottom of what the face's own movements may touch."""
_HEAD = (226.0, 100.0)

REST_WIDTH = 0.58
"""Inner width of the resting mouth, IO."""
_CAVITY = np.array([26, 20, 44], np.float32)
_LASHES = np.array([38, 44, 62], np.float32)
_TONGUE = np.array([92, 84, 158], np.float32)
_TURN = np.array([[np.cos(_TILT), np.sin(_TILT)], [-np.sin(_TILT), np.cos(_TILT)]])


def _photo_gap() -> np.ndarray:
    """How far the photo's lips stand apart along the mouth, (21, 2): place and gap in the mouth's own frame."""
    upper, lower = ((np.array(line) - _MOUTH_MIDDLE) @ _TURN.T for line in (_INNER_UPPER, _INNER_LOWER))
    at = np.linspace(upper[0, 0], upper[-1, 0], 21)
    return np.stack([at, np.interp(at, lower[:, 0], lower[:, 1]) - np.interp(at, upper[:, 0], upper[:, 1])], 1)


_GAP = _photo_gap()


@dataclass(frozen=True)
class Pose:
    """One frame of the puppet: ``opening`` and ``width`` change in IO, ``blink`` 0..1, head motion in photo pixels
    (``x``, ``y``), radians (``roll``) and arbitrary small units of parallax (``yaw``, ``pitch``)."""

    opening: float = 0.0
    width: float = 0.0
    blink: float = 0.0
    x: float = 0.0
    y: float = 0.0
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0


def _lips(points: np.ndarray, *, lower: bool, opening: float, width: float) -> np.ndarray:
    """Move lip points (n, 2) by the two modes from the closed, less smiling mouth. ``opening``, ``width`` in IO."""
    local = (points - _MOUTH_MIDDLE) @ _TURN.T
    half = 20.2
    u = np.clip(local[:, 0] / half, -1.1, 1.1)
    b = np.clip(1 - u**2, 0, 1)
    moved = local.copy()
    # The photo smiles with the teeth showing: first the closed, resting mouth.
    moved[:, 0] *= REST_WIDTH * IO_PX / (2 * half)
    gap = np.interp(local[:, 0], _GAP[:, 0], _GAP[:, 1])
    moved[:, 1] += 1.3 * u**2 + (-0.56 if lower else 0.44) * gap
    moved[:, 0] += 0.5 * u * width * IO_PX
    if lower:
        moved[:, 1] += IO_PX * (opening * (0.89 * b + 0.20 * u**2) - width * (0.22 * b + 0.32 * u**2))
    else:
        moved[:, 1] += IO_PX * (opening * (-0.10 * b + 0.20 * u**2) - width * (0.13 * b + 0.32 * u**2))
    return moved @ _TURN + _MOUTH_MIDDLE


def _chin(points: np.ndarray, opening: float, width: float) -> np.ndarray:
    share = np.clip((points[:, 1] - 128) / 46, 0, 1) * np.clip(1 - np.abs(points[:, 0] - 223) / 60, 0, 1) ** 0.5
    moved = points.copy()
    moved[:, 1] += IO_PX * share * (0.45 * opening - 0.15 * width)
    return moved


def _spline(knots: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Thin-plate spline through ``knots`` (n, 2) -> ``values`` (n, 2), evaluated ``at`` (m, 2)."""
    n = len(knots)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        d2 = ((a[:, None] - b[None]) ** 2).sum(-1)
        return 0.5 * d2 * np.log(d2 + 1e-9)

    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = kernel(knots, knots) + 0.5 * np.eye(n)
    system[:n, n:] = np.c_[np.ones(n), knots]
    system[n:, :n] = system[:n, n:].T
    solved = np.linalg.solve(system, np.r_[values, np.zeros((3, 2))])
    return kernel(at, knots) @ solved[:n] + np.c_[np.ones(len(at)), at] @ solved[n:]


class Puppet:
    """The animated photograph. ``width``, ``height``: picture in pixels; ``draw`` makes one frame."""

    def __init__(self, width: int, height: int, *, seed: int = 0) -> None:
        from skimage import data

        self.width, self.height = width, height
        self.scale = max(min(width, height) / 288, width / 512, height / 512)
        across, down = width / self.scale, height / self.scale
        left = float(np.clip(_HEAD[0] - across / 2, 0, 512 - across))
        top = float(np.clip(_HEAD[1] + 34 - down / 2, 0, 512 - down))
        self.corner = np.array([left, top])
        photo = np.ascontiguousarray(data.astronaut()[..., ::-1])
        to_frame = np.array([[1 / self.scale, 0, left], [0, 1 / self.scale, top]], np.float32)
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        large = cv2.warpAffine(photo, to_frame, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
        soft = cv2.GaussianBlur(large, (0, 0), 0.9 * self.scale)
        self.still = cv2.addWeighted(large, 1.2, soft, -0.2, 0)
        self.random = np.random.default_rng(seed)
        self.grain = self.random.normal(0, 1.3, (height + 64, width + 64)).astype(np.float32)
        self._region()
        self._teeth_layer()
        self._motion_fields()

    def _frame_px(self, points: np.ndarray) -> np.ndarray:
        return (np.asarray(points, np.float64) - self.corner) * self.scale

    def _region(self) -> None:
        low, high = self._frame_px(np.array([_REGION[:2], _REGION[2:]]))
        self.x0, self.y0 = (int(max(value, 0)) for value in low)
        self.x1, self.y1 = int(min(high[0], self.width)), int(min(high[1], self.height))
        grid = np.stack(np.meshgrid(np.linspace(0, 1, 36), np.linspace(0, 1, 36)), -1).reshape(-1, 2)
        spread = np.array([self.x1 - self.x0 - 1, self.y1 - self.y0 - 1]) / self.scale
        self.grid = self.corner + np.array([self.x0, self.y0]) / self.scale + grid * spread
        edge = np.linspace(0, 1, 7)
        left, top, right, bottom = _REGION
        rim = [(left + e * (right - left), y) for e in edge for y in (top, bottom)]
        rim += [(x, top + e * (bottom - top)) for e in edge[1:-1] for x in (left, right)]
        self.fixed = np.array(
            rim + _STILL + _BROWS + _EYE_CORNERS + [p for lid in _UPPER_LIDS + _LOWER_LIDS for p in lid]
        )

    def _teeth_layer(self) -> None:
        """Her own teeth from the photo, over a dark cavity: what shows between the lips."""
        contour = self._frame_px(np.array(_INNER_UPPER + _INNER_LOWER[::-1])) - [self.x0, self.y0]
        mask = np.zeros((self.y1 - self.y0, self.x1 - self.x0), np.float32)
        cv2.fillPoly(mask, [np.round(contour * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
        mask = cv2.erode(mask, np.ones((3, 3)), iterations=max(1, round(0.7 * self.scale)))
        self.teeth_alpha = cv2.GaussianBlur(mask, (0, 0), 0.6 * self.scale)[..., None]
        self.teeth = self.still[self.y0 : self.y1, self.x0 : self.x1].astype(np.float32) * 0.86

    def _motion_fields(self) -> None:
        """How each head motion moves the picture: (5, h, w, 2) in pixels, fading out over the body."""
        ys, xs = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        x = xs / self.scale + self.corner[0] - _HEAD[0]
        y = ys / self.scale + self.corner[1] - _HEAD[1]
        reach = np.hypot(x / 88, np.where(y > 0, y / 112, y / 100))
        share = 1 / (1 + np.exp((reach - 1.25) / 0.13))
        neck = np.clip(1 - (y - 60) / 70, 0.12, 1)
        share = (share * neck).astype(np.float32)
        depth = np.clip(1 - (x / 62) ** 2 - ((y - 20) / 95) ** 2, -0.4, 1)
        zero = np.zeros_like(x)
        pivot = y - 75
        fields = [(zero + 1, zero), (zero, zero + 1), (-pivot, x), (depth, zero), (zero, depth)]
        self.fields = np.stack([np.stack(f, -1) * share[..., None] for f in fields]).astype(np.float32) * self.scale
        self.identity = np.stack([xs, ys], -1)

    def draw(self, pose: Pose) -> np.ndarray:
        """One frame, (height, width, 3) uint8 BGR."""
        picture = self.still.copy()
        picture[self.y0 : self.y1, self.x0 : self.x1] = self._face(pose)
        amounts = np.array([pose.x, pose.y, pose.roll, pose.yaw, pose.pitch], np.float32)
        source = self.identity - np.tensordot(amounts, self.fields, 1)
        picture = cv2.remap(picture, source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        dx, dy = self.random.integers(0, 64, 2)
        noise = self.grain[dy : dy + self.height, dx : dx + self.width, None]
        return np.clip(picture.astype(np.float32) + noise, 0, 255).astype(np.uint8)

    def _face(self, pose: Pose) -> np.ndarray:
        still = self.still
        layers = []
        for lower in (False, True):
            lip = np.array(_OUTER_LOWER + _INNER_LOWER[1:-1] if lower else _OUTER_UPPER + _INNER_UPPER[1:-1])
            corners, jaw = np.array([*_OUTER_CORNERS, _INNER_LOWER[0], _INNER_LOWER[-1]]), np.array(_JAW)
            source = [lip, corners, jaw, self.fixed]
            target = [
                _lips(lip, lower=lower, opening=pose.opening, width=pose.width),
                _lips(corners, lower=lower, opening=pose.opening, width=pose.width),
                _chin(jaw, pose.opening, pose.width),
                self.fixed,
            ]
            layers.append(self._warp(still, np.concatenate(target), np.concatenate(source)))
        face = self._join(layers[0], layers[1], pose)
        return np.clip(self._blink(face, pose.blink) if pose.blink > 0 else face, 0, 255).astype(np.uint8)

    def _blink(self, face: np.ndarray, blink: float) -> np.ndarray:
        """Draw the upper lids down over the eyes: skin from above them, ending in a line of lashes."""
        lid_skin = cv2.GaussianBlur(face, (0, 0), 1.2 * self.scale)
        lid_skin = np.roll(lid_skin, round(5.5 * self.scale), axis=0) * np.array([0.93, 0.98, 1.03], np.float32)
        for upper, lower in zip(_UPPER_LIDS, _LOWER_LIDS, strict=True):
            top = np.array(upper) - [0, 1.2]
            edge = top + blink * (np.array(lower) + np.array([0, 0.3]) - top)
            top_px, edge_px = (_smooth(self._frame_px(line) - [self.x0, self.y0]) for line in (top, edge))
            lid = cv2.GaussianBlur(_fill([*top_px, *edge_px[::-1]], face), (0, 0), 0.4 * self.scale)[..., None]
            lashes = np.zeros(face.shape[:2], np.float32)
            line = [np.round(edge_px * 16).astype(np.int32)]
            cv2.polylines(lashes, line, False, 0.75, max(1, round(0.9 * self.scale)), cv2.LINE_AA, 4)
            lashes = cv2.GaussianBlur(lashes, (0, 0), 0.35 * self.scale)[..., None]
            face = face + lid * (lid_skin - face)
            face = face + lashes * (_LASHES - face)
        return face

    def _warp(self, picture: np.ndarray, target: np.ndarray, source: np.ndarray) -> np.ndarray:
        size = (self.x1 - self.x0, self.y1 - self.y0)
        shift = _spline(target, source - target, self.grid).reshape(36, 36, 2).astype(np.float32) * self.scale
        # The 36 nodes span pixel middles end to end, so they are interpolated with exactly that alignment.
        nodes = np.stack(np.meshgrid(np.linspace(0, 35, size[0]), np.linspace(0, 35, size[1])), -1).astype(np.float32)
        dense = cv2.remap(shift, nodes, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        where = dense + self.identity[self.y0 : self.y1, self.x0 : self.x1]
        return cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT).astype(np.float32)

    def _join(self, upper: np.ndarray, lower: np.ndarray, pose: Pose) -> np.ndarray:
        """Upper lip's layer above, lower lip's below, and the inside of the mouth between them."""
        height, width = upper.shape[:2]
        top = _lips(np.array(_INNER_UPPER), lower=False, opening=pose.opening, width=pose.width)
        bottom = _lips(np.array(_INNER_LOWER), lower=True, opening=pose.opening, width=pose.width)
        bottom[:, 1] = np.maximum(bottom[:, 1], np.interp(bottom[:, 0], top[:, 0], top[:, 1]))
        top_px, bottom_px = (_smooth(self._frame_px(curve) - [self.x0, self.y0]) for curve in (top, bottom))
        below = _fill(
            [*bottom_px, (width, bottom_px[-1, 1]), (width, height), (0, height), (0, bottom_px[0, 1])], upper
        )
        inside = _fill([*top_px, *bottom_px[::-1]], upper)
        face = upper + cv2.GaussianBlur(below, (0, 0), 0.55 * self.scale)[..., None] * (lower - upper)
        lit = self.teeth * (0.45 + 0.55 * min(1.0, max(pose.opening, 0.0) / 0.055))
        inner = self.teeth_alpha * lit + (1 - self.teeth_alpha) * self._cavity(bottom_px, pose.opening)
        alpha = cv2.GaussianBlur(inside, (0, 0), 0.35 * self.scale)[..., None]
        return face + alpha * (inner - face)

    def _cavity(self, bottom: np.ndarray, opening: float) -> np.ndarray:
        layer = np.empty((self.y1 - self.y0, self.x1 - self.x0, 3), np.float32)
        layer[:] = _CAVITY
        tongue = np.zeros(layer.shape[:2], np.float32)
        middle = bottom[len(bottom) // 2] + [0, 1.2 * self.scale]
        axes = (round(0.166 * IO_PX * self.scale), max(1, round(0.42 * opening * IO_PX * self.scale)))
        cv2.ellipse(tongue, (round(middle[0]), round(middle[1])), axes, 0, 0, 360, 0.75, -1, cv2.LINE_AA)
        tongue = cv2.GaussianBlur(tongue, (0, 0), 1.3 * self.scale)[..., None]
        return layer + tongue * (_TONGUE - layer)


def _smooth(curve: np.ndarray) -> np.ndarray:
    """A lip line of 11 points as 61, without corners between them."""
    from scipy.interpolate import PchipInterpolator

    at = np.linspace(0, 1, len(curve))
    return PchipInterpolator(at, curve)(np.linspace(0, 1, 61))


def _fill(points: list, like: np.ndarray) -> np.ndarray:
    mask = np.zeros(like.shape[:2], np.float32)
    cv2.fillPoly(mask, [np.round(np.array(points) * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return mask
