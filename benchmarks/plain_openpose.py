"""OpenPose in NumPy and OpenCV, one pair of peaks per step, from section 3 of its paper (arXiv 1812.08008)."""

import cv2
import numpy as np
from numpy.typing import NDArray
from plain_links import Link, assembled, best_links

from detforge.deploy.forms import Affinity

Floats = NDArray[np.float32]


def group(form: Affinity, heatmaps: Floats, fields: Floats) -> list[dict[int, int]]:
    """People in heatmaps (k, h, w) and fields (limbs, 2, h, w), which are enlarged to px of the image."""
    flat = fields.reshape(-1, *fields.shape[2:])
    large = cv2.resize(flat.transpose(1, 2, 0), None, fx=form.stride, fy=form.stride, interpolation=cv2.INTER_CUBIC)
    places = [peaks(map, form) for map in heatmaps]
    starts = np.cumsum([0, *map(len, places)])
    links: list[list[Link]] = []
    for limb, (first, second) in enumerate(form.limbs):
        found: list[Link] = []
        for i, a in enumerate(places[first]):
            for j, b in enumerate(places[second]):
                score = along(large[..., 2 * limb : 2 * limb + 2], a, b, form.least_field)
                if score > 0:
                    found.append((score, int(starts[first]) + i, int(starts[second]) + j))
        links.append(best_links(found))
    people = assembled(form.limbs, links)
    return [person for person in people if len(person) >= form.least_parts]


def peaks(heatmap: Floats, form: Affinity) -> Floats:
    """Places (n, 2) xy that no neighbour exceeds, in px of the image."""
    large = cv2.resize(heatmap, None, fx=form.stride, fy=form.stride, interpolation=cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(large, (0, 0), 3)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    y, x = np.nonzero((smooth == cv2.dilate(smooth, cross)) & (smooth > form.least_peak))
    return np.stack((x, y), 1).astype(np.float32)


def along(field: Floats, a: Floats, b: Floats, least: float) -> float:
    """The mean component of the field from a to b at ten points; 0 if more than three are low."""
    way = b - a
    length = float(np.hypot(*way))
    if length == 0:
        return 0.0
    x, y = np.round(np.linspace(a, b, 10)).astype(int).T
    values = field[y, x] @ (way / length)
    if (values > least).sum() < 7:
        return 0.0
    return float(values.mean()) + min(0.5 * len(field) / length - 1, 0)
