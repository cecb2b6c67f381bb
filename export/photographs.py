"""Images for the verification: the user's, or synthetic ones."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from ..deploy.inputs.geometry import Image
from ..deploy.inputs.sources import pictures
from ..deploy.system.errors import InputError

_LIMIT = 8
"""Number of images used from a folder. More add little and cost a run of two networks each."""


def read_folder(folder: Path) -> list[Image]:
    """Read the first images of a folder, ordered by name. Raises InputError if there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with photographs to --images")
    return [picture.image for picture in islice(pictures(str(folder)), _LIMIT)]


def make_up(size: tuple[int, int], seed: int) -> Image:
    """A synthetic image (h, w, 3) uint8 with the features of photographs: soft light, solid shapes, edges, grain."""
    h, w = size
    random = np.random.default_rng(seed)
    light = random.uniform(30, 220, (4, 5, 3)).astype(np.float32)
    image = cv2.resize(light, (w, h), interpolation=cv2.INTER_CUBIC)
    for _ in range(24):
        x, y = int(random.integers(w)), int(random.integers(h))
        half = (
            int(random.integers(4, max(5, min(h, w) // 4))),
            int(random.integers(4, max(5, min(h, w) // 4))),
        )
        color = tuple(random.uniform(0, 255, 3).tolist())
        if random.random() < 0.5:
            cv2.ellipse(image, (x, y), half, float(random.uniform(0, 180)), 0, 360, color, -1)
        else:
            cv2.rectangle(image, (x - half[0], y - half[1]), (x + half[0], y + half[1]), color, -1)
    grain = random.normal(0, 4, (h, w, 3))
    return np.clip(np.add(cv2.GaussianBlur(image, (0, 0), 0.8), grain), 0, 255).astype(np.uint8)
