"""Simple Pose in NumPy and OpenCV, one pair of peaks per step, from section 3.3 of its paper (arXiv 1911.10529)."""

import cv2
import numpy as np
from numpy.typing import NDArray
from plain_links import Link, assembled, best_links

from detforge.deploy.forms import BodyParts

Floats = NDArray[np.float32]


def group(form: BodyParts, heatmaps: Floats, limbs: Floats) -> list[dict[int, int]]:
    """People in heatmaps (parts, h, w) and limbs (limbs, h, w), which are enlarged to px of the image."""
    large = [cv2.resize(map, None, fx=form.stride, fy=form.stride, interpolation=cv2.INTER_CUBIC) for map in limbs]
    found = [peaks(map, form) for map in heatmaps]
    starts = np.cumsum([0, *map(len, found)])
    links: list[list[Link]] = []
    for map_, (first, second) in zip(large, form.limbs, strict=True):
        own: list[Link] = []
        for i, a in enumerate(found[first]):
            for j, b in enumerate(found[second]):
                score = between(map_, a[:2], b[:2], form.least_limb)
                if score > 0:
                    rank = 0.5 * score + 0.25 * float(a[2] + b[2])
                    own.append((rank, int(starts[first]) + i, int(starts[second]) + j))
        links.append(best_links(own))
    return assembled(form.limbs, links)


def peaks(heatmap: Floats, form: BodyParts) -> Floats:
    """Rows (n, 3) of xy and score: pixels that no neighbour exceeds, moved to the centre of the 5x5 px around them."""
    large = cv2.resize(heatmap, None, fx=form.stride, fy=form.stride, interpolation=cv2.INTER_CUBIC)
    tops = (large == cv2.dilate(large, np.ones((3, 3), np.uint8))) & (large >= form.least_peak)
    rows: list[tuple[float, float, float]] = []
    v, u = np.mgrid[-2:3, -2:3]
    for y, x in np.argwhere(tops):
        window = large[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        if window.shape == (5, 5):
            total = window.sum()
            rows.append((x + (u * window).sum() / total, y + (v * window).sum() / total, total / 25))
        else:
            rows.append((x, y, large[y, x]))
    return np.array(rows, np.float32).reshape(-1, 3)


def between(limb: Floats, a: Floats, b: Floats, least: float) -> float:
    """The mean of a limb's map at up to 20 points from a to b; 0 if more than a fifth of them are low."""
    length = float(np.hypot(*(b - a)))
    if length == 0:
        return 0.0
    x, y = np.round(np.linspace(a, b, min(round(length + 1), 20))).astype(int).T
    values = limb[y, x]
    if (values > least).sum() < 0.8 * len(values):
        return 0.0
    return float(values.mean()) + min(0.5 * len(limb) / length - 1, 0)
