"""Compare a network that has real trained weights with its owner's results on photographs, in every precision.

    python benchmarks/real_weights.py --model yunet_n --checkpoint yunet_n.pth --photos DIR --results FILE.json
        [--conf 0.6] [--iou 0.3] [--precisions fp32,fp16,int8]

FILE.json holds `results`: for each photograph the rows with `bbox_xyxy` px, `score` and, where there are several
classes or keypoints, `label` and `keypoints`. Photographs wider than 1000 px are first resized to a width of 640 px
with cv2.INTER_AREA. int8 is calibrated on the photographs, which flatters it. Prints rows of a Markdown table: the
detections that agree (the same label and an IoU of 0.5), the largest differences, and the export's verdict.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.port import Port
from detforge.deploy.forms.form import ImageForm
from detforge.deploy.inputs.geometry import Image
from detforge.deploy.pipelines.detector import Detector
from detforge.deploy.results.instances import Instances
from detforge.export import export
from detforge.export.comparison import RejectedError
from detforge.models.checkpoint import load_variant, read_checkpoint
from detforge.models.zoo import find

LARGEST, WIDTH = 1000, 640
PASSED = "passed"
IOU = 0.5
Rows = Sequence[Mapping[str, Any]]


class Torch:
    """The network in eager PyTorch, as a backend of the runtime."""

    def __init__(self, model: torch.nn.Module, card: Card) -> None:
        self.model = model
        self.metadata: dict[str, str] = {}
        self.inputs = (Port(card.input.name, (None, 3, None, None)),)
        self.outputs = tuple(Port(output.name, ()) for output in card.form.outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            return {key: value.numpy() for key, value in self.model(torch.from_numpy(*feeds.values())).items()}


def main() -> None:
    """Print one row for each precision."""
    arguments = parsed()
    results: dict[str, Rows] = json.loads(arguments.results.read_text(encoding="utf-8"))["results"]
    photographs = {name: read(arguments.photos / name) for name in results}
    variant = find(arguments.model)
    model = load_variant(variant, read_checkpoint(arguments.checkpoint))
    card = variant.card(variant.labels, Provenance(arguments.checkpoint.name, None, "fp32"))
    backends = {"PyTorch": (Torch(model, card), PASSED)}
    with tempfile.TemporaryDirectory() as folder:
        for precision in arguments.precisions.split(","):
            path, verdict = exported(arguments, precision, Path(folder))
            backends[precision] = OrtBackend(str(path)), verdict
        for name, (backend, verdict) in backends.items():
            limits = {key: getattr(arguments, key) for key in ("conf", "iou") if getattr(arguments, key) is not None}
            assert isinstance(card.form, ImageForm)
            detector = Detector(backend, replace(card, suppress=replace(card.suppress, **limits)))
            found = {photograph: detector(image) for photograph, image in photographs.items()}
            print(f"| `{variant.name}` | {name} | {row(found, results)} | {verdict} |", flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    for name in ("checkpoint", "photos", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("conf", "iou"):
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument("--precisions", default="fp32,fp16,int8")
    return parser.parse_args()


def read(path: Path) -> Image:
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"{path}: not an image that OpenCV reads")
    height, width = image.shape[:2]
    if width > LARGEST:
        image = cv2.resize(image, (WIDTH, round(height * WIDTH / width)), interpolation=cv2.INTER_AREA)
    return image.astype(np.uint8, copy=False)


def exported(arguments: argparse.Namespace, precision: str, folder: Path) -> tuple[Path, str]:
    """The file of this precision, and the verdict of its verification on the photographs."""
    photos = str(arguments.photos)
    options = {"calib": photos} if precision == "int8" else {}
    path = folder / f"{precision}.onnx"
    try:
        export(
            arguments.model,
            checkpoint=str(arguments.checkpoint),
            ignore_config=True,
            precision=precision,
            images=photos,
            output=str(path),
            **options,
        )
    except RejectedError as error:
        return path.with_suffix(".rejected.onnx"), f"rejected: {error.comparison.problem}"
    return path, PASSED


def row(found: Mapping[str, Instances], results: Mapping[str, Rows]) -> str:
    """The cells of the table: detections that agree, and the largest differences of boxes, scores and keypoints."""
    agreeing = theirs = ours = 0
    worst: dict[str, float] = {}
    for name, rows in results.items():
        mine = found[name]
        ours, theirs = ours + len(mine), theirs + len(rows)
        free = np.ones(len(mine), bool)
        for each in rows:
            box = np.array(each["bbox_xyxy"])
            alike = free & (mine.labels == each.get("label", 0))
            overlaps = np.where(alike, [iou(box, one) for one in mine.boxes], 0.0)
            if not len(mine) or overlaps.max() < IOU:
                continue
            i, agreeing = int(overlaps.argmax()), agreeing + 1
            free[i] = False
            differences = {"box": mine.boxes[i] - box, "score": mine.scores[i : i + 1] - each["score"]}
            if "keypoints" in each:
                differences["keypoints"] = mine.keypoints[i, :, :2] - np.array(each["keypoints"])
            for what, difference in differences.items():
                worst[what] = max(worst.get(what, 0.0), float(np.abs(difference).max()))
    cells = [f"{agreeing} of {theirs}, {ours - agreeing} more" if ours > agreeing else f"{agreeing} of {theirs}"]
    cells += [f"{worst[what]:.2g}" if what in worst else "" for what in ("box", "score", "keypoints")]
    return " | ".join(cells)


def iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Intersection over union of two boxes xyxy."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = max(0.0, float(width)) * max(0.0, float(height))
    areas = sum(float(np.prod(box[2:] - box[:2])) for box in (a, b))
    return common / (areas - common)


if __name__ == "__main__":
    main()
