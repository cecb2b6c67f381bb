"""Time the postprocessing of a dense network: selection, suppression and scaling, for GFL's outputs at 800x1333.

    python benchmarks/postprocess.py [--rounds 50] [--threads 2] [--json FILE]

22,400 points of 80 classes, drawn so that few, many or most of the 1.8 million scores exceed the threshold. Against the
usual NumPy code with cv2.dnn.NMSBoxesBatched, which selects by the same rule. Also prints the number of boxes kept.
"""

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from turns import Table, deliver, in_turns, parser

from detforge.deploy.bench.environment import Watch
from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.port import Arrays
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Dense
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.suppress import suppress

PLACE, FORM, CLASSES = Resize((800, 1333), "edges", pad=Pad(multiple=32)), Dense((8, 16, 32, 64, 128)), 80
FRAME = PLACE.whole((480, 800))
CARD = Card(
    model="gfl",
    inputs=(ImageInput(PLACE, "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),),
    form=FORM,
    labels=tuple(map(str, range(CLASSES))),
    provenance=Provenance("none", None, "fp32"),
    suppress=Suppress(conf=0.05, iou=0.6, max_det=100),
)


def main() -> None:
    """Print the medians."""
    arguments = parser(__doc__, 50).parse_args()
    cv2.setNumThreads(arguments.threads)
    watch = Watch()
    tables: list[Table] = []
    for mean in (-6.0, -4.0, -2.0):
        given = outputs(mean)
        ways = {
            "detforge": lambda given=given: ours(given),
            "NumPy and cv2.dnn": lambda given=given: with_numpy(given),
        }
        results = {name: f"{len(way())} kept" for name, way in ways.items()}
        above = int((given["scores"] > CARD.suppress.conf).sum())
        title = f"{len(given['boxes'])} points, {CLASSES} classes, {above} scores above {CARD.suppress.conf}"
        tables.append(Table(title, in_turns(ways, arguments.rounds, results)))
    deliver("postprocess", tables, watch, arguments)


def outputs(mean: float) -> Arrays:
    """Boxes of 10 to 300 px, and scores with logits around `mean`."""
    rng = np.random.default_rng(0)
    count = sum(FORM.level_sizes(*FRAME.canvas_size))
    centres, halves = rng.uniform(0, FRAME.canvas_size[::-1], (count, 2)), rng.uniform(5, 150, (count, 2))
    boxes = np.concatenate((centres - halves, centres + halves), 1).astype(np.float32)
    scores = 1 / (1 + np.exp(-rng.normal(mean, 1.3, (count, CLASSES))))
    return {"boxes": boxes, "scores": scores.astype(np.float32)}


def ours(given: Arrays) -> NDArray[np.float32]:
    """The boxes kept, in px of the image."""
    height, width = FRAME.image_size
    return suppress(FORM.find([Run(given, FRAME)], CARD), CARD.suppress).scaled((width, height)).boxes


def with_numpy(given: Arrays) -> NDArray[np.float32]:
    """The usual NumPy code."""
    spec = CARD.suppress
    boxes, scores, labels = [], [], []
    for start, end in pairwise(np.cumsum([0, *FORM.level_sizes(*FRAME.canvas_size)])):
        points, classes = np.nonzero(given["scores"][start:end] > spec.conf)
        values = given["scores"][start:end][points, classes]
        best = np.argsort(-values, kind="stable")[: FORM.top_k]
        boxes.append(given["boxes"][start:end][points[best]])
        scores.append(values[best])
        labels.append(classes[best])
    height, width = FRAME.resized_size
    kept = np.concatenate(boxes).clip(0, (width, height, width, height))
    xywh = np.concatenate((kept[:, :2], kept[:, 2:] - kept[:, :2]), 1)
    own = np.concatenate(labels).astype(np.int32)
    stay = cv2.dnn.NMSBoxesBatched(xywh, np.concatenate(scores), own, spec.conf, spec.iou)[: spec.max_det]
    return kept[stay] / np.float32(FRAME.scale * 2)


if __name__ == "__main__":
    main()
