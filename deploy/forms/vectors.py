"""Keypoints of a rigid object from the directions in which its pixels see them, and its pose.

PVNet (Peng et al., arXiv 1812.11788), and DPVL (Yu et al., arXiv 2002.03923), which trains the same network otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..columns.column import Column
from ..columns.keypoints import Keypoints
from ..columns.rigid_poses import RigidPoses
from ..contract.camera import Camera
from ..contract.parse import require
from ..contract.skeleton import Skeleton
from ..contract.solid import Solid
from ..results.instances import Instances
from ..system.errors import IncompatibleError
from .form import Contract, ImageForm, Output, Run
from .line_votes import Votes
from .outlines import check_sizes
from .pnp import solve_pnp

_LEAST_PIXELS = 5
_MOST_PIXELS = 30_000
_LEAST_VARIANCE = 1e-4  # px^2; a smaller one would outweigh all others


@dataclass(frozen=True)
class Vectors(ImageForm):
    """Logits of background and object, `classes` (n, 2, h, w), and `vectors` (n, 2k, h, w), x and y to k keypoints.

    Pairs of the object's pixels vote for each keypoint: `hypotheses` of them, each where two of its lines cross
    (section 3.1). That to which most pixels point, with a cosine above `cosine`, wins, and becomes the least-squares
    point of their lines. With `weighted` the pose has the least Mahalanobis distance to the keypoints, by the
    covariance of their hypotheses (section 3.2), else the least distance in px. An image without a `camera` gives the
    keypoints without a pose. The score is the mean share of pixels that point to the keypoints.
    """

    solid: Solid | None = None
    hypotheses: int = 512
    cosine: float = 0.99
    weighted: bool = True
    kind: Literal["vectors"] = "vectors"

    task: ClassVar[str] = "6-D pose"
    takes_camera: ClassVar[bool] = True
    outputs: ClassVar[tuple[Output, ...]] = (Output("classes"), Output("vectors"))

    def __post_init__(self) -> None:
        require(1 <= self.hypotheses <= 4096, "form.hypotheses", "1..4096")
        require(0 < self.cosine < 1, "form.cosine", "a cosine in 0..1")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The object, if at least five pixels show it."""
        [run] = runs
        check_sizes(run, ["classes", "vectors"])
        self._check(run.outputs["vectors"].shape[0], run.camera)
        height, width = run.frame.content_size
        top, left = (int(side) for side in run.frame.offset)
        window = np.s_[:, top : top + height, left : left + width]
        classes, vectors = run.outputs["classes"][window], run.outputs["vectors"][window]
        rows, columns = np.nonzero(classes[1] > classes[0])
        if len(rows) < _LEAST_PIXELS:
            return self._instances(np.empty((0, 4)), np.empty((0, len(vectors) // 2, 3)), None, run, card)
        ends = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        draw = np.random.default_rng(0)  # the same pixels vote whenever an image is seen
        if len(rows) > _MOST_PIXELS:
            kept = draw.choice(len(rows), _MOST_PIXELS, replace=False)
            rows, columns = rows[kept], columns[kept]
        seen = vectors[:, rows, columns].T.reshape(len(rows), -1, 2)
        pairs = draw.integers(0, len(rows), (self.hypotheses, seen.shape[1], 2))
        places = np.stack((columns, rows), 1).astype(np.float32)
        votes = Votes.of(places, np.ascontiguousarray(seen, np.float32), pairs, self.cosine)
        points = np.concatenate((votes.points, votes.shares[:, None]), 1)[None]
        return self._instances(ends, points, votes, run, card)

    def _check(self, channels: int, camera: Camera | None) -> None:
        """Raise IncompatibleError if the network has another number of keypoints than the solid, or there is none."""
        if self.solid is None and camera is not None:
            raise IncompatibleError(
                "its Card has no object, only keypoints; export it again with detexport --solid FILE"
            )
        if self.solid is not None and channels != 2 * len(self.solid.keypoints):
            raise IncompatibleError(
                f"the model gives {channels // 2} keypoints, the solid of its Card has {len(self.solid.keypoints)}; "
                "export it again with a solid that has as many"
            )

    def _instances(
        self, boxes: NDArray[Any], points: NDArray[Any], votes: Votes | None, run: Run, card: Contract
    ) -> Instances:
        count = points.shape[1]
        skeleton = Skeleton(tuple(f"point_{i}" for i in range(count)), (), (), (1.0,) * count)
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1).astype(np.float32)
        columns: list[Column] = [Keypoints(points.astype(np.float32), skeleton, areas)]
        if self.solid is not None and run.camera is not None:
            poses = [self._pose(self.solid, votes, run.camera)] if votes is not None else []
            columns.append(RigidPoses(np.array(poses).reshape(-1, 3, 4), run.camera, self.solid))
        scores = points[..., 2].mean(1).astype(np.float32)
        labels = np.zeros(len(boxes), np.int64)
        named = {column.name: column for column in columns}
        return Instances(boxes.astype(np.float32), scores, labels, card.labels, run.frame.extent, columns=named)

    def _pose(self, solid: Solid, votes: Votes, camera: Camera) -> NDArray[np.float64]:
        information = np.linalg.inv(votes.covariances + _LEAST_VARIANCE * np.eye(2)) if self.weighted else None
        pose = solve_pnp(np.array(solid.keypoints), votes.points, camera, information)
        return np.full((3, 4), np.nan) if pose is None else pose
