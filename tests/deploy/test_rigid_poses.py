"""Poses of rigid objects: read from perfect directions of pixels, carried to other images, written and drawn."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from cards import CARD
from numpy.typing import NDArray

from detforge.deploy.columns.rigid_poses import RigidPoses
from detforge.deploy.columns.transform import Transform
from detforge.deploy.contract.camera import Camera
from detforge.deploy.contract.solid import Solid
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Vectors
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import IncompatibleError

SOLID = Solid(
    (-40.0, -30.0, -20.0),
    (40.0, 30.0, 20.0),
    ((-40.0, -30.0, 20.0), (40.0, 30.0, 20.0), (40.0, -30.0, -20.0), (-40.0, 30.0, -20.0), (0.0, 0.0, 0.0)),
)
CAMERA = Camera(500.0, 510.0, 165.0, 118.0)
POSE = np.concatenate((cv2.Rodrigues(np.array([0.4, -0.9, 0.3]))[0], [[20.0], [-15.0], [600.0]]), 1)
CARD = replace(CARD, form=Vectors(SOLID, hypotheses=64), suppress=Suppress("none", conf=0.0), labels=("obj_000007",))
FRAME = ResizedFrame((240, 320), (240, 320), (240, 320))


def projected(points: NDArray[np.float64], pose: NDArray[np.float64] = POSE) -> NDArray[np.float64]:
    x, y, z = (points @ pose[:, :3].T + pose[:, 3]).T
    return np.stack((CAMERA.fx * x / z + CAMERA.cx, CAMERA.fy * y / z + CAMERA.cy), 1)


def outputs(noise: float = 0.0) -> dict[str, NDArray[np.float32]]:
    """What a perfect network gives for the object under POSE: its silhouette and the directions to its keypoints."""
    hull = cv2.convexHull(projected(SOLID.corners).astype(np.float32))
    mask = cv2.fillConvexPoly(np.zeros((240, 320), np.uint8), np.rint(hull).astype(np.int32), 1)
    y, x = np.mgrid[:240, :320]
    away = projected(np.array(SOLID.keypoints))[:, :, None, None] - np.stack((x, y))
    angles = np.arctan2(away[:, 1], away[:, 0]) + np.random.default_rng(0).normal(0, noise, away[:, 0].shape)
    vectors = np.stack((np.cos(angles), np.sin(angles)), 1).reshape(-1, 240, 320)
    return {"classes": np.stack((0.5 - mask, mask - 0.5)).astype(np.float32), "vectors": vectors.astype(np.float32)}


def found(noise: float = 0.0, form: Vectors = CARD.form, camera: Camera | None = CAMERA) -> Instances:
    return form.find([Run(outputs(noise), FRAME, camera=camera)], replace(CARD, form=form))


def angle(pose: NDArray[np.float64], truth: NDArray[np.float64] = POSE) -> float:
    return float(np.degrees(np.linalg.norm(cv2.Rodrigues(pose[:, :3].T @ truth[:, :3])[0])))


@pytest.mark.parametrize("weighted", [True, False])
def test_directions_become_a_pose(weighted: bool) -> None:
    [exact] = found(form=replace(CARD.form, weighted=weighted)).rigid_poses
    assert angle(exact) < 0.05
    assert np.linalg.norm(exact[:, 3] - POSE[:, 3]) < 0.5
    rough = found(0.05, form=replace(CARD.form, weighted=weighted))
    assert angle(rough.rigid_poses[0]) < 3
    np.testing.assert_allclose(rough.keypoints[0, :, :2], projected(np.array(SOLID.keypoints)), atol=1)
    assert 0.5 < rough.scores[0] < 1
    hull = projected(SOLID.corners)
    np.testing.assert_allclose(rough.boxes[0], [*hull.min(0), *hull.max(0)], atol=1.5)


def test_without_an_object_or_a_camera() -> None:
    assert found(camera=None).rigid_poses is None
    assert found(camera=None).keypoints.shape == (1, 5, 3)
    nothing = outputs()
    nothing["classes"][1] = -1
    empty = CARD.form.find([Run(nothing, FRAME, camera=CAMERA)], CARD)
    assert len(empty) == 0
    assert (empty.rigid_poses.shape, empty.keypoints.shape) == ((0, 3, 4), (0, 5, 3))
    with pytest.raises(IncompatibleError, match="gives 5 keypoints, the solid of its Card has 0"):
        found(form=Vectors(replace(SOLID, keypoints=())))
    with pytest.raises(IncompatibleError, match="its Card has no object"):
        found(form=Vectors())


@pytest.mark.parametrize(
    "transform", [Transform((640, 720), (2.0, 3.0), (7.0, -5.0)), Transform((320, 240), (-1.0, 1.0))]
)
def test_the_pose_stays_and_the_camera_moves(transform: Transform) -> None:
    column = RigidPoses(POSE[None], CAMERA, SOLID)
    moved = column.mapped(transform)
    np.testing.assert_array_equal(moved.values, column.values)
    expected = transform.points(projected(SOLID.corners))
    np.testing.assert_allclose(moved.bounds(), [[*expected.min(0), *expected.max(0)]], rtol=1e-5)
    assert moved.distances(moved).max() == 0


def test_records_texts_and_notes() -> None:
    column = RigidPoses(np.stack((POSE, np.full((3, 4), np.nan))), CAMERA, SOLID)
    first, second = column.records()
    np.testing.assert_allclose(first["rotation"], POSE[:, :3], atol=1e-6)
    assert (first["translation"], first["unit"]) == ([20.0, -15.0, 600.0], "mm")
    assert second == {"rotation": None, "translation": None, "unit": "mm"}
    np.testing.assert_allclose(
        [*map(float, column.texts((1, 1))[0].split())], [*POSE[:, :3].ravel(), *POSE[:, 3]], atol=1e-6
    )
    assert column.notes() == ["  at 20 -15 600 mm", "  no pose"]
    assert np.isfinite(column.bounds()).all()
    assert len(column[1:]) == 1


def test_axes_and_box_are_drawn_where_they_are() -> None:
    canvas = np.zeros((240, 320, 3), np.uint8)
    RigidPoses(POSE[None], CAMERA, SOLID).paint(canvas, 0, 1)
    ends = projected(np.array([[20.0, 0, 0], [0, 20, 0], [0, 0, 20]])).round().astype(int)
    for channel, (x, y) in zip((2, 1, 0), ends, strict=True):
        patch = canvas[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(int)
        assert (patch[:, channel] - np.delete(patch, channel, 1).max(1)).max() > 100
    for x, y in projected(SOLID.corners).round().astype(int):
        assert canvas[y - 1 : y + 2, x - 1 : x + 2].any()


@pytest.mark.parametrize("depth", [-600.0, 0.0, 10.0, np.inf, np.nan])
def test_nothing_behind_the_camera_is_drawn(depth: float) -> None:
    canvas = np.zeros((240, 320, 3), np.uint8)
    pose = POSE.copy()
    pose[2, 3] = depth
    RigidPoses(pose[None], CAMERA, SOLID).paint(canvas, 0, 1)
    assert canvas.any() == (depth == 10)
