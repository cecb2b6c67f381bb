"""Class-aware non-maximum suppression with a sorted result.

In order of decreasing score, a box is kept unless a kept box of the same label overlaps it by

    intersection / union > iou

Equal scores rank by position. Boxes with scores of 0 or less are dropped.
"""

from typing import Any

import torch
from torch import Tensor

from ..core.node import node


@torch.library.custom_op("detforge::nms", mutates_args=())
def nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou: Tensor, classes: int, limit: int) -> Tensor:
    """The scores and positions of the kept boxes, best first. Reference implementation in plain torch.

    Shapes: boxes (n, k, 4) xyxy with x1 <= x2 and y1 <= y2, scores (n, k), labels (n, k) integers below `classes`,
    iou (1,), result (n, k, 2): score and position. At most `limit` boxes per image are kept; the other rows are 0. All
    tensors have one dtype. Positions are exact for k up to 2048 in half precision and up to 256 in bfloat16.
    """
    rows = scores.new_zeros((*scores.shape, 2))
    for image in range(len(boxes)):
        left = scores[image].argsort(descending=True, stable=True)
        left = left[scores[image][left] > 0]
        for row in rows[image, :limit]:
            if not len(left):
                break
            best, left = left[0], left[1:]
            row[0], row[1] = scores[image, best], best
            overlaps = _iou(boxes[image, best], boxes[image, left]) > iou
            left = left[~overlaps | (labels[image, left] != labels[image, best])]
    return rows


@nms.register_fake
def _(boxes: Tensor, scores: Tensor, labels: Tensor, iou: Tensor, classes: int, limit: int) -> Tensor:
    return scores.new_empty((*scores.shape, 2))


def _iou(box: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of one box (4,) with others (m, 4); 0 without intersection."""
    size = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp(min=0)
    shared = size.prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return torch.where(shared > 0, shared / union, 0.0)


# NonMaxSuppression shares the boxes between all classes, so a box scores 0 in every class but its own.
FUNCTIONS = (
    """
    <domain: "detforge", opset_import: ["" : 20]>
    Nms <classes, limit, plugin_version, plugin_namespace> (boxes, scores, labels, iou) => (y) {
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        nothing = Constant <value_float = 0.0> ()
        something = Constant <value_float = 1.0> ()
        first = Constant <value = int64[1] {0}> ()
        second = Constant <value = int64[1] {1}> ()
        last = Constant <value = int64[1] {-1}> ()
        score_rows = Cast <to = 1> (scores)
        box_rows = Cast <to = 1> (boxes)
        threshold = Cast <to = 1> (iou)
        class_count = Constant <value_int: int = @classes> ()
        class_range = Range (zero, class_count, one)
        class_column = Unsqueeze (class_range, second)
        label_rows = Cast <to = 7> (labels)
        label_row = Unsqueeze (label_rows, second)
        is_own = Equal (label_row, class_column)
        score_row = Unsqueeze (score_rows, second)
        by_class = Where (is_own, score_row, nothing)
        most = Constant <value_int: int = @limit> ()
        most_each = Unsqueeze (most, first)
        least = Constant <value = float[1] {0.0}> ()
        selected = NonMaxSuppression (box_rows, by_class, most_each, threshold, least)
        image_and_place = Constant <value = int64[2] {0, 2}> ()
        places = Gather <axis = 1> (selected, image_and_place)
        place_count = Shape <end = 1> (places)
        marks = Expand (something, place_count)
        size = Shape (score_rows)
        blank = Expand (nothing, size)
        marked = ScatterND (blank, places, marks)
        stays = Greater (marked, nothing)
        kept = Where (stays, score_rows, nothing)
        row_length = Shape <start = 1> (score_rows)
        best, order = TopK <axis = 1> (kept, row_length)
        length = Squeeze (row_length)
        ranks = Range (zero, length, one)
        has_room = Less (ranks, most)
        is_found = Greater (best, nothing)
        is_row = And (is_found, has_room)
        final_scores = Where (is_row, best, nothing)
        order_float = Cast <to = 1> (order)
        final_places = Where (is_row, order_float, nothing)
        score_column = Unsqueeze (final_scores, last)
        place_column = Unsqueeze (final_places, last)
        pairs = Concat <axis = -1> (score_column, place_column)
        y = CastLike (pairs, scores)
    }""",
)

_NODE = node(FUNCTIONS[0])


def to_onnx(boxes: Any, scores: Any, labels: Any, iou: Any, classes: int, limit: int) -> Any:
    """Add the node of `nms` to an exported graph."""
    return _NODE(boxes, scores, labels, iou, classes=classes, limit=limit)


REFERENCES = {"Nms": nms}
TRANSLATIONS = {torch.ops.detforge.nms.default: to_onnx}
