"""Poses of rigid objects from points and their px (Perspective-n-Point)."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contract.camera import Camera

Pose = NDArray[np.float64]
"""The matrix [R | t] (3, 4) from coordinates of the object to those of the camera."""
_CV2: Any = cv2  # its types say less than it takes
_LINALG: Any = np.linalg  # some of its functions have no complete types
_STEPS = 50
_SHARE = 1e-12  # of the cost; smaller gains end the refinement


def solve_pnp(
    points: NDArray[Any], px: NDArray[Any], camera: Camera, information: NDArray[Any] | None = None
) -> Pose | None:
    """The pose under which points (n, 3) appear at `px` (n, 2), n >= 4; None if there is none before the camera.

    It starts from SQPnP (Terzakis and Lourakis, ECCV 2020) and minimises the sum of squared distances in px, or of
    d^T I d with the inverse covariances `information` I (n, 2, 2).
    """
    points, px = np.asarray(points, np.float64), np.asarray(px, np.float64)
    if len(points) < 4 or not (np.isfinite(points).all() and np.isfinite(px).all()):
        return None
    # The solver sees the plane z = 1: it takes no negative focal length, which that of a mirrored image is.
    flat = (px - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    try:
        _, turns, moves, _ = _CV2.solvePnPGeneric(points, flat, np.eye(3), None, flags=_CV2.SOLVEPNP_SQPNP)
    except _CV2.error:  # points on a line, or all in one place
        return None
    starts = [np.concatenate((_CV2.Rodrigues(r)[0], t.reshape(3, 1)), 1) for r, t in zip(turns, moves, strict=True)]
    weights = np.broadcast_to(np.eye(2), (len(points), 2, 2)) if information is None else information
    refined = [refine_pnp(start, points, px, camera, weights) for start in starts if in_front(start, points)]
    best = min(refined, key=lambda pose: _cost(pose, points, px, camera, weights), default=None)
    return best if best is not None and in_front(best, points) else None


def solve_pnp_ransac(points: NDArray[Any], px: NDArray[Any], camera: Camera, reach: float = 8.0) -> Pose | None:
    """Like `solve_pnp`, without the points that appear more than `reach` px from where the others say.

    OpenCV's RANSAC of 100 rounds with AP3P; the pose is refined on the inliers.
    """
    points, px = np.asarray(points, np.float64), np.asarray(px, np.float64)
    if len(points) < 4 or not (np.isfinite(points).all() and np.isfinite(px).all()):
        return None
    try:
        found, _, _, inliers = _CV2.solvePnPRansac(
            points, px, camera.matrix, None, iterationsCount=100, reprojectionError=reach, flags=_CV2.SOLVEPNP_AP3P
        )
    except _CV2.error:
        return None
    if not found or inliers is None:
        return None
    rows = inliers.ravel()
    return solve_pnp(points[rows], px[rows], camera)


def in_front(pose: Pose, points: NDArray[Any]) -> bool:
    """Whether all points (n, 3) are before the camera under a pose."""
    depths = points @ pose[2, :3] + pose[2, 3]
    return bool(np.isfinite(pose).all() and (depths > 0).all())


def refine_pnp(pose: Pose, points: NDArray[Any], px: NDArray[Any], camera: Camera, information: NDArray[Any]) -> Pose:
    """The pose of the least cost near a start, by Levenberg and Marquardt's method."""
    damping, cost = 1e-3, _cost(pose, points, px, camera, information)
    for _ in range(_STEPS):
        residuals, slopes = _linear(pose, points, px, camera)
        weighted = slopes.transpose(0, 2, 1) @ information  # (n, 6, 2)
        hessian, gradient = (weighted @ slopes).sum(0), (weighted @ residuals[..., None]).sum(0)[:, 0]
        damped = hessian + damping * np.diag(np.diag(hessian)) + 1e-12 * np.eye(6)
        try:
            step = -_LINALG.solve(damped, gradient)
        except np.linalg.LinAlgError:
            break
        other = _stepped(pose, step)
        own = _cost(other, points, px, camera, information)
        if own < cost:
            is_done, pose, cost, damping = cost - own <= _SHARE * cost, other, own, damping / 10
            if is_done:
                break
        elif damping > 1e8:
            break
        else:
            damping *= 10
    return pose


def _linear(
    pose: Pose, points: NDArray[Any], px: NDArray[Any], camera: Camera
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distances (n, 2) of the projected points from `px`, and their derivatives (n, 2, 6).

    By a small rotation after the pose's own, and the translation.
    """
    turned = points @ pose[:, :3].T
    placed = turned + pose[:, 3]
    x, y, z = placed.T
    zero = np.zeros_like(z)
    by_place = np.stack(
        (
            np.stack((camera.fx / z, zero, -camera.fx * x / z**2), 1),
            np.stack((zero, camera.fy / z, -camera.fy * y / z**2), 1),
        ),
        1,
    )
    by_turn = np.cross(turned[:, None], by_place)  # d(w x p) . g = w . (p x g)
    return camera.project(placed) - px, np.concatenate((by_turn, by_place), 2)


def _stepped(pose: Pose, step: NDArray[np.float64]) -> Pose:
    turn = _CV2.Rodrigues(step[:3])[0] @ pose[:, :3]
    return np.concatenate((turn, (pose[:, 3] + step[3:])[:, None]), 1)


def _cost(pose: Pose, points: NDArray[Any], px: NDArray[Any], camera: Camera, information: NDArray[Any]) -> float:
    """Half the sum of squared distances; infinite for a pose that is not before the camera."""
    if not in_front(pose, points):
        return float("inf")
    d = camera.project(points @ pose[:, :3].T + pose[:, 3]) - px
    return float(np.einsum("ni,nij,nj", d, information, d)) / 2
