"""Compare heatmap decoders on the bundled corner network: `python benchmarks/corners.py`.

Held-out symbols of the training generator with four visible corners are cropped to 256, 192 and 128 px (maps of 64, 48
and 32 px) and run through the exported fp32 and fp16 files. Then the bundled detector and the network run together on
whole scenes. Prints Markdown, and writes JSON with --json.

Errors are distances in px of a crop of 256 px, in the best of the four corner orders. The last table counts wrong names
separately.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from detforge.deploy import load
from detforge.deploy.backends.open import open_backend
from detforge.deploy.choose import BUNDLED, BUNDLED_POSE
from detforge.deploy.contract.choices import HeatmapMethod
from detforge.deploy.contract.port import Arrays
from detforge.deploy.forms import Heatmaps
from detforge.deploy.inputs.crop import Crop
from detforge.export import export
from detforge.models.zoo import find
from detforge.train.markers.__main__ import CORNERS_SEED, CORNERS_SIDES
from detforge.train.markers.corners import SIZES, STRIDE, Marker, cut, draw_markers, jittered, named
from detforge.train.markers.scene import compose

VARIANT = find("corners_markers")
PLACE, FORM = VARIANT.input.place, VARIANT.form
assert isinstance(PLACE, Crop) and isinstance(FORM, Heatmaps)
READINGS = {
    method: Heatmaps(method, blur=5 if method == "second_peak" else 11, beta=20.0, debias=True, flip=False)
    for method in get_args(HeatmapMethod)
    if method != "megvii"  # "quarter" on a smoothed map
}
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """The error of one decoder on one file: px of a crop of 256 px, and the fraction of correct names."""

    method: str
    side: int
    precision: str
    flip: bool
    mean: float
    median: float
    within_16: float
    named: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare heatmap decoders.")
    parser.add_argument("--crops", type=int, default=500)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--cache", type=Path, default=Path("runs/markers"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    markers = [one for one in draw_markers(arguments.cache, 300, CORNERS_SEED + 1) if one.seen.all()]
    rows = list(compare(markers[: arguments.crops], arguments.cache))
    print(table(rows), shares(rows), sep="\n\n")
    whole = end_to_end(arguments.scenes)
    print("\n".join(f"{name}: {value:.3g}" for name, value in whole.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": [vars(row) for row in rows], "end_to_end": whole}, indent=1))


def compare(markers: Sequence[Marker], folder: Path) -> Iterator[Row]:
    """Every method, crop size and precision, with and without the mirrored crop."""
    rng = np.random.default_rng(CORNERS_SEED)
    boxes = [jittered(rng, one.box) for one in markers]
    for side in CORNERS_SIDES:
        images, parts = cut(markers, boxes, VARIANT.input, side)
        truth = np.stack([own[named(own)[0]] for own in parts])
        for precision in ("fp32", "fp16"):
            file = folder / f"corners_markers-{side}-{precision}.onnx"
            export("corners_markers", precision=precision, imgsz=(side, side), verify="off", output=file)
            outputs, mirrored = (run(str(file), view) for view in (images, images[..., ::-1]))
            for method, spec in READINGS.items():
                for flip in (False, True):
                    found = read(outputs, mirrored if flip else None, replace(spec, flip=flip), side)
                    yield Row(method, side, precision, flip, *errors(255 * found, 255 * truth))


def run(file: str, images: Floats) -> Arrays:
    """The maps of all crops (n, 3, side, side)."""
    session = open_backend(file, threads=1)
    batches = np.array_split(images, max(1, len(images) // 32))
    runs = [session.run({session.inputs[0].name: np.ascontiguousarray(batch)})["heatmaps"] for batch in batches]
    return {"heatmaps": np.concatenate(runs)}


def read(outputs: Arrays, mirrored: Arrays | None, spec: Heatmaps, side: int) -> Floats:
    """The corners (n, 4, 2) as fractions of the crop."""
    assert VARIANT.skeleton is not None
    found = spec.parts(outputs, mirrored, VARIANT.skeleton, (side, side), PLACE.spacing)[0]
    # Megvii's rule counts from the corner of a pixel, this network's labels from its centre.
    return found - np.float32(0.5 / (side // STRIDE - 1)) if spec.method == "second_peak" else found


def errors(found: Floats, truth: Floats) -> tuple[float, float, float, float]:
    """The errors of outlines (n, 4, 2): mean and median distance of a corner, fraction within 16 px and of right names.

    Each outline is compared in the best of its four orders.
    """
    turns = np.stack([np.linalg.norm(found - np.roll(truth, turn, 1), axis=-1) for turn in range(4)])
    best = turns.mean(2).argmin(0)
    own = turns[best, np.arange(len(found))]
    return float(own.mean()), float(np.median(own)), float((own < 16).mean()), float((best == 0).mean())


def table(rows: Sequence[Row]) -> str:
    """Markdown: one line per method, with the mean and the median error at every size."""
    sides = [f"{side // STRIDE} px" for side in CORNERS_SIDES]
    lines = []
    for precision in ("fp32", "fp16"):
        head = [f"{precision}, {size}" for size in sides] + [f"{precision}, mirrored too, {size}" for size in sides]
        lines += ["", "| decoder | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
        for method in READINGS:
            own = [row for row in rows if row.method == method and row.precision == precision]
            cells = [f"{row.mean:.2f} / {row.median:.2f}" for flip in (False, True) for row in own if row.flip == flip]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines[1:])


def shares(rows: Sequence[Row]) -> str:
    """Markdown: the success rates of the network with its default decoder."""
    lines = ["| maps | file | mirrored too | corners within 16 px | right names |", "|---" * 5 + "|"]
    for row in rows:
        if row.method == FORM.method:
            flip = "yes" if row.flip else "no"
            cells = (f"{row.side // STRIDE} px", row.precision, flip, f"{row.within_16:.3f}", f"{row.named:.3f}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def end_to_end(scenes: int) -> dict[str, float]:
    """Errors of the corners in the detector's boxes, for every symbol found whose corners are all visible.

    Units: px of the photograph and of a crop of 256 px.
    """
    pipeline = load(str(BUNDLED), pose_model=str(BUNDLED_POSE))
    found: list[Floats] = []
    truth: list[Floats] = []
    scales: list[float] = []
    for i in range(scenes):
        scene = compose(np.random.default_rng((CORNERS_SEED + 1, 10_000 + i)), SIZES[i % len(SIZES)])
        wanted = scene.seen.all(1)
        for pose in pipeline(scene.image):
            overlaps = [iou(pose.boxes[0], box) if whole else 0 for box, whole in zip(scene.boxes, wanted, strict=True)]
            if overlaps and max(overlaps) >= 0.5 and pose.keypoints is not None:
                outline = scene.corners[int(np.argmax(overlaps))] - np.float32(0.5)
                found.append(pose.keypoints[0, :, :2])
                truth.append(outline[named(outline)[0]])
                scales.append(255 / PLACE.of_box(pose.boxes[0], scene.image.shape[:2]).size[0])
    factors = np.array(scales, np.float32)[:, None, None]
    of_image, of_crop = (errors(*(factor * np.stack(each) for each in (found, truth))) for factor in (1, factors))
    names = ("mean", "median", "within 16 px", "right names")
    measures = {f"{name}, px of the photograph": value for name, value in zip(names[:2], of_image, strict=False)}
    return {"symbols": len(found), **measures, **dict(zip(names, of_crop, strict=True))}


def iou(a: Floats, b: Floats) -> float:
    """Intersection over union of two boxes xyxy."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


if __name__ == "__main__":
    main()
