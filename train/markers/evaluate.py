"""COCO's evaluation of detections."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...deploy.results.instances import Instances


def average_precision(
    found: Sequence[Instances], boxes: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.int64]]
) -> dict[str, float]:
    """AP over IoU 0.50..0.95, AP50, AP75, and AP50 of every label that occurs.

    Takes for each image one Instances, low scores included, and arrays of true boxes (g, 4) xyxy px and labels (g,).
    """
    from faster_coco_eval import COCO, COCOeval_faster

    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (instances, true_boxes, true_labels) in enumerate(zip(found, boxes, labels, strict=True)):
        for (x1, y1, x2, y2), label in zip(true_boxes.tolist(), true_labels.tolist(), strict=True):
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append({"image_id": image, "bbox": box, "category_id": label, "area": box[2] * box[3]})
        for record in instances.to_coco():
            result = {"image_id": image, "bbox": record["bbox"], "score": record["score"]}
            results.append({**result, "category_id": record["label"]})
    names = found[0].names
    truth = {
        "images": [{"id": i} for i in range(len(found))],
        "annotations": [{**a, "id": i + 1, "iscrowd": 0} for i, a in enumerate(annotations)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(truth)
        evaluation = COCOeval_faster(coco, coco.loadRes(results), "bbox")
        evaluation.run()
    measures = dict(zip(("AP", "AP50", "AP75"), map(float, evaluation.stats), strict=False))
    precision = evaluation.eval["precision"]  # (iou, recall, label, area, limit)
    for i, name in enumerate(names):
        if any((one == i).any() for one in labels):
            measures[f"AP50 {name}"] = float(np.mean(precision[0, :, i, 0, -1]))
    return measures
