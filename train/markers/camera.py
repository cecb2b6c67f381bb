"""Effects of light and camera on a scene: shadows, glare, exposure, blur, noise, JPEG."""

from dataclasses import dataclass

import cv2
import numpy as np

from .paint import Image, Rng, chance, ramp


@dataclass(frozen=True)
class Lens:
    """The sharpness of the photograph. Chosen before painting, so that no illegible symbol is painted.

    defocus: sigma, px. motion: length of the camera's path during the exposure, px.
    shrink: scale of the resolution, 0..1.
    """

    defocus: float
    motion: float
    shrink: float

    @property
    def spread(self) -> float:
        """The standard deviation of the blur, px."""
        return float(np.sqrt(self.defocus**2 + self.motion**2 / 12 + 0.2 * (1 / self.shrink**2 - 1)))


def random_lens(rng: Rng) -> Lens:
    """Sharp with probability 2/5, else out of focus, shaken or of low resolution."""
    defocus = float(np.exp(rng.uniform(np.log(0.4), np.log(2.6)))) if chance(rng, 0.4) else 0.0
    motion = rng.uniform(2, 9) if chance(rng, 0.15) else 0.0
    shrink = rng.uniform(0.45, 1.0) if chance(rng, 0.25) else 1.0
    return Lens(defocus, motion, shrink)


def shoot(rng: Rng, scene: Image, lens: Lens) -> Image:
    """The photograph of a painted scene. Both (h, w, 3) uint8 BGR."""
    photograph = _develop(rng, _illuminate(rng, scene))
    photograph = _blur(rng, photograph, lens)
    if chance(rng, 0.6):
        photograph = _add_noise(rng, photograph)
    if chance(rng, 0.75):
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 96))]
        photograph = cv2.imdecode(cv2.imencode(".jpg", photograph, quality)[1], cv2.IMREAD_COLOR)
    return photograph


def _illuminate(rng: Rng, scene: Image) -> Image:
    """Uneven light: a gradient, vignetting, shadows with soft or hard edges, highlights."""
    height, width = scene.shape[:2]
    rows, cols = height // 2, width // 2
    gain = np.ones((rows, cols), np.float32)
    if chance(rng, 0.5):
        gain *= 1 + rng.uniform(0.1, 0.7) * (ramp(rng, rows, cols) - 0.5)
    if chance(rng, 0.2):
        x, y = np.linspace(-1, 1, cols, dtype=np.float32), np.linspace(-1, 1, rows, dtype=np.float32)
        gain *= 1 - rng.uniform(0.1, 0.5) * (y[:, None] ** 2 + x[None] ** 2) / 2
    if chance(rng, 0.3):
        gain *= 1 - rng.uniform(0.2, 0.65) * _patch(rng, rows, cols, int(rng.integers(3, 7)))
    full = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    lit = cv2.multiply(scene, cv2.merge([full] * 3), dtype=cv2.CV_8U)
    if chance(rng, 0.15):
        spot = cv2.GaussianBlur(_patch(rng, rows, cols, 24, largest=0.2), (0, 0), cols / 24)
        light = rng.uniform(40, 200) * spot
        light = cv2.resize(light.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
        lit = cv2.add(lit, cv2.merge([light] * 3))
    return lit


def _patch(rng: Rng, rows: int, cols: int, vertices: int, largest: float = 0.8) -> np.ndarray:
    """A polygonal or (with many vertices) round patch with a blurred edge, (rows, cols) float32 in 0..1."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    radii = rng.uniform(0.08, largest, 2) * cols
    centre = rng.uniform(0, 1, 2) * (cols, rows)
    outline = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii
    patch = np.zeros((rows, cols), np.float32)
    cv2.fillPoly(patch, [outline.astype(np.int32)], 1.0)
    softness = 2 * int(rng.uniform(0.005, 0.1) * cols) + 1
    # Two box filters are close to a Gaussian, and their cost does not depend on the width.
    return cv2.blur(cv2.blur(patch, (softness, softness)), (softness, softness))


def _develop(rng: Rng, scene: Image) -> Image:
    """Exposure, gamma, contrast and colour cast, in one lookup table per channel."""
    levels = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    exposure = np.exp(rng.normal(0, 0.22))
    cast = np.exp(rng.normal(0, 0.07, 3))
    # Haze lifts black and makes a photograph flat; a steep gamma makes it dark.
    haze = rng.uniform(0, 0.25) if chance(rng, 0.2) else 0.0
    curve = haze + (1 - haze) * (levels * exposure * cast) ** np.exp(rng.normal(0, 0.25))
    table = (curve.clip(0, 1) * 255).astype(np.uint8)
    developed = cv2.LUT(scene, table[None])
    if chance(rng, 0.06):
        developed = cv2.cvtColor(cv2.cvtColor(developed, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return developed


def _blur(rng: Rng, photograph: Image, lens: Lens) -> Image:
    if lens.defocus:
        photograph = cv2.GaussianBlur(photograph, (0, 0), lens.defocus)
    if lens.motion:
        photograph = cv2.filter2D(photograph, -1, _streak(lens.motion, rng.uniform(0, np.pi)))
    if lens.shrink < 1:
        size = photograph.shape[1::-1]
        small = (int(size[0] * lens.shrink), int(size[1] * lens.shrink))
        back = cv2.INTER_LINEAR if chance(rng, 0.6) else cv2.INTER_CUBIC
        photograph = cv2.resize(photograph, small, interpolation=cv2.INTER_AREA)
        photograph = cv2.resize(photograph, size, interpolation=back)
    return photograph


def _streak(length: float, angle: float) -> np.ndarray:
    side = 2 * int(length / 2 + 1) + 1
    kernel = np.zeros((side, side), np.uint8)
    reach = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = ((side // 2 + sign * reach) * 16 for sign in (-1, 1))
    start, stop = (tuple(int(v) for v in end) for end in ends)
    cv2.line(kernel, start, stop, 255, 1, cv2.LINE_AA, shift=4)
    return kernel.astype(np.float32) / kernel.sum()


def _add_noise(rng: Rng, photograph: Image) -> Image:
    """Sensor noise: brightness per pixel, colour in coarser spots."""
    height, width = photograph.shape[:2]
    sigma = np.float32(np.exp(rng.uniform(np.log(1), np.log(18))))
    grain = sigma * rng.standard_normal((height, width), dtype=np.float32)
    spots = 0.6 * sigma * rng.standard_normal((height // 3, width // 3, 3), dtype=np.float32)
    spots = cv2.resize(spots, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.add(photograph, spots + grain[..., None], dtype=cv2.CV_8U)
