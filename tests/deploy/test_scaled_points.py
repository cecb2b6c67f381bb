"""Faces from scales and maps of points against a definition in float64, cell by cell."""

from dataclasses import replace
from math import ceil, exp, floor

import numpy as np
import pytest
from cards import CARD
from numpy.typing import NDArray

from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import ScaledPoints
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.models.skeletons import FACE

FRAME = ResizedFrame((80, 120), (80, 120), (80, 120))
CARD = replace(CARD, form=ScaledPoints(), skeleton=FACE, suppress=Suppress(conf=0.5, iou=0.4), labels=("face",))


def expected(
    scales: NDArray[np.float32], maps: NDArray[np.float32]
) -> list[tuple[float, list[float], list[list[float]]]]:
    """Score, box and points of each face at stride 2, best first."""
    bins, height, width = scales.shape
    faces = []
    for y in range(height):
        for x in range(width):
            score = max(float(scales[b, y, x]) for b in range(bins))
            around = [
                (j, i)
                for j in range(max(0, y - 1), min(height, y + 2))
                for i in range(max(0, x - 1), min(width, x + 2))
            ]
            if score <= 0.5 or any(float(scales[:, j, i].max()) > score for j, i in around):
                continue
            best = [float(value) for value in scales[:, y, x]].index(score)
            side = 32 * 2 ** (best / 10)
            half = side / 2 / 2
            columns = range(max(0, ceil(x - half)), min(width, floor(x + half) + 1))
            rows = range(max(0, ceil(y - half)), min(height, floor(y + half) + 1))
            points = []
            for logits in maps.astype(np.float64):
                weight = {(j, i): exp(logits[j, i]) for j in rows for i in columns}
                total = sum(weight.values())
                points.append([2 * sum(w * at[axis] for at, w in weight.items()) / total for axis in (1, 0)])
            middle = np.mean(points, 0)
            faces.append((score, [*(middle - side / 2), *(middle + side / 2)], points))
    return sorted(faces, key=lambda face: -face[0])


@pytest.mark.parametrize("seed", [0, 1])
def test_faces_by_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    scales = random.uniform(0, 0.4, (60, 40, 60)).astype(np.float32)
    for y, x, best, score in ((10, 12, 0, 0.9), (0, 59, 7, 0.8), (30, 31, 25, 0.95), (39, 3, 59, 0.6)):
        scales[best, y, x] = score
    maps = random.normal(0, 2, (5, 40, 60)).astype(np.float32)
    found = ScaledPoints().find([Run({"scales": scales, "landmarks": maps}, FRAME)], CARD)
    faces = expected(scales, maps)
    assert len(found) == len(faces) == 4
    for row, (score, box, points) in enumerate(faces):
        assert found.scores[row] == pytest.approx(score)
        np.testing.assert_allclose(found.boxes[row], box, atol=1e-3)
        np.testing.assert_allclose(found.keypoints[row, :, :2], points, atol=1e-3)


def test_maps_without_faces() -> None:
    for value in (0.0, np.nan):
        maps = {"scales": np.full((60, 40, 60), value, np.float32), "landmarks": np.zeros((5, 40, 60), np.float32)}
        assert len(ScaledPoints().find([Run(maps, FRAME)], CARD)) == 0
