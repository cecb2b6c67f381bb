"""Measure the bundled marker model: the exported file, in the runtime.

    python benchmarks/markers.py [--model FILE] [--scenes 1000]

Two sets: held-out scenes of the training generator, and the images of examples/evaluation, which have other sources.
AP counts every detection above 0.01. Recall and precision are at IoU 0.5 with the Card's threshold.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detforge.deploy import Instances, load
from detforge.deploy.choose import BUNDLED
from detforge.deploy.coco.accuracy import Accuracy
from detforge.deploy.coco.annotations import AnnotatedImage, Annotations, Category, Object
from detforge.deploy.coco.evaluation import Evaluation
from detforge.deploy.inputs.geometry import Image
from detforge.deploy.inputs.image import read_image
from detforge.train.markers.__main__ import SEED
from detforge.train.markers.dataset import draw_scenes

EVALUATION = Path(__file__).parents[1] / "examples" / "evaluation"


def main() -> None:
    """Print the results on both sets."""
    parser = argparse.ArgumentParser(description="Measure the bundled marker model.")
    parser.add_argument("--model", default=str(BUNDLED))
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--cache", type=Path, default=Path("runs/markers"))
    arguments = parser.parse_args()
    scenes = draw_scenes(arguments.cache, arguments.scenes, SEED + 1)
    drawn = [Photograph(*each) for each in zip(scenes.images, scenes.boxes, scenes.labels, strict=True)]
    measure("generated, held back", arguments.model, drawn)
    measure("examples/evaluation", arguments.model, read_evaluation())


@dataclass(frozen=True)
class Photograph:
    """An image, its true boxes (g, 4) xyxy px and labels (g,), and ignored boxes (k, 4)."""

    image: Image
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 4), np.float32))


def measure(title: str, model: str, photographs: Sequence[Photograph]) -> None:
    """Run the detector on every image and print AP, recall and precision."""
    detector = load(model, conf=0.01)
    found = [outside(detector(np.ascontiguousarray(each.image)), each.ignored) for each in photographs]
    print(f"{title}: {len(photographs)} images, {sum(len(each.boxes) for each in photographs)} objects")
    accuracy = average_precision(found, photographs)
    for name, one in {"all": accuracy, **accuracy.classes}.items():
        print(f"  {name:20} AP {one.ap:.1f}, AP50 {one.ap50:.1f}, AP75 {one.ap75:.1f}")
    conf = load(model).card.suppress.conf
    for label, name in enumerate(found[0].names):
        hits, wanted, given = count(found, photographs, label, conf)
        print(f"  {name:20} recall {hits}/{wanted}, precision {hits}/{given} at {conf}")


def average_precision(found: Sequence[Instances], photographs: Sequence[Photograph]) -> Accuracy:
    """COCO's AP of the detections in each photograph."""
    images = []
    for i, each in enumerate(photographs):
        rows = zip(each.boxes.tolist(), each.labels.tolist(), strict=True)
        objects = tuple(Object(label, (x1, y1, x2 - x1, y2 - y1)) for (x1, y1, x2, y2), label in rows)
        images.append(AnnotatedImage(i, str(i), Path(), objects))
    categories = {i: Category(name) for i, name in enumerate(found[0].names)}
    evaluation = Evaluation(Annotations(Path(), tuple(images), categories), found[0].names)
    for image, one in zip(images, found, strict=True):
        evaluation.add(image, one)
    return evaluation.accuracy()


def count(
    found: Sequence[Instances], photographs: Sequence[Photograph], label: int, conf: float
) -> tuple[int, int, int]:
    """True positives at IoU 0.5, objects and detections of one label. The best detections are matched first."""
    hits = wanted = given = 0
    for instances, truth in zip(found, photographs, strict=True):
        detections = instances.boxes[(instances.labels == label) & (instances.scores > conf)]
        free = list(truth.boxes[truth.labels == label])
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


def outside(instances: Instances, ignored: NDArray[np.float32]) -> Instances:
    """The detections of which at most half lies in an ignored box."""
    low = np.maximum(instances.boxes[:, None, :2], ignored[None, :, :2])
    high = np.minimum(instances.boxes[:, None, 2:], ignored[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2).max(1, initial=0)
    return instances[shared <= (instances.boxes[:, 2:] - instances.boxes[:, :2]).prod(1) / 2]


def read_evaluation() -> list[Photograph]:
    """The images of examples/evaluation. Regions marked as crowd are ignored."""
    truth = json.loads((EVALUATION / "annotations.json").read_text(encoding="utf-8"))
    photographs = []
    for entry in truth["images"]:
        own = [a for a in truth["annotations"] if a["image_id"] == entry["id"]]
        boxes = np.array([a["bbox"] for a in own], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([a["category_id"] for a in own], np.int64)
        is_crowd = np.array([a["iscrowd"] for a in own], bool)
        image = read_image(EVALUATION / entry["file_name"])
        photographs.append(Photograph(image, boxes[~is_crowd], labels[~is_crowd], boxes[is_crowd]))
    return photographs


if __name__ == "__main__":
    main()
