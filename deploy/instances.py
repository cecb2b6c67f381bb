"""What a model found in one image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .skeleton import Skeleton

if TYPE_CHECKING:
    from .preprocess import Image


@dataclass(frozen=True, eq=False)
class Instances:
    """The detections of one image, best first.

    boxes (n, 4) float32 xyxy in px of the original image, scores (n,) float32, labels (n,) int64 indices into
    `names`; `image_size` is (width, height); `timing` gives milliseconds per stage. Poses have keypoints (n, k, 3)
    float32, each x, y in px and a score, and the `skeleton` that names them. Behaves like a list whose items are
    Instances of one.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    image_size: tuple[int, int]
    timing: Mapping[str, float] = field(default_factory=dict[str, float])
    keypoints: NDArray[np.float32] | None = None
    skeleton: Skeleton | None = None

    def __post_init__(self) -> None:
        for array in (self.boxes, self.scores, self.labels, self.keypoints):
            if array is not None:
                array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | NDArray[Any]) -> "Instances":
        """The chosen detections; an int outside the range raises IndexError."""
        if isinstance(index, int):
            index = np.array([range(len(self))[index]])
        rows = {name: getattr(self, name)[index] for name in ("boxes", "scores", "labels")}
        return replace(self, **rows, keypoints=None if self.keypoints is None else self.keypoints[index])

    def __iter__(self) -> Iterator["Instances"]:
        return (self[i] for i in range(len(self)))

    def scaled(self, image_size: tuple[int, int]) -> "Instances":
        """The same in an image of another (width, height) that shows the same."""
        factors = np.array(image_size, np.float32) / np.array(self.image_size, np.float32)
        keypoints = self.keypoints
        if keypoints is not None:
            keypoints = keypoints * np.append(factors, np.float32(1))
        return replace(self, boxes=self.boxes * np.tile(factors, 2), keypoints=keypoints, image_size=image_size)

    def to_coco(self, image: str = "") -> list[dict[str, Any]]:
        """COCO-results-style records: bbox is [x, y, width, height] in px, rounded to 3 decimals.

        Poses have `keypoints`, [x, y, score, ...] in the skeleton's order. COCO's own tools want `image_id` and
        `category_id` as well, which the data set knows.
        """
        records: list[dict[str, Any]] = []
        for (x1, y1, x2, y2), score, label in zip(
            self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True
        ):
            records.append(
                {
                    "image": image,
                    "image_size": list(self.image_size),
                    "bbox": [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)],
                    "score": round(score, 5),
                    "label": label,
                    "category": self.names[label],
                }
            )
        if self.keypoints is not None:
            for record, pose in zip(records, self.keypoints.tolist(), strict=True):
                record["keypoints"] = [round(value, 3) for keypoint in pose for value in keypoint]
        return records

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, or `KeyPoints` for poses; needs the package supervision, 0.29."""
        import supervision

        names = np.array(self.names)[self.labels] if len(self) else np.empty(0, str)
        if self.keypoints is not None:
            return supervision.KeyPoints(
                xy=self.keypoints[..., :2].copy(),
                keypoint_confidence=self.keypoints[..., 2].copy(),
                detection_confidence=self.scores.copy(),
                class_id=self.labels.astype(int),
                data={"class_name": names},
            )
        return supervision.Detections(
            xyxy=self.boxes.copy(),
            confidence=self.scores.copy(),
            class_id=self.labels.astype(int),
            data={"class_name": names},
        )

    def draw(self, image: "Image") -> "Image":
        """A copy of `image` (h, w, 3) uint8 BGR with boxes, labels, scores and skeletons drawn on it."""
        from .draw import draw

        return draw(image, self)
