"""What a model found in one image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .preprocess import Image


@dataclass(frozen=True, eq=False)
class Instances:
    """The detections of one image, best first.

    boxes (n, 4) float32 xyxy in px of the original image, scores (n,) float32, labels (n,) int64 indices into
    `names`; `image_size` is (width, height); `timing` gives milliseconds per stage. Behaves like a list whose
    items are Instances of one.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    image_size: tuple[int, int]
    timing: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        for array in (self.boxes, self.scores, self.labels):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | NDArray[Any]) -> "Instances":
        """The chosen detections; an int outside the range raises IndexError."""
        if isinstance(index, int):
            index = np.array([range(len(self))[index]])
        return replace(self, boxes=self.boxes[index], scores=self.scores[index], labels=self.labels[index])

    def __iter__(self) -> Iterator["Instances"]:
        return (self[i] for i in range(len(self)))

    def to_coco(self, image: str = "") -> list[dict[str, Any]]:
        """COCO-results-style records: bbox is [x, y, width, height] in px, rounded to 3 decimals."""
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
        return records

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`; needs the package supervision."""
        import supervision

        names = np.array(self.names)[self.labels] if len(self) else np.empty(0, str)
        return supervision.Detections(
            xyxy=self.boxes.copy(),
            confidence=self.scores.copy(),
            class_id=self.labels.astype(int),
            data={"class_name": names},
        )

    def draw(self, image: "Image") -> "Image":
        """A copy of `image` (h, w, 3) uint8 BGR with the boxes, labels and scores drawn on it."""
        from .draw import draw

        return draw(image, self)
