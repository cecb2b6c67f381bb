"""The column of keypoints."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contract.skeleton import Skeleton
from .column import Column
from .palette import color_of
from .transform import Transform

DRAWN = 0.3
"""Keypoints with a score above this are drawn."""


@dataclass(frozen=True, eq=False)
class Keypoints(Column):
    """Keypoints (n, k, 3) float32: x, y in px and a score, in the order of the skeleton.

    `areas` (n,) in px^2 are the object sizes by which OKS normalises distances.
    """

    skeleton: Skeleton
    areas: NDArray[np.float32]
    name: ClassVar[str] = "keypoints"

    def __getitem__(self, rows: NDArray[Any] | slice) -> Self:
        return replace(self, values=self.values[rows], areas=self.areas[rows])

    @classmethod
    def joined(cls, parts: Sequence[Any]) -> Self:
        values, areas = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "areas"))
        return replace(parts[0], values=values, areas=areas)

    def mapped(self, transform: Transform) -> Self:
        values = np.concatenate((transform.points(self.values[..., :2]), self.values[..., 2:]), -1)
        if transform.mirrors:
            values = values[:, self.skeleton.mirrored()]
        factor = np.float32(abs(transform.scale[0] * transform.scale[1]))
        return replace(self, values=values.astype(np.float32), areas=self.areas * factor)

    def bounds(self) -> NDArray[np.float32]:
        """The boxes around the keypoints with a score above 0, or around all keypoints if there are none."""
        has_score = self.values[..., 2:] > 0
        has_score |= ~has_score.any(1, keepdims=True)
        low = np.where(has_score, self.values[..., :2], np.inf).min(1)
        high = np.where(has_score, self.values[..., :2], -np.inf).max(1)
        return np.concatenate((low, high), 1).astype(np.float32)

    def distances(self, other: Any) -> NDArray[np.float32]:
        return np.abs(self.values[..., :2] - other.values[..., :2]).max(-1)

    def records(self) -> list[dict[str, Any]]:
        """`keypoints` in COCO's format: [x, y, score, ...]."""
        return [{"keypoints": [round(value, 3) for value in pose.ravel().tolist()]} for pose in self.values]

    def texts(self, image_size: tuple[int, int]) -> list[str]:
        """The x and y of each keypoint, divided by the image's width and height, and its score."""
        width, height = image_size
        poses = self.values.tolist()
        return ["".join(f" {x / width:.6f} {y / height:.6f} {score:.5f}" for x, y, score in pose) for pose in poses]

    def notes(self) -> list[str]:
        """The number of keypoints that are drawn."""
        count = len(self.skeleton.keypoints)
        return [f"  {seen} of {count} keypoints" for seen in (self.values[..., 2] > DRAWN).sum(1).tolist()]

    def paint(self, canvas: NDArray[np.uint8], row: int, line: int) -> None:
        pose = np.nan_to_num(self.values[row], nan=-1.0)
        places = np.clip(np.rint(pose[:, :2] * 16), -1e7, 1e7).astype(int).tolist()
        seen = (pose[:, 2] > DRAWN).tolist()
        skeleton = self.skeleton
        limbs = [color[::-1] for color in skeleton.link_colors] or [color_of(i) for i in range(len(skeleton.links))]
        for (start, end), color in zip(skeleton.links, limbs, strict=True):
            if seen[start] and seen[end]:
                cv2.line(canvas, places[start], places[end], color, line + 1, cv2.LINE_AA, 4)
        dots = [color[::-1] for color in skeleton.colors] or [(255, 255, 255)] * len(places)
        for (x, y), is_seen, score, color in zip(places, seen, pose[:, 2].tolist(), dots, strict=True):
            if is_seen:
                radius = 10 * line * (1 + min(score, 1.0))
                cv2.circle(canvas, (x, y), round(radius + 16), (0, 0, 0), cv2.FILLED, cv2.LINE_AA, 4)
                cv2.circle(canvas, (x, y), round(radius), color, cv2.FILLED, cv2.LINE_AA, 4)

    def to_supervision(self, scores: NDArray[np.float32], labels: NDArray[Any], data: dict[str, Any]) -> Any:
        import supervision

        return supervision.KeyPoints(
            xy=self.values[..., :2].copy(),
            keypoint_confidence=self.values[..., 2].copy(),
            detection_confidence=scores,
            class_id=labels,
            data=data,
        )
