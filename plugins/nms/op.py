"""Class-aware non-maximum suppression.

Greedily, from the best score down, a box stays unless a better box of its own label that stayed overlaps it by
an intersection over union above `iou`. Equal scores rank by their position; a score of 0 or less never stays.

The exported nodes are the standard ONNX `NonMaxSuppression` (opset 11) and a scatter of its indices to a mask.
"""

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("detforge::nms", mutates_args=())
def nms(boxes: Tensor, scores: Tensor, labels: Tensor, classes: int, iou: float, limit: int) -> Tensor:
    """Which boxes stay, the reference in plain torch.

    Shapes: boxes (n, k, 4) xyxy, scores (n, k), labels (n, k) int64 below `classes`, result (n, k) bool.
    At most the `limit` best of every label stay.
    """
    keep = torch.zeros_like(labels, dtype=torch.bool)
    for image in range(len(boxes)):
        order = scores[image].argsort(descending=True, stable=True)
        order = order[scores[image][order] > 0]
        kept: dict[int, list[Tensor]] = {}
        for i in order.tolist():
            box, rivals = boxes[image, i], kept.setdefault(int(labels[image, i]), [])
            if len(rivals) < limit and not (rivals and bool((_iou(box, torch.stack(rivals)) > iou).any())):
                rivals.append(box)
                keep[image, i] = True
    return keep


@nms.register_fake
def _(boxes: Tensor, scores: Tensor, labels: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(labels, dtype=torch.bool)


def to_onnx(boxes: Any, scores: Any, labels: Any, classes: int, iou: float, limit: int) -> Any:
    """The nodes that stand for `nms` in an exported graph."""
    from onnxscript import opset20 as op  # only an export needs it

    # ONNX suppresses class by class over boxes that all classes share: a box scores 0 in every class but its own.
    class_axis = op.Constant(value_ints=[1])
    own = op.Equal(op.Unsqueeze(labels, class_axis), op.Constant(value=_column(classes)))
    by_class = op.Where(own, op.Unsqueeze(scores, class_axis), op.Constant(value_float=0.0))
    selected = op.NonMaxSuppression(
        boxes,
        by_class,
        op.Constant(value_ints=[limit]),
        op.Constant(value_floats=[iou]),
        op.Constant(value_floats=[0.0]),
    )
    image_and_box = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)
    ones = op.Expand(op.Constant(value_float=1.0), op.Shape(selected, end=1))
    nothing = op.Mul(scores, op.Constant(value_float=0.0))
    return op.Greater(op.ScatterND(nothing, image_and_box, ones), op.Constant(value_float=0.0))


def _iou(box: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of one box (4,) with others (m, 4); 0 where neither has an area."""
    size = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp(min=0)
    intersection = size.prod(1)
    area = (box[2:] - box[:2]).clamp(min=0).prod()
    areas = (others[:, 2:] - others[:, :2]).clamp(min=0).prod(1)
    return intersection / (area + areas - intersection).clamp(min=1e-12)


def _column(classes: int) -> Any:
    import onnx

    return onnx.helper.make_tensor("classes", onnx.TensorProto.INT64, [classes, 1], range(classes))


TRANSLATIONS = {torch.ops.detforge.nms.default: to_onnx}
