"""Poses from points: against maximum-likelihood poses and Ceres, and against known poses. Errors are those of poses."""

from typing import Any

import cv2
import numpy as np
import pytest
from golden.reader import load_ops

from detforge.deploy.contract.camera import Camera
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms.pnp import in_front, solve_pnp, solve_pnp_ransac

CAMERA = Camera(572.4, 573.6, 325.3, 242.0)


def apart(pose: Any, other: Any) -> tuple[float, float]:
    """The angle in degrees and the distance between two poses."""
    turn = cv2.Rodrigues(pose[:, :3].T @ other[:, :3])[0]
    return float(np.degrees(np.linalg.norm(turn))), float(np.linalg.norm(pose[:, 3] - other[:, 3]))


def posed(draw: np.random.Generator, count: int, noise: float) -> tuple[Any, Any, Any]:
    """Points in a box of 80 mm, a pose of it half a metre or more away, and the noisy px of the points."""
    points = draw.uniform(-40, 40, (count, 3))
    axis = draw.normal(size=3)
    turn = cv2.Rodrigues(axis / np.linalg.norm(axis) * draw.uniform(0, np.pi))[0]
    place = draw.uniform((-200, -150, 500), (200, 150, 1200))
    px = CAMERA.project(points @ turn.T + place) + draw.normal(size=(count, 2)) * noise
    return points, np.concatenate((turn, place[:, None]), 1), px


@pytest.mark.parametrize("case", load_ops("pnp"), ids=lambda case: case["name"])
def test_the_most_likely_pose(case: dict[str, Any]) -> None:
    camera, points, px = Camera.of(case["args"]["K"]), case["in"]["points_3d"], case["in"]["points_2d"]
    if "outliers" in case["name"]:
        pose = solve_pnp_ransac(points, px, camera)
        assert pose is not None
        angle, _ = apart(pose, case["out"]["pose_ml_true_inliers"])
        assert angle < 0.3
        return
    expected = case["out"].get("pose_ml", case["out"]["true_pose"])
    for pose in (solve_pnp(points, px, camera), solve_pnp_ransac(points, px, camera)):
        assert pose is not None
        angle, distance = apart(pose, expected)
        assert angle < 0.02
        assert distance < 0.2


@pytest.mark.parametrize("case", load_ops("weighted_pnp"), ids=lambda case: case["name"])
def test_the_pose_of_uncertain_points(case: dict[str, Any]) -> None:
    roots = case["out"]["weights"]  # xx, xy and yy of the inverse covariance's root; 0 where a covariance has none
    roots = np.stack((roots[:, :2], roots[:, 1:]), 1)
    pose = solve_pnp(case["in"]["kpt_3d"], case["in"]["kpt_2d"], Camera.of(case["in"]["K"]), roots @ roots)
    assert pose is not None
    angle, metres = apart(pose, case["out"]["pose_at_minimum"])
    assert angle < np.degrees(1e-4)
    assert metres < 1e-4


def test_no_pose_is_behind_the_camera() -> None:
    draw = np.random.default_rng(0)
    angles = []
    for _ in range(40):
        points, truth, px = posed(draw, 9, 1.0)
        pose = solve_pnp(points, px, CAMERA)
        assert pose is not None
        assert in_front(pose, points)
        np.testing.assert_allclose(pose[:, :3] @ pose[:, :3].T, np.eye(3), atol=1e-9)
        angles.append(apart(pose, truth)[0])
    assert np.median(angles) < 3
    assert max(angles) < 15  # SOLVEPNP_ITERATIVE turns one in four of these over


def test_a_mirrored_image_has_the_same_pose() -> None:
    points, truth, px = posed(np.random.default_rng(1), 9, 0.0)
    pose = solve_pnp(points, px * (-1, 1) + (640, 0), CAMERA.moved((-1, 1), (640, 0)))
    assert pose is not None
    assert apart(pose, truth)[0] < 1e-4


@pytest.mark.parametrize("solve", [solve_pnp, solve_pnp_ransac])
def test_points_without_a_pose(solve: Any) -> None:
    points, _, px = posed(np.random.default_rng(2), 9, 0.0)
    spoilt = px.copy()
    spoilt[3, 1] = np.nan
    assert solve(points[:3], px[:3], CAMERA) is None
    assert solve(points, spoilt, CAMERA) is None
    for line in (np.zeros_like(points), points * (1, 0, 0)):
        pose = solve(line, px, CAMERA)
        assert pose is None or in_front(pose, line)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((3, 3)),
        [[500, 1, 320], [0, 500, 240], [0, 0, 1]],
        [[-500, 0, 320], [0, 500, 240], [0, 0, 1]],
        [[500, 0, np.nan], [0, 500, 240], [0, 0, 1]],
        [[500, 0, 1e9], [0, 500, 240], [0, 0, 1]],
        [1, 2],
        "camera",
        {"fx": 1},
        None,
    ],
)
def test_what_is_no_camera(matrix: Any) -> None:
    with pytest.raises(FieldError, match="must hold"):
        Camera.of(matrix)
