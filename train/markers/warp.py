"""Mapping of a flat slip into the photograph: bends, then perspective.

A point maps from the flat slip to the bent slip (both in slip pixels) and through a homography to the photograph. A
bend is defined backwards, flat = bent + displacement(bent), as sampling an image needs. Outlines map forwards by
iterating bent = flat - displacement(bent), which converges since displacements are smooth.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .paint import Image, Rng, chance

_ITERATIONS = 10
_POINTS_PER_SIDE = 24


@dataclass(frozen=True)
class Bend:
    """A sum of waves and, if `radius` is finite, a cylinder. The unit is half the slip's long side.

    waves: (n, 6) float32, each direction x, y, shift x, y, wavenumber, phase.
    axis: unit vector across the cylinder.
    """

    waves: np.ndarray
    radius: float
    axis: np.ndarray

    @property
    def is_flat(self) -> bool:
        """Whether there is no bend at all."""
        return not len(self.waves) and np.isinf(self.radius)

    def displacement(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The displacement from bent coordinates x, y to flat ones, and the light gain of the slope."""
        dx, dy, gain = np.zeros_like(x), np.zeros_like(y), np.ones_like(x)
        for along_x, along_y, shift_x, shift_y, number, phase in self.waves:
            angle = number * (along_x * x + along_y * y) + phase
            wave = np.sin(angle)
            dx += shift_x * wave
            dy += shift_y * wave
            gain += 2.0 * np.float32(np.hypot(shift_x, shift_y) * number) * np.cos(angle)
        if np.isfinite(self.radius):
            across = (self.axis[0] * x + self.axis[1] * y) / np.float32(self.radius)
            across = np.clip(across, -0.97, 0.97)
            excess = np.float32(self.radius) * (np.arcsin(across) - across)
            dx += self.axis[0] * excess
            dy += self.axis[1] * excess
            gain *= np.sqrt(1 - 0.6 * across**2)
        return dx, dy, np.clip(gain, 0.35, 1.5)


@dataclass(frozen=True)
class Pose:
    """The pose in the photograph of a slip around `centre`. `half` is half its long side, px.

    matrix: (3, 3) float64 homography from bent slip px to photograph px.
    """

    matrix: np.ndarray
    bend: Bend
    centre: np.ndarray
    half: float

    def outline(self, corners: np.ndarray) -> np.ndarray:
        """The outline in the photograph, (96, 2) float32 px, of a quadrilateral (4, 2) px on the slip."""
        steps = np.linspace(0, 1, _POINTS_PER_SIDE, endpoint=False, dtype=np.float32)[:, None]
        sides = [a + steps * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
        flat = (np.concatenate(sides) - self.centre) / self.half
        bent = flat
        for _ in range(0 if self.bend.is_flat else _ITERATIONS):
            dx, dy, _ = self.bend.displacement(bent[:, 0], bent[:, 1])
            bent = flat - np.stack([dx, dy], 1)
        points = (bent * self.half + self.centre).astype(np.float32)
        return cv2.perspectiveTransform(points[None], self.matrix)[0]

    def sample(self, left: int, top: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The position of each pixel of a window on the flat slip, x and y in px, and its light gain.

        Each is (height, width) float32.
        """
        xs, ys = np.arange(left, left + width) + 0.5, np.arange(top, top + height) + 0.5
        grid = np.stack(np.meshgrid(xs, ys), -1).astype(np.float32)
        bent = cv2.perspectiveTransform(grid, np.linalg.inv(self.matrix))
        bent = (bent - self.centre) / np.float32(self.half)
        x, y = bent[..., 0], bent[..., 1]
        dx, dy, gain = self.bend.displacement(x, y)
        flat = (x + dx) * np.float32(self.half), (y + dy) * np.float32(self.half)
        return flat[0] + self.centre[0], flat[1] + self.centre[1], gain


def frame(picture: Image) -> np.ndarray:
    """The corners of an image, clockwise from its top left. (4, 2) float32 px."""
    height, width = picture.shape[:2]
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)


def random_bend(rng: Rng) -> Bend:
    """Mostly flat, else a cylinder, a wave or crumpled paper."""
    kind = rng.random()
    waves, radius = np.zeros((0, 6), np.float32), np.inf
    axis = np.eye(2, dtype=np.float32)[int(rng.integers(2))]
    if kind < 0.15:
        radius = rng.uniform(0.75, 2.0)
        # Seen from above or below, the lines along a can's waist are arcs.
        waves = np.float32([[*axis, *(axis[::-1] * rng.uniform(-0.15, 0.15)), 1.2, np.pi / 2]])
    elif kind < 0.3:
        waves = _waves(rng, 1, (2.0, 5.0), 0.25)
    elif kind < 0.45:
        waves = _waves(rng, 5, (3.0, 14.0), 0.09)
    return Bend(waves, radius, axis)


def random_view(rng: Rng, height: int, width: int) -> np.ndarray:
    """A camera's view of a slip rotated in space, at any scale and place. (3, 3) float64 homography."""
    roll = rng.uniform(-np.pi, np.pi) if chance(rng, 0.55) else rng.normal(0, 0.12)
    tilt = (0.0, 0.0) if chance(rng, 0.25) else np.clip(rng.normal(0, 0.42, 2), -1.05, 1.05)
    turn = np.eye(3)
    for angle, (i, j) in zip((*tilt, roll), ((1, 2), (0, 2), (0, 1)), strict=True):
        step = np.eye(3)
        step[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = step @ turn
    half = max(height, width) / 2
    to_plane = np.array([[1 / half, 0, -width / 2 / half], [0, 1 / half, -height / 2 / half], [0, 0, 1]])
    distance = rng.uniform(2.0, 8.0)
    project = turn[:, :2] @ to_plane[:2]
    project[2] += distance * to_plane[2]
    return project


def paste(photograph: Image, picture: Image, alpha: np.ndarray, pose: Pose) -> None:
    """Paint a slip into the photograph, in place, shaded by its bends. Images uint8 BGR, alpha (h, w) uint8."""
    height, width = picture.shape[:2]
    border = pose.outline(frame(picture))
    left, top = np.maximum(np.floor(border.min(0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(border.max(0)).astype(int) + 1, photograph.shape[1::-1])
    if right <= left or bottom <= top:
        return
    # Shrink to about the final size, since sampling alone would alias.
    edges = [np.linalg.norm(np.diff(side, axis=0), axis=1).sum() for side in np.split(border, 4)]
    fit = ((edges[0] + edges[2]) / 2 / width, (edges[1] + edges[3]) / 2 / height)
    size = tuple(max(min(int(1.3 * f * side), side), 2) for f, side in zip(fit, (width, height), strict=True))
    layers = cv2.resize(cv2.merge([*cv2.split(picture), alpha]), size, interpolation=cv2.INTER_AREA)
    # Weight colours by opacity, so that pixels outside the slip do not count as black.
    layers[..., :3] = layers[..., :3] * (layers[..., 3:] / np.float32(255))

    x, y, gain = pose.sample(left, top, right - left, bottom - top)
    x, y = x * np.float32(size[0] / width) - 0.5, y * np.float32(size[1] / height) - 0.5
    seen = cv2.remap(layers, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).astype(np.float32)
    window = photograph[top:bottom, left:right]
    ink, opacity = np.minimum(seen[..., :3] * gain[..., None], 255), seen[..., 3:] / 255
    window[:] = np.minimum(ink + window * (1 - opacity), 255)


def _waves(rng: Rng, count: int, numbers: tuple[float, float], slope: float) -> np.ndarray:
    angle, number = rng.uniform(0, 2 * np.pi, count), rng.uniform(*numbers, count)
    shift_angle = rng.uniform(0, 2 * np.pi, count)
    shift = slope * rng.uniform(0.3, 1, count) / number
    columns = (np.cos(angle), np.sin(angle), shift * np.cos(shift_angle), shift * np.sin(shift_angle))
    return np.stack([*columns, number, rng.uniform(0, 2 * np.pi, count)], 1).astype(np.float32)
