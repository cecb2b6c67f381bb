"""Points of a depth picture, and poses from corners of an object's box in space."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from cards import CARDS
from golden.reader import load_ops
from numpy.typing import NDArray

from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.contract.camera import Camera
from detforge.deploy.contract.port import Port
from detforge.deploy.contract.solid import Solid
from detforge.deploy.forms import SolidCorners
from detforge.deploy.forms.solid_corners import rotation_between
from detforge.deploy.inputs.frustum import Frustum
from detforge.deploy.pipelines.crops import PoseEstimator
from detforge.deploy.system.errors import IncompatibleError, UsageError

CASES = load_ops("rotations")
CARD = next(card for card in CARDS if isinstance(card.form, SolidCorners))
SOLID = Solid((-40.0, -30.0, -20.0), (40.0, 30.0, 25.0))
CAMERA = Camera(300.0, 310.0, 80.0, 60.0)
TURN = cv2.Rodrigues(np.array([0.4, -0.9, 0.3]))[0]
_SIGNS = ("--+", "-++", "-+-", "---", "+--", "+-+", "++-", "+++")  # the authors' order
CORNERS = np.where([[sign == "+" for sign in row] for row in _SIGNS], SOLID.high, SOLID.low)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_authors_rotation(case: dict[str, Any]) -> None:
    turn = rotation_between(case["in"]["model_corners"], case["in"]["pred_corners"])
    np.testing.assert_allclose(turn, case["out"]["pose"][:, :3], atol=1e-6)
    assert np.linalg.det(turn) == pytest.approx(1)


def outputs(count: float = 50) -> dict[str, NDArray[np.float32]]:
    """What a network gives that first turns the object about z by too much, and corrects it."""
    first = TURN @ cv2.Rodrigues(np.array([0.0, 0.0, 0.2]))[0]
    parts = {"centre": [20.0, -15.0, 600.0], "corners": CORNERS @ first.T, "residual": CORNERS @ (TURN - first).T}
    return {name: np.ravel(part)[None].astype(np.float32) for name, part in parts.items()} | {
        "count": np.array([[count]], np.float32)
    }


@pytest.mark.parametrize("unit", ["mm", "m"])
def test_perfect_corners_give_the_pose(unit: str) -> None:
    scale = 1.0 if unit == "mm" else 1e-3
    solid = Solid(*(tuple(side * scale for side in corner) for corner in (SOLID.low, SOLID.high)), unit=unit)
    frame = replace(Frustum((1, 8)).of_box(np.array([10, 10, 50, 40]), (120, 160)), camera=CAMERA)
    reading = SolidCorners(solid).read(outputs(), None, [frame], CARD)
    [pose] = reading.columns[0].values
    np.testing.assert_allclose(pose[:, :3], TURN, atol=1e-6)
    np.testing.assert_allclose(pose[:, 3], np.array([20, -15, 600]) * scale, rtol=1e-6)
    assert reading.quality.tolist() == [1]


@pytest.mark.parametrize("spoilt", [{"count": 9}, {"centre": np.nan}, {"residual": np.inf}])
def test_outputs_without_a_pose(spoilt: dict[str, float]) -> None:
    given = outputs() | {name: np.full_like(outputs()[name], value) for name, value in spoilt.items()}
    frame = Frustum((1, 8)).of_box(np.array([10, 10, 50, 40]), (120, 160))
    reading = SolidCorners(SOLID).read(given, None, [frame], CARD)
    assert np.isnan(reading.columns[0].values).all()
    assert reading.quality.tolist() == [0]
    with pytest.raises(IncompatibleError, match="its Card has no object"):
        SolidCorners().read(given, None, [frame], CARD)


def expected_points(depth: NDArray[Any], box: tuple[int, int, int, int], reach: float) -> list[list[float]]:
    """The points by the rule, px by px."""
    left, top, right, bottom = box
    measured = [(x, y) for y in range(top, bottom) for x in range(left, right) if depth[y, x] > 0]
    middle = (left + (right - left) // 2, top + (bottom - top) // 2)
    near = min(measured, key=lambda p: (p[0] - middle[0]) ** 2 + (p[1] - middle[1]) ** 2)
    for factor, least in ((1, 1000), (2, 500), (3, 0)):
        away = {p: abs(float(depth[p[1], p[0]]) - float(depth[near[1], near[0]])) for p in measured}
        chosen = [p for p in measured if depth[p[1], p[0]] > 300 and away[p] < factor * reach]
        if len(chosen) >= least:
            break
    z = [float(depth[y, x]) for x, y in chosen]
    return [[(x - 80) / 300 * d, (y - 60) / 310 * d, d] for (x, y), d in zip(chosen, z, strict=True)]


@pytest.mark.parametrize("box", [(10, 10, 22, 30), (20, 20, 60, 50), (-15, -5, 40, 130), (30, 10, 150, 110)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_points_by_the_rule(box: tuple[int, int, int, int], dtype: type) -> None:
    random = np.random.default_rng(3)
    depth = random.normal(600, 90, (120, 160)).clip(200, None)
    depth[random.random(depth.shape) < 0.3] = 0
    depth[:40, :40] = 0  # the middle of the first box has none beside it
    depth[11, 12] = 640
    depth = depth.astype(dtype)
    inside = (max(0, box[0]), max(0, box[1]), min(160, box[2]), min(120, box[3]))
    expected = np.array(expected_points(depth, inside, 60.0)).reshape(-1, 3)
    frame = Frustum((1, 16000), reach=60.0).of_box(np.array(box, np.float32), (120, 160))
    np.testing.assert_allclose(frame.points(depth, CAMERA).T, expected, rtol=1e-5, atol=1e-3)
    few = Frustum((1, 64), reach=60.0).of_box(np.array(box, np.float32), (120, 160)).points(depth, CAMERA).T
    rows = [i * len(expected) // 64 for i in range(64)] if len(expected) > 64 else range(len(expected))
    np.testing.assert_allclose(few, expected[list(rows)], rtol=1e-5, atol=1e-3)


def estimator() -> tuple[PoseEstimator, RecordedBackend]:
    backend = RecordedBackend(outputs(), {})
    backend.inputs = [Port("points", (None,))]
    card = replace(CARD, form=SolidCorners(SOLID), inputs=(replace(CARD.input, place=Frustum((1, 20), reach=100.0)),))
    return PoseEstimator(backend, card), backend


def test_the_network_sees_the_points_of_its_box() -> None:
    network, backend = estimator()
    depth = np.zeros((120, 160), np.uint16)
    depth[30:33, 40:44] = 500
    found = network(np.zeros((120, 160, 3), np.uint8), [[36, 28, 60, 40]], camera=CAMERA, depth=depth)
    points = backend.fed["points"][0, :, 0]
    assert points.shape == (3, 20)
    ends = [[-200 / 3, -30 / 0.62, 500], [-185 / 3, -28 / 0.62, 500]]
    np.testing.assert_allclose(points[:, :12].T[[0, -1]], ends, rtol=1e-5)
    assert not points[:, 12:].any()
    np.testing.assert_allclose(found.rigid_poses[0][:, :3], TURN, atol=1e-6)
    network(np.zeros((120, 160, 3), np.uint8), [[100, 100, 120, 110]], camera=CAMERA, depth=depth)
    assert not backend.fed["points"].any()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give `depth` and `camera`"),
        ({"camera": CAMERA}, "give `depth` and `camera`"),
        ({"depth": np.ones((120, 160))}, "give `depth` and `camera`"),
        ({"camera": CAMERA, "depth": np.ones((120, 161))}, r"depth must be an array \(120, 160\) of mm"),
        ({"camera": CAMERA, "depth": np.ones((120, 160, 3))}, "depth must be an array"),
        ({"camera": CAMERA, "depth": "depth.png"}, "depth must be an array"),
    ],
)
def test_calls_without_points(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        estimator()[0](np.zeros((120, 160, 3), np.uint8), [[36, 28, 60, 40]], **given)
