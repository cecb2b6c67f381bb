"""COCO average precision of a model on generated scenes, with the runtime's own pre- and postprocessing."""

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ...deploy.card import Card, Provenance
from ...deploy.instances import Instances
from ...deploy.postprocess import postprocess
from ...deploy.preprocess import Image, preprocess
from ...models.variant import Variant
from .dataset import Scenes


def evaluate(model: nn.Module, variant: Variant, scenes: Scenes) -> dict[str, float]:
    """AP over IoU 0.5..0.95, AP50, AP75, and AP50 of every label."""
    card = variant.card(variant.labels, Provenance("in training", None, "fp32", {}))
    card = replace(card, suppress=replace(card.suppress, conf=0.01))  # AP counts the unsure ones too
    found = [_detect(model, card, image) for image in scenes.images]
    return average_precision(found, scenes)


def _detect(model: nn.Module, card: Card, image: Image) -> Instances:
    pixels, frame = preprocess(np.ascontiguousarray(image), card.input)
    with torch.inference_mode():
        outputs = model(torch.from_numpy(pixels)[None])
    return postprocess({name: value[0].numpy() for name, value in outputs.items()}, card, frame)


def average_precision(found: list[Instances], scenes: Scenes) -> dict[str, float]:
    """COCO's measures of detections, one Instances a scene."""
    from faster_coco_eval import COCO, COCOeval_faster

    names = found[0].names
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (instances, boxes, labels) in enumerate(zip(found, scenes.boxes, scenes.labels, strict=True)):
        for (x1, y1, x2, y2), label in zip(boxes.tolist(), labels.tolist(), strict=True):
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                {"image_id": image, "bbox": box, "category_id": label, "iscrowd": 0, "area": box[2] * box[3]}
            )
        for record in instances.to_coco():
            result = {"image_id": image, "bbox": record["bbox"], "score": record["score"]}
            results.append({**result, "category_id": record["label"]})
    truth = {
        "images": [{"id": i} for i in range(len(found))],
        "annotations": [{**a, "id": i + 1} for i, a in enumerate(annotations)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(truth)
        evaluation = COCOeval_faster(coco, coco.loadRes(results), "bbox")
        evaluation.run()
    precision = evaluation.eval["precision"]  # (iou, recall, label, area, limit)
    measures = {"AP": evaluation.stats[0], "AP50": evaluation.stats[1], "AP75": evaluation.stats[2]}
    for i, name in enumerate(names):
        measures[f"AP50 {name}"] = float(np.mean(precision[0, :, i, 0, -1]))
    return {name: float(value) for name, value in measures.items()}
