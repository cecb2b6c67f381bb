"""Measure the bundled marker model as it ships: the exported file, in the runtime, at 416 px.

    python benchmarks/markers.py [--model FILE] [--scenes 1000]

Two sets: scenes of the training generator with a seed that training never saw, and the photographs of
examples/evaluation, composed by another route. AP counts every detection above 0.01; recall and precision are at
IoU 0.5 with the threshold that the Card states.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detforge.deploy import Instances, load
from detforge.deploy.choose import BUNDLED
from detforge.deploy.image import read_image
from detforge.deploy.preprocess import Image
from detforge.train.markers.__main__ import SEED
from detforge.train.markers.dataset import draw_scenes
from detforge.train.markers.evaluate import average_precision

EVALUATION = Path(__file__).parents[1] / "examples" / "evaluation"

Boxes = list[NDArray[np.float32]]
Labels = list[NDArray[np.int64]]


def main() -> None:
    """Print the measures of both sets."""
    parser = argparse.ArgumentParser(description="Measure the bundled marker model.")
    parser.add_argument("--model", default=str(BUNDLED))
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--cache", type=Path, default=Path("runs/markers"))
    arguments = parser.parse_args()
    scenes = draw_scenes(arguments.cache, arguments.scenes, SEED + 1)
    measure("generated, held back", arguments.model, list(scenes.images), scenes.boxes, scenes.labels)
    measure("examples/evaluation", arguments.model, *read_evaluation())


def measure(title: str, model: str, images: Sequence[Image], boxes: Boxes, labels: Labels) -> None:
    """Detect in every image and print AP, recall and precision."""
    everything = load(model, conf=0.01)
    found = [everything(np.ascontiguousarray(image)) for image in images]
    print(f"{title}: {len(images)} images, {sum(map(len, boxes))} objects")
    for name, value in average_precision(found, boxes, labels).items():
        print(f"  {name:20} {value:.3f}")
    conf = load(model).card.suppress.conf
    for label, name in enumerate(found[0].names):
        hits, wanted, given = count(found, boxes, labels, label, conf)
        print(f"  {name:20} recall {hits}/{wanted}, precision {hits}/{given} at {conf}")


def count(found: Sequence[Instances], boxes: Boxes, labels: Labels, label: int, conf: float) -> tuple[int, int, int]:
    """True positives at IoU 0.5, objects, and detections of one label, best detections matched first."""
    hits = wanted = given = 0
    for instances, true_boxes, true_labels in zip(found, boxes, labels, strict=True):
        detections = instances.boxes[(instances.labels == label) & (instances.scores > conf)]
        free = list(true_boxes[true_labels == label])
        wanted, given = wanted + len(free), given + len(detections)
        for box in detections:
            overlaps = [iou(box, other) for other in free]
            if overlaps and max(overlaps) >= 0.5:
                free.pop(int(np.argmax(overlaps)))
                hits += 1
    return hits, wanted, given


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes xyxy."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - np.prod(sides)
    return float(np.prod(sides) / union)


def read_evaluation() -> tuple[list[Image], Boxes, Labels]:
    """The photographs of examples/evaluation with their boxes and labels."""
    truth = json.loads((EVALUATION / "annotations.json").read_text(encoding="utf-8"))
    images, boxes, labels = [], [], []
    for entry in truth["images"]:
        own = [a for a in truth["annotations"] if a["image_id"] == entry["id"]]
        corners = np.array([a["bbox"] for a in own], np.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        images.append(read_image(EVALUATION / entry["file_name"]))
        boxes.append(corners)
        labels.append(np.array([a["category_id"] for a in own], np.int64))
    return images, boxes, labels


if __name__ == "__main__":
    main()
